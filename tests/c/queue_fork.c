/* After a fork one process goes on with the queue and the other frees its copy. Each descriptor is
 * sent once, and the peer sees the end when both copies are gone.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

static void test(void)
{
    fdpasser *p[2];
    pid_t child;
    int before;

    make_passers(p);
    for (int i = 0; i < 200; i++)
        push_numbered(p[0], i);
    EQUAL(fdpasser_push_recv(p[0], 1), 0);
    EQUAL(fdpasser_process(p[0], POLLOUT), 1);
    CHECK(fdpasser_queued(p[0]) > 0 && fdpasser_queued(p[0]) < 200);
    if ((child = spawn()) == 0) {
        before = open_descriptors();
        fdpasser_free(p[1]);
        fdpasser_free(p[0]);
        CHECK(open_descriptors() < before - 2);
        _exit(0);
    }
    join(child);
    EQUAL(fdpasser_push_recv(p[1], 201), 0);
    for (int i = 0; i < 200; i++) {
        if (i == 50)
            send_all(p[0]);
        expect(p[1], i);
    }
    check_idle(p[1]);

    /* Now the child goes on. */
    for (int i = 0; i < 200; i++)
        push_numbered(p[0], i);
    if ((child = spawn()) == 0) {
        fdpasser_free(p[1]);
        send_all(p[0]);
        fdpasser_free(p[0]);
        _exit(0);
    }
    fdpasser_free(p[0]);
    EQUAL(fdpasser_push_recv(p[1], 200), 0);
    for (int i = 0; i < 200; i++)
        expect(p[1], i);
    EQUAL(end_of(p[1]), 0);
    fdpasser_free(p[1]);
    join(child);
}
