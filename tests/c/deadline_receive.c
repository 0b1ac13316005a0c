/* SO_RCVTIMEO, and the time of a call that has one, bound the whole call, although the socket becomes
 * readable again and again and another receiver is always faster. To be the sender and that receiver, this
 * program has its own poll().
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no SO_RCVTIMEO. */
/* Only on Linux: it makes the system call itself. */
#include "check.h"
#include <sys/time.h>

/* In milliseconds: how long the calls may wait, how long something comes, how often, and what is in time. */
enum { TIME = 1000, COMING = 30000, INTERVAL = 20, IN_TIME = 10000 };

static long long start;
static int wakes;

static long long so_far(void)
{
    return (microseconds() - start) / 1000;
}

/* A message or a connection comes every 20 ms, and is gone again before poll() returns. */
int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    int comes = so_far() < COMING && (timeout < 0 || timeout > INTERVAL);
    int wait = comes ? INTERVAL : timeout;
    struct timespec time = {wait / 1000, wait % 1000 * 1000000L};
    int ready = (int)syscall(SYS_ppoll, fds, n, wait < 0 ? NULL : &time, NULL, 0);

    if (n != 1)
        return ready; /* of check.h */
    EQUAL(ready, 0);
    if (comes) {
        wakes++;
        fds[0].revents = POLLIN;
    }
    return comes;
}

static int received(int passer)
{
    return fdpasser_recv_fd(passer);
}

static int several_received(int passer)
{
    int fds[MAX];

    return (int)fdpasser_recv_fds(passer, fds, MAX);
}

static int received_in_time(int passer)
{
    return fdpasser_recv_fd_timed(passer, TIME);
}

static int accepted_in_time(int listener)
{
    return fdpasser_accept_timed(listener, TIME);
}

static void takes_its_time(int (*call)(int), int fd, int error)
{
    wakes = 0;
    start = microseconds();
    ERRNO(call(fd), error);
    printf("%lld ms, %d wakes\n", so_far(), wakes);
    CHECK(so_far() >= TIME);
    CHECK(so_far() < IN_TIME);
    CHECK(wakes >= 2);
}

static void test(void)
{
    struct timeval timeout = {TIME / 1000, 0};
    char name[PATH_MAX];
    int pair[2], listener;

    make_pair(pair);
    EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    takes_its_time(received, pair[1], EAGAIN);
    takes_its_time(several_received, pair[1], EAGAIN);
    takes_its_time(received_in_time, pair[1], ETIMEDOUT);
    close_pair(pair);

    enter_directory(name);
    listener = fdpasser_server("s", 0);
    OURS(listener);
    takes_its_time(accepted_in_time, listener, ETIMEDOUT);
    close(listener);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
