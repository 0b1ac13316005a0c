/* A passer may be freed at any moment. Nothing stays open or allocated, and the peer receives
 * everything that was sent by then, and an end.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

enum { TOTAL = 250 };

static void free_after(int turns, int take)
{
    fdpasser *p[2];
    int before = open_descriptors(), queued, got = 0, state, sent;

    make_passers(p);
    EQUAL(fdpasser_push_recv(p[0], 50), 0);
    EQUAL(fdpasser_push_recv(p[1], 1000), 0);
    for (int i = 0; i < TOTAL; i++) {
        push_numbered(p[0], i);
        push_numbered(p[1], 1000 + i);
    }
    EQUAL(fdpasser_set_per_message(p[1], 16), 0);
    for (int i = 0; i < turns; i++) {
        EQUAL(fdpasser_process(p[0], POLLIN | POLLOUT), 1);
        EQUAL(fdpasser_process(p[1], POLLIN | POLLOUT), 1);
    }
    for (int i = 0; i < take && turns > 1; i++)
        RECEIVED(fdpasser_next_fd(p[0]), 1000 + i);
    queued = fdpasser_queued(p[0]);
    sent = TOTAL - queued;
    fdpasser_free(p[0]);

    while (got < sent) {
        int fd = fdpasser_next_fd(p[1]);

        if (fd != -1)
            RECEIVED(fd, got++);
        else
            EQUAL(turn(p[1]), 1);
    }
    while ((state = turn(p[1])) == 1)
        ERRNO(fdpasser_next_fd(p[1]), EAGAIN);
    if (!SYSV) /* with STREAMS the end is orderly, whether everything was read or not */
        EQUAL(state, -1);
    CHECK(state == 0 || errno == EPIPE || errno == ECONNRESET);
    fdpasser_free(p[1]);
    EQUAL(open_descriptors(), before);
}

static void test(void)
{
    for (int turns = 0; turns < 6; turns++)
        for (int take = 0; take < 50; take += 24)
            free_after(turns, take);
}
