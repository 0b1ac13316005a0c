/* SOCK_SEQPACKET and SOCK_DGRAM sockets work as passers, by single calls and with a queue. They
 * differ from streams in empty messages and in how they end. sockets.c shows that they pass
 * descriptors at all.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
/* Only on Linux: it tests what that kernel does. */
#include "queue.h"

enum { LARGE = 50 }; /* descriptors in a message; after two messages the other passers get their turn */

static void make_packets(int kind, int pair[2])
{
    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
}

static int readable(int fd)
{
    return poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0);
}

/* On SOCK_SEQPACKET an empty packet looks like the end. A datagram socket has no end, so there it is a packet without a
 * descriptor. */
static void empty_single(int kind)
{
    int pair[2], fd, status = 7;
    static int fds[MAX];

    make_packets(kind, pair);
    for (int i = 0; i < 3; i++)
        EQUAL(send(pair[0], "", 0, 0), 0);
    send_numbered(pair[0], 1, 1);
    if (kind == SOCK_SEQPACKET) {
        EQUAL(fdpasser_recv_fd(pair[1]), 0);
        EQUAL(fdpasser_try_recv_fds(pair[1], &fd, 1), 0);
    } else {
        ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
        ERRNO(fdpasser_try_recv_fds(pair[1], &fd, 1), EBADMSG);
    }
    EQUAL(fdpasser_try_recv_messages(pair[1], fds, MAX, 1, &status), 0);
    EQUAL(status, kind == SOCK_SEQPACKET ? 0 : -EBADMSG);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    ERRNO(fdpasser_try_recv_fds(pair[1], &fd, 1), EAGAIN);
    close_pair(pair);
}

/* The same with a full table: an empty packet needs no slot. */
static void empty_full_table(int kind)
{
    int pair[2];

    set_soft_limit(64);
    make_packets(kind, pair);
    EQUAL(send(pair[0], "", 0, 0), 0);
    send_numbered(pair[0], 1, 1);
    fill_table();
    if (kind == SOCK_SEQPACKET)
        EQUAL(fdpasser_recv_fd(pair[1]), 0);
    else
        ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    empty_table();
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
}

/* queue_packets.c has the queue that meets an empty datagram. */
static void seqpacket_empty_queue(void)
{
    int pair[2];
    fdpasser *p;

    make_packets(SOCK_SEQPACKET, pair);

    send_numbered(pair[0], 2, 1);
    EQUAL(send(pair[0], "", 0, 0), 0);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 2), 0);
    expect(p, 2);
    EQUAL(turn(p), 0);
    /* The peer still receives. */
    push_numbered(p, 3);
    EQUAL(fdpasser_process(p, POLLOUT), 0);
    RECEIVED(fdpasser_recv_fd(pair[0]), 3);
    fdpasser_free(p);
    close(pair[0]);
}

/* Both ends have a queue, with more in it than a socket holds. */
static void queues(int kind, unsigned per_message)
{
    int pair[2];
    fdpasser *p[2];

    make_packets(kind, pair);
    for (int i = 0; i < 2; i++) {
        p[i] = make_passer(pair[i]);
        EQUAL(fdpasser_set_per_message(p[i], per_message), 0);
        EQUAL(fdpasser_push_recv(p[i], 400), 0);
        for (int k = 0; k < 400; k++)
            push_numbered(p[i], 1000 * i + k);
    }
    EQUAL(fdpasser_drained(p[0]), 0);
    for (int received[2] = {0, 0}, fd; received[0] < 400 || received[1] < 400;) {
        for (int i = 0; i < 2; i++) {
            EQUAL(fdpasser_process(p[i], POLLIN | POLLOUT), 1);
            while ((fd = fdpasser_next_fd(p[i])) != -1)
                RECEIVED(fd, 1000 * !i + received[i]++);
        }
    }
    for (int i = 0; i < 2; i++) {
        EQUAL(fdpasser_queued(p[i]), 0);
        EQUAL(fdpasser_drained(p[i]), 1);
    }
    free_passers(p);
}

/* The peer closed after it read everything that we sent. */
static void seqpacket_end(void)
{
    int pair[2], fd = numbered(9);
    fdpasser *p;

    make_packets(SOCK_SEQPACKET, pair);
    send_numbered(pair[0], 1, 1);
    close(pair[0]);
    ERRNO(fdpasser_send_fd(pair[1], fd), EPIPE);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    close(pair[1]);

    for (int sending = 0; sending < 2; sending++) {
        make_packets(SOCK_SEQPACKET, pair);
        send_numbered(pair[0], 1, 1);
        send_numbered(pair[0], 2, 1);
        close(pair[0]);
        p = make_passer(pair[1]);
        EQUAL(fdpasser_push_recv(p, 3), 0);
        if (sending)
            push_numbered(p, 9);
        expect(p, 1);
        expect(p, 2);
        if (sending)
            ERRNO(turn(p), EPIPE);
        else
            EQUAL(turn(p), 0);
        fdpasser_free(p);
    }
    close(fd);
}

