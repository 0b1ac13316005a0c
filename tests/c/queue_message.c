/* Queues with data: each descriptor arrives with its data, in order, between descriptors without. A queue keeps data only
 * if it is asked to. Bytes without a descriptor belong to the next descriptor, or are an error at the end.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue.h"

enum { DATA = FDPASSER_MAX_DATA };

static char text[DATA + 1];

static void push(fdpasser *p, int number, size_t len)
{
    EQUAL(fdpasser_push_send_message(p, numbered(number), text, len), 1);
}

/* Waits for the next descriptor, which has this number and so much data. */
static void expect_message(fdpasser *p, int number, size_t len)
{
    char got[DATA];
    size_t got_len = 99;
    int fd;

    while ((fd = fdpasser_next_message(p, got, sizeof got, &got_len)) == -1) {
        EQUAL(errno, EAGAIN);
        EQUAL(turn(p), 1);
    }
    RECEIVED(fd, number);
    EQUAL(got_len, len);
    CHECK(memcmp(got, text, len) == 0);
}

/* Every third descriptor has data. `per_message` does not matter to those. */
static void in_order(unsigned per_message)
{
    enum { N = 300 };
    fdpasser *p[2];

    make_passers(p);
    EQUAL(fdpasser_set_per_message(p[0], per_message), 0);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], N), 0);
    for (int i = 0; i < N; i++)
        if (i % 3 == 0)
            push(p[0], i, 2 + (size_t)i * 13 % (DATA - 2));
        else
            push_numbered(p[0], i);
    for (int i = 0; i < N; i++) {
        while (fdpasser_queued(p[0]) > N - 1 - i)
            CHECK(turn(p[0]) >= 0);
        expect_message(p[1], i, i % 3 == 0 ? 2 + (size_t)i * 13 % (DATA - 2) : 0);
    }
    fdpasser_free(p[0]);
    fdpasser_free(p[1]);
}

static void not_wanted(void)
{
    fdpasser *p[2];

    make_passers(p);
    EQUAL(fdpasser_push_recv(p[1], 10), 0);
    push(p[0], 1, DATA);
    push(p[0], 2, 5);
    while (fdpasser_queued(p[0]) > 0)
        EQUAL(turn(p[0]), 1);
    expect_message(p[1], 1, 0);
    expect(p[1], 2);
    /* From now on it is kept, and next_fd() drops it. */
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    push(p[0], 3, 7);
    push(p[0], 4, 8);
    push(p[0], 5, 9);
    while (fdpasser_queued(p[0]) > 0)
        EQUAL(turn(p[0]), 1);
    expect_message(p[1], 3, 7);
    expect(p[1], 4);
    expect_message(p[1], 5, 9);
    EQUAL(fdpasser_want_data(p[1], 0), 0);
    push(p[0], 6, 7);
    EQUAL(turn(p[0]), 1);
    expect_message(p[1], 6, 0);
    fdpasser_free(p[0]);
    fdpasser_free(p[1]);
}

static void bytes_ahead(void)
{
    int pair[2], fds[3];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_want_data(p, 1), 0);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    /* Alone, so that it is received before the message. */
    hostile_send(pair[0], text, 5, NULL, 0);
    EQUAL(turn(p), 1);
    hostile_send(pair[0], text + 5, 6, NULL, 0);
    EQUAL(turn(p), 1);
    for (int i = 0; i < 3; i++)
        fds[i] = numbered(1 + i);
    hostile_send(pair[0], text + 11, 9, fds, 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    expect_message(p, 1, 20);
    expect_message(p, 2, 0);
    expect_message(p, 3, 0);

    /* Together they are too long. */
    hostile_send(pair[0], text, DATA, NULL, 0);
    EQUAL(turn(p), 1);
    hostile_send(pair[0], text, 1, NULL, 0);
    ERRNO(end_of(p), EMSGSIZE);
    check_over(p, EMSGSIZE);
    fdpasser_free(p);
    close(pair[0]);

    /* The end comes, and no descriptor. */
    make_pair(pair);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_want_data(p, 1), 0);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    hostile_send(pair[0], text, 5, NULL, 0);
    EQUAL(turn(p), 1);
    close(pair[0]);
    ERRNO(end_of(p), EBADMSG);
    check_over(p, EBADMSG);
    fdpasser_free(p);
}

/* A socket whose buffer is too small for the message refuses it, and goes on. */
static void small_buffer(void)
{
    int size = 1, fd;
    fdpasser *p[2];

    make_passers(p);
    EQUAL(setsockopt(fdpasser_fileno(p[0]), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 10), 0);
    push(p[0], 1, 2048);
    push(p[0], 2, DATA);
    push(p[0], 3, 1);
    ERRNO(turn(p[0]), EMSGSIZE);
    fd = fdpasser_refused(p[0]);
    RECEIVED(fd, 2);
    expect_message(p[1], 1, 2048);
    while (fdpasser_queued(p[0]) > 0)
        EQUAL(turn(p[0]), 1);
    expect_message(p[1], 3, 1);
    fdpasser_free(p[0]);
    fdpasser_free(p[1]);
}

static void arguments(void)
{
    fdpasser *p[2];
    size_t len;
    int fd = numbered(1);

    make_passers(p);
    ERRNO(fdpasser_push_send_message(p[0], fd, text, DATA + 1), EMSGSIZE);
    ERRNO(fdpasser_push_send_message(p[0], fd, NULL, 1), EFAULT);
    ERRNO(fdpasser_push_send_message(p[0], -1, text, 1), EBADF);
    ERRNO(fdpasser_push_send_message(NULL, fd, text, 1), EINVAL);
    ERRNO(fdpasser_want_data(NULL, 1), EINVAL);
    ERRNO(fdpasser_next_message(p[0], text, DATA - 1, &len), EINVAL);
    ERRNO(fdpasser_next_message(p[0], NULL, DATA, &len), EFAULT);
    ERRNO(fdpasser_next_message(p[0], text, DATA, NULL), EFAULT);
    ERRNO(fdpasser_next_message(NULL, text, DATA, &len), EINVAL);
    close(fd);
    fdpasser_free(p[0]);
    fdpasser_free(p[1]);
}

static void test(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 11 + 1);
    IN_CHILD(in_order(1));
    IN_CHILD(in_order(7));
    IN_CHILD(not_wanted());
    IN_CHILD(bytes_ahead());
    IN_CHILD(small_buffer());
    IN_CHILD(arguments());
}
