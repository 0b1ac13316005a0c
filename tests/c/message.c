/* A message with data: fdpasser_recv_message() gets exactly the bytes that were sent with the descriptors, whatever the
 * length. A lone NUL is no data. Whoever does not ask for data gets the descriptors and stays in step.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "check.h"

enum { DATA = FDPASSER_MAX_DATA };

static unsigned char sent[DATA + 1], got[DATA + 100];

/* Sends descriptors numbered from `first`, with the first `len` bytes. */
static ssize_t send_data(int passer, int first, size_t n, size_t len)
{
    int fds[MAX] = {0};
    ssize_t result;

    for (size_t i = 0; i < n; i++)
        fds[i] = numbered(first + (int)i);
    result = fdpasser_send_message(passer, fds, n, sent, len);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    return result;
}

static void expect_message(int passer, int first, size_t n, size_t len)
{
    int fds[MAX];
    size_t got_len = 99;

    memset(got, 0xee, sizeof got);
    EQUAL(fdpasser_recv_message(passer, fds, MAX, got, sizeof got, &got_len), (ssize_t)n);
    for (size_t i = 0; i < n; i++)
        RECEIVED(fds[i], first + (int)i);
    EQUAL(got_len, len);
    CHECK(memcmp(got, sent, len) == 0);
}

static void lengths(int pair[2])
{
    for (size_t len = 1; len <= DATA; len += len < 40 || len > DATA - 40 ? 1 : 37) {
        EQUAL(send_data(pair[0], 1, 1, len), 1);
        EQUAL(send_data(pair[0], 2, 3, len), 3);
        EQUAL(send_data(pair[0], 5, 1, 0), 1);
        expect_message(pair[1], 1, 1, len);
        expect_message(pair[1], 2, 3, len);
        expect_message(pair[1], 5, 1, 0);
    }
}

static void without_asking(int pair[2])
{
    int fds[MAX];

    EQUAL(send_data(pair[0], 1, 1, DATA), 1);
    EQUAL(send_data(pair[0], 2, 2, 5), 2);
    EQUAL(send_data(pair[0], 4, 1, 1), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(fdpasser_recv_fds(pair[1], fds, MAX), 2);
    RECEIVED(fds[0], 2);
    RECEIVED(fds[1], 3);
    RECEIVED(fdpasser_recv_fd(pair[1]), 4);
}

/* Bytes without a descriptor come along with EBADMSG, and joined bytes as data of the message. */
static void bytes_alone(int pair[2])
{
    int fds[MAX];
    size_t len = 0;

    hostile_send(pair[0], "hello", 5, NULL, 0);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, &len), EBADMSG);
    EQUAL(len, 5);
    CHECK(memcmp(got, "hello", 5) == 0);
    hostile_send(pair[0], "hello", 5, NULL, 0);
    send_numbered(pair[0], 1, 1);
    EQUAL(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, &len), 1);
    RECEIVED(fds[0], 1);
    EQUAL(len, 6);
    CHECK(memcmp(got, "hello", 6) == 0);
    send_numbered(pair[0], 2, 1);
    EQUAL(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, &len), 1);
    RECEIVED(fds[0], 2);
    EQUAL(len, 0);
}

static void too_long(int pair[2])
{
    static char text[DATA + 1];
    int fds[MAX], fd = numbered(1), before = open_descriptors();
    size_t len = 0;

    ERRNO(send_data(pair[0], 1, 1, DATA + 1), EMSGSIZE);
    hostile_send(pair[0], text, sizeof text, &fd, 1);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, &len), EMSGSIZE);
    hostile_send(pair[0], text, sizeof text, &fd, 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
    EQUAL(open_descriptors(), before);
    close(fd);
}

static void full_table(int pair[2])
{
    int fds[MAX];
    size_t len = 77;

    set_soft_limit(64);
    EQUAL(send_data(pair[0], 1, 1, 300), 1);
    EQUAL(send_data(pair[0], 2, 1, 400), 1);
    fill_table();
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, &len), EMFILE);
    free_slots(1);
    expect_message(pair[1], 1, 1, 300);
    expect_message(pair[1], 2, 1, 400);
    empty_table();
}

static void arguments(int pair[2])
{
    int fds[MAX + 1] = {0};
    size_t len;

    ERRNO(fdpasser_send_message(pair[0], fds, 0, "x", 1), EINVAL);
    ERRNO(fdpasser_send_message(pair[0], fds, MAX + 1, "x", 1), EINVAL);
    ERRNO(fdpasser_send_message(pair[0], NULL, 1, "x", 1), EFAULT);
    ERRNO(fdpasser_send_message(pair[0], fds, 1, NULL, 1), EFAULT);
    ERRNO(fdpasser_send_message(pair[0], (int[]){0, -1}, 2, "x", 1), EBADF);
    ERRNO(fdpasser_send_message(pair[0], fds, 1, "x", SIZE_MAX), EMSGSIZE);
    ERRNO(fdpasser_recv_message(pair[1], fds, 0, got, sizeof got, &len), EINVAL);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, DATA - 1, &len), EINVAL);
    ERRNO(fdpasser_recv_message(pair[1], NULL, MAX, got, sizeof got, &len), EFAULT);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, NULL, sizeof got, &len), EFAULT);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, sizeof got, NULL), EFAULT);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
}

static void with_pair(void (*part)(int[2]))
{
    int pair[2];

    make_pair(pair);
    part(pair);
    close_pair(pair);
}

static void test(void)
{
    void (*parts[])(int[2]) = {lengths, without_asking, bytes_alone, too_long, full_table, arguments};
    int pair[2];

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + 1);
    for (size_t i = 0; i < LENGTH(parts); i++)
        IN_CHILD(with_pair(parts[i]));

    /* The end. */
    make_pair(pair);
    EQUAL(send_data(pair[0], 1, 1, 10), 1);
    close(pair[0]);
    expect_message(pair[1], 1, 1, 10);
    expect_message(pair[1], 0, 0, 0);
    close(pair[1]);
}