/* The peer closed with something unread. Linux reports that before it hands out what is left. */
static void seqpacket_reset(void)
{
    int pair[2], fd = numbered(9);

    make_packets(SOCK_SEQPACKET, pair);
    EQUAL(fdpasser_send_fd(pair[1], fd), 1);
    send_numbered(pair[0], 1, 1);
    close(pair[0]);
    ERRNO(fdpasser_recv_fd(pair[1]), ECONNRESET);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    ERRNO(fdpasser_send_fd(pair[1], fd), EPIPE);
    close(pair[1]);
    close(fd);
}

/* A queue reports it last: everything that is left is handed out first, however the end was
 * noticed. */
static void seqpacket_reset_queue(int sending, int full)
{
    int pair[2], messages = full ? 1 : 5;
    fdpasser *p;

    if (full)
        set_soft_limit(LARGE + 64);
    make_packets(SOCK_SEQPACKET, pair);
    p = make_passer(pair[1]);
    push_numbered(p, 9);
    send_all(p);
    for (int i = 0; i < messages; i++)
        send_numbered(pair[0], LARGE * i, LARGE);
    close(pair[0]);
    EQUAL(fdpasser_push_recv(p, 1000), 0);
    if (sending)
        push_numbered(p, 9);
    if (full) {
        fill_table();
        for (int i = 0; i < 3; i++) {
            EQUAL(turn(p), 1);
            ERRNO(fdpasser_next_fd(p), EAGAIN);
            CHECK(fdpasser_timeout_ms(p) > 0);
        }
        empty_table();
    }
    for (int i = 0; i < messages * LARGE; i++)
        expect(p, i);
    ERRNO(turn(p), ECONNRESET);
    check_over(p, ECONNRESET);
    fdpasser_free(p);
}

/* Sending failed with another error before the peer closed. What is left is handed out all the
 * same. */
static void seqpacket_reset_later(void)
{
    enum { MESSAGES = 5 };
    int pair[2];
    fdpasser *p;

    make_packets(SOCK_SEQPACKET, pair);
    p = make_passer(pair[1]);
    push_numbered(p, 9);
    send_all(p);
    for (int i = 0; i < MESSAGES; i++)
        send_numbered(pair[0], LARGE * i, LARGE);
    EQUAL(shutdown(pair[0], SHUT_RD), 0);
    EQUAL(fdpasser_push_recv(p, 1000), 0);
    push_numbered(p, 9);
    EQUAL(turn(p), 1); /* one turn takes a few of them only */
    close(pair[0]);
    for (int i = 0; i < MESSAGES * LARGE; i++)
        expect(p, i);
    EQUAL(end_of(p), -1);
    check_over(p, EPIPE);
    fdpasser_free(p);
}

/* Only sending shows that the peer is gone, and then what it had sent is gone as well. */
static void datagram_end(void)
{
    int pair[2], fd = numbered(9);
    fdpasser *p;

    make_packets(SOCK_DGRAM, pair);
    EQUAL(fdpasser_send_fd(pair[1], fd), 1); /* nothing shows that it stays unread, either */
    for (int i = 0; i < 3; i++)
        send_numbered(pair[0], i, 1);
    close(pair[0]);
    RECEIVED(fdpasser_recv_fd(pair[1]), 0);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(readable(pair[1]), 1);
    ERRNO(fdpasser_send_fd(pair[1], fd), ECONNREFUSED);
    EQUAL(readable(pair[1]), 0);
    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
    ERRNO(fdpasser_send_fd(pair[1], fd), ENOTCONN);
    EQUAL(fdpasser_retry_ms(ECONNREFUSED), -1);
    close(pair[1]);
    close(fd);

    make_packets(SOCK_DGRAM, pair);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 2), 0);
    send_numbered(pair[0], 1, 1);
    close(pair[0]);
    expect(p, 1);
    check_idle(p); /* this stays so for ever */
    EQUAL(fdpasser_events(p), POLLIN);
    EQUAL(fdpasser_timeout_ms(p), -1);
    push_numbered(p, 9);
    ERRNO(fdpasser_process(p, POLLOUT), ECONNREFUSED);
    check_over(p, ECONNREFUSED);
    EQUAL(fdpasser_queued(p), 1);
    fdpasser_free(p);
}

static void test(void)
{
    static const int kinds[] = {SOCK_SEQPACKET, SOCK_DGRAM};

    for (size_t i = 0; i < LENGTH(kinds); i++) {
        empty_single(kinds[i]);
        IN_CHILD(empty_full_table(kinds[i]));
        queues(kinds[i], 1);
        queues(kinds[i], 16);
    }
    seqpacket_empty_queue();
    seqpacket_end();
    seqpacket_reset();
    for (int sending = 0; sending < 2; sending++) {
        seqpacket_reset_queue(sending, 0);
        IN_CHILD(seqpacket_reset_queue(sending, 1));
    }
    seqpacket_reset_later();
    datagram_end();
}
