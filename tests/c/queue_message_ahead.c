/* Whether bytes without a descriptor come alone or joined to the next message is chance. A queue that wants data hands
 * out the same in both cases.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

/* Bytes, and then a descriptor with other bytes. Returns the length of the data, or -1 if the queue failed. */
static int run(const void *ahead, size_t n_ahead, const void *bytes, size_t n_bytes, int alone, unsigned char *data)
{
    int pair[2], fd, one = numbered(1), state = 1;
    size_t len = 0;
    fdpasser *p;

    make_pair(pair);
    p = make_reader(pair[1], 10);
    hostile_send(pair[0], ahead, n_ahead, NULL, 0);
    if (alone)
        EQUAL(turn(p), 1);
    hostile_send(pair[0], bytes, n_bytes, &one, 1);
    close(one);
    while ((fd = fdpasser_next_message(p, data, DATA, &len)) == -1 && state == 1)
        state = turn(p);
    if (fd != -1)
        RECEIVED(fd, 1);
    fdpasser_free(p);
    close(pair[0]);
    return fd == -1 ? -1 : (int)len;
}

static void same(const char *name, const void *ahead, size_t n_ahead, const void *bytes, size_t n_bytes)
{
    unsigned char alone[DATA], joined[DATA];
    int len = run(ahead, n_ahead, bytes, n_bytes, 0, joined);

    snprintf(round_name, sizeof round_name, "%s: ", name);
    EQUAL(run(ahead, n_ahead, bytes, n_bytes, 1, alone), len);
    CHECK(len <= 0 || memcmp(alone, joined, (size_t)len) == 0);
}

static void test(void)
{
    static char text[DATA];

    memset(text, 'x', sizeof text);
    same("data", "ahead", 5, "data", 4);
    same("as much as fits", text, DATA - 4, "data", 4);
    same("a NUL ahead", "", 1, "data", 4);
    same("a lone NUL behind", "ahead", 5, "", 1);
}
