/* A datagram socket has no end of file, unless a program shuts its own end down for reading. Linux then says EAGAIN for
 * ever, while the socket polls readable. Whoever waits must not spin: it is an orderly shutdown, after everything that had
 * come.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
/* Only on Linux: it tests what that kernel does. */
#include "queue_data.h"

static int pair[2];

/* Three messages, the second of them empty, and then the end. */
static void begin(void)
{
    EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    send_numbered(pair[0], 1, 1);
    EQUAL(send(pair[0], "", 0, 0), 0);
    EQUAL(send_with_data(pair[0], 2, 1, 77), 1);
    EQUAL(shutdown(pair[1], SHUT_RD), 0);
}

static void single(void)
{
    unsigned char data[DATA];
    int fd;
    size_t len = 5;

    begin();
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    receive_with_data(pair[1], 2, 1, 77);
    for (int i = 0; i < 3; i++) {
        EQUAL(fdpasser_recv_fd(pair[1]), 0);
        EQUAL(fdpasser_recv_fds(pair[1], &fd, 1), 0);
        EQUAL(fdpasser_recv_fd_timed(pair[1], 1000 * DEADLINE), 0);
        EQUAL(fdpasser_recv_message(pair[1], &fd, 1, data, sizeof data, &len), 0);
        EQUAL(len, 0);
        /* These do not wait, so they do not look why. */
        ERRNO(fdpasser_try_recv_fds(pair[1], &fd, 1), EAGAIN);
    }
    /* The other direction is as it was. */
    send_numbered(pair[1], 3, 1);
    RECEIVED(fdpasser_recv_fd(pair[0]), 3);
    close_pair(pair);
}

/* Who waits already is woken. */
static void waiting(void)
{
    pid_t child;

    EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    if ((child = spawn()) == 0) {
        wait_until_asleep(getppid());
        EQUAL(shutdown(pair[1], SHUT_RD), 0);
        _exit(0);
    }
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    join(child);
    close_pair(pair);
}

static void queue(int wants_data)
{
    fdpasser *p;

    begin();
    p = make_passer(pair[1]);
    EQUAL(fdpasser_want_data(p, wants_data), 0);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    expect_soon(p, 1);
    ERRNO(turn(p), EBADMSG);
    expect_with_data(p, 2, wants_data ? 77 : 0);
    /* It is noticed when the socket polls readable and has nothing. */
    for (int turns = 0; turn(p) == 1; turns++)
        CHECK(turns < 3);
    EQUAL(fdpasser_process(p, POLLIN), 0);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), -1);
    /* What is pushed now is still sent. */
    push_numbered(p, 3);
    EQUAL(end_of(p), 0);
    RECEIVED(fdpasser_recv_fd(pair[0]), 3);
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    IN_CHILD(single());
    IN_CHILD(waiting());
    for (int wants_data = 0; wants_data < 2; wants_data++)
        IN_CHILD(queue(wants_data));
}
