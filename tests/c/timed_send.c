/* fdpasser_send_fd_timed() waits for as long as it is told, whatever mode and SO_SNDTIMEO the passer has.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no SO_SNDTIMEO. */
/* Only on Linux: it looks in /proc whether a process waits. */
#include "timed.h"
#include <netinet/in.h>
#include <sys/time.h>

static int pair[2];

static void drain(void)
{
    int fd;

    while (fdpasser_try_recv_fds(pair[1], &fd, 1) == 1)
        close(fd);
    EQUAL(errno, EAGAIN);
}

static void waits(int nonblocking)
{
    struct timeval timeout = {0, 10000};
    int fd = numbered(1);

    make_pair(pair);
    set_nonblocking(pair[0], nonblocking);
    EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);

    /* There is room. */
    EQUAL(fdpasser_send_fd_timed(pair[0], fd, 0), 1);
    EQUAL(fdpasser_send_fd_timed(pair[0], fd, -1), 1);
    EQUAL(fdpasser_send_fd_timed(pair[0], fd, LONG), 1);
    for (int i = 0; i < 3; i++)
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);

    /* There is none. */
    fill_socket(pair[0]);
    TIMES_OUT(fdpasser_send_fd_timed(pair[0], fd, 0), 0);
    TIMES_OUT(fdpasser_send_fd_timed(pair[0], fd, 1), 1);
    TIMES_OUT(fdpasser_send_fd_timed(pair[0], fd, 123), 123);

    /* There is some meanwhile. */
    WHEN_ASLEEP(drain());
    EQUAL(fdpasser_send_fd_timed(pair[0], fd, LONG), 1);
    join(helper);
    drain();
    fill_socket(pair[0]);
    WHEN_ASLEEP((poll(NULL, 0, 100), drain()));
    EQUAL(fdpasser_send_fd_timed(pair[0], fd, INT_MIN), 1);
    join(helper);

    EQUAL((status_flags(pair[0]) & O_NONBLOCK) != 0, nonblocking);

    /* The end. */
    fill_socket(pair[0]);
    WHEN_ASLEEP(EQUAL(shutdown(pair[1], SHUT_RDWR), 0));
    ERRNO(fdpasser_send_fd_timed(pair[0], fd, LONG), EPIPE);
    join(helper);
    ERRNO(fdpasser_send_fd_timed(pair[0], fd, 0), EPIPE);
    close_pair(pair);
    close(fd);
}

static void interrupted(int flags)
{
    pid_t sender;

    make_pair(pair);
    fill_socket(pair[0]);
    sender = start_signals_with(flags);
    ERRNO(fdpasser_send_fd_timed(pair[0], pair[0], LONG), EINTR);
    ERRNO(fdpasser_send_fd_timed(pair[0], pair[0], -1), EINTR);
    stop_signals(sender);
    close_pair(pair);
}

static void errors(void)
{
    int file = numbered(1), alone = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);

    make_pair(pair);
    ERRNO(fdpasser_send_fd_timed(-1, file, -1), EBADF);
    ERRNO(fdpasser_send_fd_timed(pair[0], -1, -1), EBADF);
    ERRNO(fdpasser_send_fd_timed(pair[0], 1000000, -1), EBADF);
    ERRNO(fdpasser_send_fd_timed(file, file, -1), ENOTSOCK);
    ERRNO(fdpasser_send_fd_timed(alone, file, -1), ENOTCONN);
    if (tcp != -1)
        ERRNO(fdpasser_send_fd_timed(tcp, file, -1), EAFNOSUPPORT);
    close(pair[1]);
    ERRNO(fdpasser_send_fd_timed(pair[0], file, -1), EPIPE);
    close(pair[0]);
    close(file);
    close(alone);
    close(tcp);
}

static void test(void)
{
    waits(0);
    waits(1);
    interrupted(0);
    interrupted(SA_RESTART);
    errors();
}
