/* On packet sockets an error that is about one packet is only that packet's. A queue reports it once, in its place among the
 * descriptors, and goes on with the next packet, whether it wants data or not.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
/* Only on Linux: it tests what that kernel does. */
#include "queue_data.h"

static unsigned char text[DATA + 1];
static int pair[2];
static fdpasser *p;

static void begin(int kind, int wants_data, int n)
{
    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_want_data(p, wants_data), 0);
    EQUAL(fdpasser_push_recv(p, n), 0);
}

static void end(void)
{
    fdpasser_free(p);
    close(pair[0]);
}

/* So many bytes, with `n` descriptors. */
static void send_bytes(size_t len, size_t n)
{
    int fds[3] = {numbered(1), numbered(2), numbered(3)};

    hostile_send(pair[0], text, len, fds, n);
    for (size_t i = 0; i < LENGTH(fds); i++)
        close(fds[i]);
}

/* Turns until there is a verdict on one packet. It comes once, and nothing is over. */
static void expect_error(int error)
{
    ERRNO(end_of(p), error);
    EQUAL(fdpasser_refused(p), -1);
    EQUAL(fdpasser_events(p), POLLIN);
}

/* Each bad packet between two good ones. */
static void in_place(int kind, int wants_data)
{
    static const struct {
        size_t len, n;
        int error, error_with_data;
    } bad[] = {
        {1, 0, EBADMSG, EBADMSG},
        {5, 0, EBADMSG, EBADMSG},
        {DATA, 0, EBADMSG, EBADMSG},
        {DATA + 1, 0, EBADMSG, EMSGSIZE}, /* it is both */
        {DATA + 1, 1, EMSGSIZE, EMSGSIZE},
        {DATA + 1, 3, EMSGSIZE, EMSGSIZE},
        {0, 0, EBADMSG, EBADMSG},
    };
    /* An empty packet is the end on SOCK_SEQPACKET. */
    size_t n_bad = LENGTH(bad) - (kind == SOCK_SEQPACKET);

    begin(kind, wants_data, 100);
    for (size_t round = 0; round < 3; round++) /* 0: one after the other; 1: all wait together; 2: without good ones */
        for (size_t i = 0, checked = 0; i < n_bad; i++) {
            int before = open_descriptors();

            if (round < 2)
                EQUAL(send_with_data(pair[0], 1 + (int)i, 1, 10 * i), 1);
            send_bytes(bad[i].len, bad[i].n);
            if (round > 0 && i + 1 < n_bad)
                continue;
            for (size_t k = round > 0 ? checked : i; k <= i; k++, checked++) {
                if (round < 2)
                    expect_with_data(p, 1 + (int)k, wants_data ? 10 * k : 0);
                expect_error(wants_data ? bad[k].error_with_data : bad[k].error);
            }
            EQUAL(open_descriptors(), before);
        }
    /* The bytes of none of them have become the data of this one. */
    EQUAL(send_with_data(pair[0], 7, 1, 77), 1);
    expect_with_data(p, 7, wants_data ? 77 : 0);
    check_idle(p);
    EQUAL(fdpasser_timeout_ms(p), -1);
    end();
}

/* The descriptors in front of it are handed out first, and nothing is received before the error is told. */
static void in_order(int kind, int wants_data)
{
    begin(kind, wants_data, 5);
    for (int i = 1; i <= 3; i++)
        send_numbered(pair[0], i, 1);
    send_bytes(5, 0);
    send_numbered(pair[0], 4, 1);
    for (int i = 1; i <= 3; i++) {
        EQUAL(fdpasser_process(p, POLLIN), 1);
        EQUAL(fdpasser_process(p, POLLIN | POLLHUP), 1);
        EQUAL(fdpasser_timeout_ms(p), 0);
        RECEIVED(fdpasser_next_fd(p), i);
    }
    EQUAL(fdpasser_events(p), 0);
    EQUAL(fdpasser_timeout_ms(p), 0);
    ERRNO(fdpasser_process(p, 0), EBADMSG);
    expect_soon(p, 4);
    EQUAL(fdpasser_process(p, POLLIN), 1);
    end();
}

