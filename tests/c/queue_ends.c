/* A queue ends orderly, by an error, or by two of them. Everything that has reached this end is
 * handed out first, and every end is reported.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

static void orderly(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    for (int i = 0; i < 3; i++)
        send_numbered(pair[0], 2 * i, 2);
    close(pair[0]);
    p = make_passer(pair[1]);
    check_idle(p); /* nothing was asked for */
    EQUAL(fdpasser_push_recv(p, 1), 0);
    for (int i = 0; i < 6; i++) {
        expect(p, i);
        check_idle(p);
        EQUAL(fdpasser_push_recv(p, 1), 0);
    }
    EQUAL(end_of(p), 0);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), -1);
    EQUAL(fdpasser_process(p, POLLIN | POLLHUP), 0);
    EQUAL(fdpasser_process(p, 0), 0);
    ERRNO(fdpasser_next_fd(p), EAGAIN);
    EQUAL(fdpasser_push_recv(p, 1), 0); /* asking again gets the same answer */
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(turn(p), 0);
    fdpasser_free(p);
}

/* The end is received together with the last descriptors. It is reported after they are taken. */
static void orderly_at_once(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    for (int i = 0; i < 5; i++)
        send_numbered(pair[0], i, 1);
    close(pair[0]);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 100), 0);
    for (int i = 0; i < 5; i++) {
        EQUAL(fdpasser_process(p, POLLIN | POLLHUP), 1);
        EQUAL(fdpasser_timeout_ms(p), 0);
        RECEIVED(fdpasser_next_fd(p), i);
    }
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(fdpasser_process(p, 0), 0);
    fdpasser_free(p);
}

/* The peer stops receiving, and stays, while its socket is full. poll() does not report that. */
static void full_and_shut_down(void)
{
    int pair[2], state;
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    do {
        push_numbered(p, 0);
        EQUAL(fdpasser_process(p, POLLOUT), 1);
    } while (fdpasser_queued(p) == 0);
    EQUAL(fdpasser_events(p), POLLOUT);
    EQUAL(shutdown(pair[0], SHUT_RD), 0);
    while ((state = turn(p)) == 1)
        ;
    EQUAL(state, -1);
    check_over(p, EPIPE);
    fdpasser_free(p);
    close(pair[0]);
}

/* The peer stops sending but still receives. */
static void half_closed(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    EQUAL(shutdown(pair[0], SHUT_WR), 0);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    for (int i = 0; i < 500; i++)
        push_numbered(p, i);
    /* The end is not reported before all are sent, and the socket does not hold all of them. */
    for (int i = 0; i < 500; i++) {
        while (recv(pair[0], &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == -1)
            CHECK(turn(p) >= 0);
        RECEIVED(fdpasser_recv_fd(pair[0]), i);
    }
    EQUAL(fdpasser_queued(p), 0);
    EQUAL(fdpasser_process(p, 0), 0);
    push_numbered(p, 500);
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(end_of(p), 0);
    RECEIVED(fdpasser_recv_fd(pair[0]), 500);
    fdpasser_free(p);
    close(pair[0]);
}

/* The peer is gone when we send. What it had sent comes first. */
static void broken_pipe(int asked)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    for (int i = 0; i < 250; i++)
        send_numbered(pair[0], i, 1);
    close(pair[0]);
    p = make_passer(pair[1]);
    if (asked > 0)
        EQUAL(fdpasser_push_recv(p, asked), 0);
    for (int i = 0; i < 3; i++)
        push_numbered(p, i);
    for (int i = 0; i < asked && i < 250; i++)
        expect(p, i);
    EQUAL(end_of(p), -1);
    check_over(p, EPIPE);
    EQUAL(fdpasser_queued(p), 3); /* these were not sent */
    /* What was not asked for in time can still be asked for. */
    for (int i = asked; i < 250; i++) {
        int fd;

        EQUAL(fdpasser_push_recv(p, 1), 0);
        while ((fd = fdpasser_next_fd(p)) == -1) {
            EQUAL(fdpasser_timeout_ms(p), 0);
            EQUAL(turn(p), 1);
        }
        RECEIVED(fd, i);
    }
    EQUAL(fdpasser_push_recv(p, 1), 0);
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(turn(p), -1);
    check_over(p, EPIPE);
    fdpasser_free(p);
}

/* The same with a full table. The error waits until there was room for what had arrived. */
static void broken_pipe_full(void)
{
    int pair[2];
    fdpasser *p;

    set_soft_limit(64);
    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 1);
    close(pair[0]);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    push_numbered(p, 3);
    fill_table();
    for (int i = 0; i < 3; i++) {
        EQUAL(turn(p), 1);
        ERRNO(fdpasser_next_fd(p), EAGAIN);
        EQUAL(fdpasser_events(p), 0);
        CHECK(fdpasser_timeout_ms(p) > 0);
    }
    free_slots(1);
    expect(p, 1);
    expect(p, 2);
    empty_table();
    EQUAL(end_of(p), -1);
    check_over(p, EPIPE);
    fdpasser_free(p);
}

/* The peer closed without reading everything that we sent. STREAMS do not report that. */
static void reset(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    push_numbered(p, 1);
    send_all(p);
    for (int i = 0; i < 5; i++)
        send_numbered(pair[0], i, 1);
    close(pair[0]);
    EQUAL(fdpasser_push_recv(p, 100), 0);
    EQUAL(turn(p), 1);
    for (int i = 0; i < 5; i++)
        expect(p, i);
    if (SYSV) {
        EQUAL(turn(p), 0);
    } else {
        ERRNO(turn(p), ECONNRESET);
        check_over(p, ECONNRESET);
    }
    fdpasser_free(p);
}

/* A message without a descriptor is final, as in the Perl module. What came before it is handed
 * out. */
static void plain_byte(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    hostile_send(pair[0], "x", 1, NULL, 0);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 100), 0);
    push_numbered(p, 9);
    expect(p, 1);
    ERRNO(turn(p), EBADMSG);
    check_over(p, EBADMSG);
    ERRNO(fdpasser_next_fd(p), EAGAIN);
    RECEIVED(fdpasser_recv_fd(pair[0]), 9);
    fdpasser_free(p);
    close(pair[0]);
}

/* A program closes a descriptor that the queue owns. */
static void closed_behind_our_back(void)
{
    fdpasser *p[2];
    int fd = numbered(1);

    make_passers(p);
    EQUAL(fdpasser_push_send_fd(p[0], fd), 1);
    push_numbered(p[0], 2);
    EQUAL(close(fd), 0);
    ERRNO(fdpasser_process(p[0], POLLOUT), EBADF);
    check_over(p[0], EBADF);
    EQUAL(fdpasser_queued(p[0]), 2);
    free_passers(p);
}

static void test(void)
{
    IN_CHILD(orderly());
    IN_CHILD(orderly_at_once());
    if (!SYSV) { /* a stream cannot be shut down in one direction */
        IN_CHILD(half_closed());
        IN_CHILD(full_and_shut_down());
    }
    IN_CHILD(broken_pipe(0));
    IN_CHILD(broken_pipe(120));
    IN_CHILD(broken_pipe(1000));
    IN_CHILD(broken_pipe_full());
    IN_CHILD(reset());
    IN_CHILD(plain_byte());
    IN_CHILD(closed_behind_our_back());
}
