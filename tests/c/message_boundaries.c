/* A message is sent whole, or it is refused and nothing of it is sent, for every length and every size of the send
 * buffer. The receiver's side decides: one call gets all of it, and nothing is left behind.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it tests what that kernel does. */
#include "data.h"

static unsigned char sent[DATA + 1], got[DATA];

/* What the kernel does not cut. */
static int fits(size_t len, int size)
{
    return len <= 2048 || (len <= DATA && len <= (size_t)size / 2 - 64);
}

static void every_length(int pair[2], int size, size_t step)
{
    int fd = numbered(1), result;
    size_t got_len;

    for (size_t len = 1; len <= DATA + 1; len += len > 2000 && len < 2300 ? 1 : step) {
        sent[0] = (unsigned char)(1 + len % 255);
        snprintf(round_name, sizeof round_name, "SO_SNDBUF %d, %zu bytes: ", size, len);
        if (!fits(len, size)) {
            ERRNO(fdpasser_send_message(pair[0], &fd, 1, sent, len), EMSGSIZE);
            check_nothing_waits(pair[1]);
            continue;
        }
        EQUAL(fdpasser_send_message(pair[0], &fd, 1, sent, len), 1);
        got_len = 0;
        EQUAL(fdpasser_recv_message(pair[1], &result, 1, got, sizeof got, &got_len), 1);
        close(result);
        EQUAL(got_len, len);
        CHECK(memcmp(got, sent, len) == 0);
        check_nothing_waits(pair[1]);
    }
    close(fd);
}

/* Whoever drops the data stays in step too, whatever the length. */
static void dropped(int pair[2], size_t step)
{
    static int fds[MAX];
    int fd = numbered(1), status, got_fd;

    for (size_t len = 1; len <= DATA; len += step) {
        snprintf(round_name, sizeof round_name, "dropped, %zu bytes: ", len);
        EQUAL(fdpasser_send_message(pair[0], &fd, 1, sent, len), 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
        check_nothing_waits(pair[1]);
        EQUAL(fdpasser_send_message(pair[0], &fd, 1, sent, len), 1);
        EQUAL(fdpasser_recv_fds(pair[1], &got_fd, 1), 1);
        RECEIVED(got_fd, 1);
        check_nothing_waits(pair[1]);
        EQUAL(fdpasser_send_message(pair[0], &fd, 1, sent, len), 1);
        EQUAL(fdpasser_try_recv_messages(pair[1], fds, MAX, 1, &status), 1);
        RECEIVED(fds[0], 1);
        check_nothing_waits(pair[1]);
    }
    close(fd);
}

static void test(void)
{
    int pair[2], size, last = 0;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    make_pair(pair);
    set_nonblocking(pair[0], 1);
    set_nonblocking(pair[1], 1);
    for (int ask = 1; ask <= 4160; ask += on_valgrind() ? 1039 : 63) {
        if ((size = set_send_buffer(pair[0], ask)) == last)
            continue; /* the kernel allows no less */
        last = size;
        every_length(pair, size, on_valgrind() ? 97 : 1);
    }
    CHECK(size >= 8192);
    EQUAL(set_send_buffer(pair[0], 4160), 8320);
    every_length(pair, 8320, on_valgrind() ? 97 : 1);
    dropped(pair, on_valgrind() ? 97 : 1);
    EQUAL(fdpasser_send_message(pair[0], pair, 1, sent, DATA), 1);
    EQUAL(close(fdpasser_recv_fd(pair[1])), 0);
    close_pair(pair);
}
