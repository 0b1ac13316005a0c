/* A queue takes no more from the socket than was asked for, except that it takes whole messages. It
 * keeps what a message has in excess. Only fdpasser_process() sends or takes anything.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "queue.h"

/* Returns whether something waits in the socket, without taking it. */
static int waiting(int fd)
{
    char bytes[1000];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);

    if (n == -1) {
        EQUAL(errno, EAGAIN);
        return 0;
    }
    return n > 0;
}

static void no_more_than_asked(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    for (int i = 0; i < 150; i++)
        send_numbered(pair[0], i, 1);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), -1);
    check_idle(p); /* nothing was asked for */

    EQUAL(fdpasser_push_recv(p, 3), 0);
    ERRNO(fdpasser_next_fd(p), EAGAIN); /* not before fdpasser_process() */
    EQUAL(fdpasser_events(p), POLLIN);
    EQUAL(fdpasser_process(p, POLLIN), 1);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), 0); /* there is something to take */
    EQUAL(fdpasser_process(p, POLLIN), 1);
    for (int i = 0; i < 3; i++)
        RECEIVED(fdpasser_next_fd(p), i);
    check_idle(p);
    EQUAL(fdpasser_timeout_ms(p), -1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3); /* the fourth is still in the socket */

    /* Ask in several steps, then take all. */
    for (int i = 0; i < 20; i++)
        EQUAL(fdpasser_push_recv(p, 1), 0);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    for (int i = 0; i < 30; i++)
        expect(p, 4 + i);
    check_idle(p);
    RECEIVED(fdpasser_recv_fd(pair[1]), 34);

    /* One call does not take everything, so that other passers get their turn. Nothing is
     * forgotten. */
    EQUAL(fdpasser_push_recv(p, INT_MAX), 0);
    EQUAL(fdpasser_process(p, POLLIN), 1);
    CHECK(waiting(pair[1]));
    EQUAL(fdpasser_timeout_ms(p), 0);
    for (int i = 35; i < 150; i++)
        expect(p, i);
    EQUAL(fdpasser_process(p, POLLIN), 1);
    EQUAL(fdpasser_events(p), POLLIN);
    EQUAL(fdpasser_timeout_ms(p), -1);
    fdpasser_free(p);
    close(pair[0]);
}

static void in_excess(void)
{
    int pair[2], before;
    fdpasser *p;

    make_pair(pair);
    send_numbered(pair[0], 0, MAX);
    send_numbered(pair[0], MAX, 2);
    send_numbered(pair[0], MAX + 2, 1);
    p = make_passer(pair[1]);
    before = open_descriptors();
    EQUAL(fdpasser_push_recv(p, 1), 0);
    expect(p, 0);
    check_idle(p);
    EQUAL(open_descriptors(), before + MAX - 1);
    EQUAL(fdpasser_timeout_ms(p), -1);

    /* The rest comes without reading the socket and without fdpasser_process(). */
    EQUAL(fdpasser_push_recv(p, MAX - 2), 0);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), 0);
    for (int i = 1; i < MAX - 1; i++)
        RECEIVED(fdpasser_next_fd(p), i);
    ERRNO(fdpasser_next_fd(p), EAGAIN);
    check_idle(p);

    /* One of these is here already and the other is not. The second message is the last one
     * taken. */
    EQUAL(fdpasser_push_recv(p, 2), 0);
    expect(p, MAX - 1);
    expect(p, MAX);
    check_idle(p);
    receive_numbered(pair[1], MAX + 2, 1);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    RECEIVED(fdpasser_next_fd(p), MAX + 1);
    EQUAL(open_descriptors(), before);

    /* What was not taken is closed with the passer. */
    send_numbered(pair[0], 0, 50);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    expect(p, 0);
    EQUAL(open_descriptors(), before + 49);
    fdpasser_free(p);
    EQUAL(open_descriptors(), before - 1);
    close(pair[0]);
}

static void nothing_in_a_push(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    push_numbered(p, 7);
    EQUAL(fdpasser_queued(p), 1);
    CHECK(!waiting(pair[0]));
    EQUAL(fdpasser_events(p), POLLOUT);
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(fdpasser_drained(p), 0);
    EQUAL(fdpasser_process(p, 0), 1);
    EQUAL(fdpasser_queued(p), 0);
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_drained(p), 0);
    RECEIVED(fdpasser_recv_fd(pair[0]), 7);
    EQUAL(fdpasser_drained(p), 1);
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    IN_CHILD(no_more_than_asked());
    IN_CHILD(in_excess());
    IN_CHILD(nothing_in_a_push());
}