/* Nothing that was not asked for is looked at. */
static void not_asked_for(int kind, int wants_data)
{
    begin(kind, wants_data, 1);
    send_numbered(pair[0], 1, 1);
    send_bytes(5, 0);
    expect(p, 1);
    check_idle(p);
    EQUAL(fdpasser_timeout_ms(p), -1);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    expect_error(EBADMSG);
    end();
}

/* Sending goes on, before and after, and a descriptor that is refused is told first. */
static void sending(int kind, int wants_data)
{
    int ring = make_ring(), error;

    begin(kind, wants_data, 1);
    send_bytes(5, 0);
    push_numbered(p, 1);
    if (ring != -1)
        EQUAL(fdpasser_push_send_fd(p, ring), 1);
    push_numbered(p, 2);
    EQUAL(fdpasser_process(p, POLLIN | POLLOUT), -1);
    error = errno;
    if (error != EBADMSG) {
        CHECK(error == EINVAL || error == EOPNOTSUPP);
        EQUAL(fdpasser_refused(p), ring);
        close(ring);
        EQUAL(fdpasser_timeout_ms(p), 0);
        ERRNO(fdpasser_process(p, POLLIN | POLLOUT), EBADMSG);
    }
    EQUAL(fdpasser_refused(p), -1);
    push_numbered(p, 3);
    send_all(p);
    RECEIVED(fdpasser_recv_fd(pair[0]), 1);
    if (error == EBADMSG && ring != -1) /* this kernel sends one */
        close(fdpasser_recv_fd(pair[0]));
    RECEIVED(fdpasser_recv_fd(pair[0]), 2);
    RECEIVED(fdpasser_recv_fd(pair[0]), 3);
    end();
}

/* The peer is gone. What it had sent, good or bad, comes before that. */
static void then_the_end(int wants_data, int reset)
{
    begin(SOCK_SEQPACKET, wants_data, 10);
    if (reset) {
        push_numbered(p, 9);
        send_all(p);
    }
    send_bytes(5, 0);
    send_numbered(pair[0], 1, 1);
    send_bytes(DATA + 1, 2);
    close(pair[0]);
    ERRNO(end_of(p), EBADMSG);
    expect(p, 1);
    ERRNO(end_of(p), EMSGSIZE);
    if (reset) {
        ERRNO(end_of(p), ECONNRESET);
        check_over(p, ECONNRESET);
    } else {
        EQUAL(end_of(p), 0);
    }
    fdpasser_free(p);
}

/* In a full table it waits: a byte could have a descriptor. */
static void full_table(int kind, int wants_data)
{
    set_soft_limit(64);
    begin(kind, wants_data, 10);
    send_bytes(DATA + 1, 2);
    send_bytes(5, 0);
    send_numbered(pair[0], 1, 1);
    fill_table();
    pauses(p, 2);
    free_slots(2);
    ERRNO(end_of(p), EMSGSIZE);
    ERRNO(end_of(p), EBADMSG);
    expect(p, 1);
    empty_table();
    end();
}

static void test(void)
{
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 4; i++) {
        int kind = i / 2 ? SOCK_DGRAM : SOCK_SEQPACKET, wants_data = i % 2;

        snprintf(round_name, sizeof round_name, "%s, data %d: ", i / 2 ? "datagrams" : "packets", wants_data);
        IN_CHILD(in_place(kind, wants_data));
        IN_CHILD(in_order(kind, wants_data));
        IN_CHILD(not_asked_for(kind, wants_data));
        IN_CHILD(sending(kind, wants_data));
        IN_CHILD(full_table(kind, wants_data));
        if (kind == SOCK_SEQPACKET)
            for (int reset = 0; reset < 2; reset++)
                IN_CHILD(then_the_end(wants_data, reset));
    }
}
