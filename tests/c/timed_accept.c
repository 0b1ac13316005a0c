/* fdpasser_accept_timed() waits for as long as it is told, whatever mode the listener is in.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there connecting waits for the accept. */
/* Only on Linux: it looks in /proc whether a process waits. */
#include "timed.h"

static int listener;

static void listen_here(int nonblocking)
{
    listener = fdpasser_server("s", 0);
    OURS(listener);
    set_nonblocking(listener, nonblocking);
}

static void close_here(void)
{
    EQUAL(close(listener), 0);
    EQUAL(unlink("s"), 0);
}

/* Checks a new connection. Closes it. */
static void accepted(int fd)
{
    OURS(fd);
    EQUAL(status_flags(fd) & O_NONBLOCK, 0);
    EQUAL(fdpasser_recv_fd(fd), 0); /* the client has gone */
    close(fd);
}

static void waits(int nonblocking)
{
    listen_here(nonblocking);

    TIMES_OUT(fdpasser_accept_timed(listener, 0), 0);
    TIMES_OUT(fdpasser_accept_timed(listener, 1), 1);
    TIMES_OUT(fdpasser_accept_timed(listener, 123), 123);

    /* A connection waits. */
    close(knock("s"));
    accepted(fdpasser_accept_timed(listener, 0));
    close(knock("s"));
    accepted(fdpasser_accept_timed(listener, -1));

    /* One comes meanwhile. */
    WHEN_ASLEEP(close(knock("s")));
    accepted(fdpasser_accept_timed(listener, LONG));
    join(helper);
    WHEN_ASLEEP((poll(NULL, 0, 100), close(knock("s"))));
    accepted(fdpasser_accept_timed(listener, INT_MIN));
    join(helper);

    CHECK(status_flags(listener) & O_NONBLOCK);
    ERRNO(fdpasser_accept(listener), EAGAIN);
    close_here();
}

/* Two processes wait on one listener for one connection. */
static void two(void)
{
    int done[2], served = 0;
    pid_t children[2];
    char result[2];

    listen_here(0);
    EQUAL(pipe(done), 0);
    for (size_t i = 0; i < LENGTH(children); i++)
        if ((children[i] = spawn()) == 0) {
            long long start = microseconds();
            int fd = fdpasser_accept_timed(listener, 700);

            if (fd == -1) {
                EQUAL(errno, ETIMEDOUT);
                CHECK(microseconds() - start >= 700000);
                CHECK(microseconds() - start < 20000000);
            } else {
                accepted(fd);
            }
            EQUAL(write(done[1], fd == -1 ? "-" : "+", 1), 1);
            _exit(0);
        }
    for (size_t i = 0; i < LENGTH(children); i++)
        wait_until_asleep(children[i]);
    close(knock("s"));
    for (size_t i = 0; i < LENGTH(children); i++) {
        EQUAL(read(done[0], &result[i], 1), 1);
        served += result[i] == '+';
        join(children[i]);
    }
    EQUAL(served, 1);
    close_pair(done);
    close_here();
}

/* It does not wait for a slot, and the connection stays where it is. */
static void full_table(void)
{
    int client;

    set_soft_limit(64);
    listen_here(0);
    client = knock("s");
    fill_table();
    ERRNO(fdpasser_accept_timed(listener, -1), EMFILE);
    ERRNO(fdpasser_accept_timed(listener, 0), EMFILE);
    free_slots(1);
    close(client);
    accepted(fdpasser_accept_timed(listener, -1));
    empty_table();
    close_here();
}

static void interrupted(int flags)
{
    pid_t sender;

    listen_here(0);
    sender = start_signals_with(flags);
    ERRNO(fdpasser_accept_timed(listener, LONG), EINTR);
    ERRNO(fdpasser_accept_timed(listener, -1), EINTR);
    stop_signals(sender);
    close(knock("s"));
    accepted(fdpasser_accept_timed(listener, 0));
    close_here();
}

static void errors(void)
{
    int file = numbered(1), fd = socket(AF_UNIX, SOCK_STREAM, 0), datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);

    ERRNO(fdpasser_accept_timed(-1, -1), EBADF);
    ERRNO(fdpasser_accept_timed(1000000, -1), EBADF);
    ERRNO(fdpasser_accept_timed(file, -1), ENOTSOCK);
    ERRNO(fdpasser_accept_timed(fd, -1), EINVAL); /* it does not listen */
    ERRNO(fdpasser_accept_timed(datagrams, -1), EOPNOTSUPP);
    close(file);
    close(fd);
    close(datagrams);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    waits(0);
    waits(1);
    two();
    IN_CHILD(full_table());
    interrupted(0);
    interrupted(SA_RESTART);
    errors();
    leave_directory(name);
}
