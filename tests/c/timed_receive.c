/* fdpasser_recv_fd_timed() waits for as long as it is told, whatever mode and SO_RCVTIMEO the passer has.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no SO_RCVTIMEO. */
/* Only on Linux: it looks in /proc whether a process waits. */
#include "timed.h"
#include <sys/time.h>

static int pair[2];

static void waits(int nonblocking)
{
    struct timeval timeout = {0, 10000};

    make_pair(pair);
    set_nonblocking(pair[1], nonblocking);
    EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);

    /* Nothing comes. */
    TIMES_OUT(fdpasser_recv_fd_timed(pair[1], 0), 0);
    TIMES_OUT(fdpasser_recv_fd_timed(pair[1], 1), 1);
    TIMES_OUT(fdpasser_recv_fd_timed(pair[1], 123), 123);

    /* Something is there. */
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd_timed(pair[1], 0), 1);
    send_numbered(pair[0], 2, 1);
    RECEIVED(fdpasser_recv_fd_timed(pair[1], -1), 2);

    /* Something comes meanwhile. */
    WHEN_ASLEEP(send_numbered(pair[0], 3, 1));
    RECEIVED(fdpasser_recv_fd_timed(pair[1], LONG), 3);
    join(helper);
    WHEN_ASLEEP((poll(NULL, 0, 100), send_numbered(pair[0], 4, 1)));
    RECEIVED(fdpasser_recv_fd_timed(pair[1], INT_MIN), 4);
    join(helper);

    EQUAL((status_flags(pair[1]) & O_NONBLOCK) != 0, nonblocking);

    /* The end. */
    WHEN_ASLEEP(EQUAL(shutdown(pair[0], SHUT_WR), 0));
    EQUAL(fdpasser_recv_fd_timed(pair[1], LONG), 0);
    join(helper);
    EQUAL(fdpasser_recv_fd_timed(pair[1], 0), 0);
    EQUAL(fdpasser_recv_fd_timed(pair[1], -1), 0);
    close_pair(pair);
}

/* It does not wait for a slot. */
static void full_table(int nonblocking)
{
    set_soft_limit(64);
    make_pair(pair);
    set_nonblocking(pair[1], nonblocking);
    send_numbered(pair[0], 1, 1);
    fill_table();
    ERRNO(fdpasser_recv_fd_timed(pair[1], -1), EMFILE);
    ERRNO(fdpasser_recv_fd_timed(pair[1], 0), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd_timed(pair[1], -1), 1);
    fill_table();
    TIMES_OUT(fdpasser_recv_fd_timed(pair[1], 20), 20);
    EQUAL(shutdown(pair[0], SHUT_WR), 0);
    EQUAL(fdpasser_recv_fd_timed(pair[1], -1), 0);
    empty_table();
    close_pair(pair);
}

static void interrupted(int flags)
{
    pid_t sender;

    make_pair(pair);
    sender = start_signals_with(flags);
    ERRNO(fdpasser_recv_fd_timed(pair[1], LONG), EINTR);
    ERRNO(fdpasser_recv_fd_timed(pair[1], -1), EINTR);
    stop_signals(sender);
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd_timed(pair[1], 0), 1);
    close_pair(pair);
}

static void errors(void)
{
    int file = numbered(1), fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ERRNO(fdpasser_recv_fd_timed(-1, -1), EBADF);
    ERRNO(fdpasser_recv_fd_timed(file, -1), ENOTSOCK);
    EQUAL(fdpasser_recv_fd_timed(fd, -1), -1); /* not connected */
    CHECK(errno == EINVAL || errno == ENOTCONN);
    make_pair(pair);
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd_timed(pair[1], -1), EBADMSG);
    send_numbered(pair[0], 1, 2);
    ERRNO(fdpasser_recv_fd_timed(pair[1], -1), EMSGSIZE);
    EQUAL(fdpasser_send_fd(pair[1], file), 1); /* the peer never reads it */
    close(pair[0]);
    ERRNO(fdpasser_recv_fd_timed(pair[1], -1), ECONNRESET);
    close(pair[1]);
    close(file);
    close(fd);
}

static void test(void)
{
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        waits(nonblocking);
        IN_CHILD(full_table(nonblocking));
    }
    interrupted(0);
    interrupted(SA_RESTART);
    errors();
}
