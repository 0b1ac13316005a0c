/* One message carries 253 descriptors, whichever call sends it, and with every C library: that of Debian 12's musl refuses
 * them in sendmsg(3), with an errno that a queue would wait for.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
/* Only on Linux: elsewhere a message may carry fewer. */
#include "queue.h"

static int fds[MAX];

static void open_all(int n)
{
    for (int i = 0; i < n; i++)
        fds[i] = numbered(i);
}

static void close_all(int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void test(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    for (int n = MAX - 2; n <= MAX; n++) {
        open_all(n);
        EQUAL(fdpasser_send_fds(pair[0], fds, (size_t)n, (unsigned)n), n);
        EQUAL(fdpasser_try_send_fds(pair[0], fds, (size_t)n, (unsigned)n), n);
        EQUAL(fdpasser_send_message(pair[0], fds, (size_t)n, "data", 4), n);
        close_all(n);
        for (int i = 0; i < 3; i++)
            receive_numbered(pair[1], 0, (size_t)n);
    }

    p = make_passer(pair[0]);
    EQUAL(fdpasser_set_per_message(p, MAX), 0);
    for (int i = 0; i < MAX; i++)
        push_numbered(p, i);
    EQUAL(turn(p), 1);
    EQUAL(fdpasser_queued(p), 0);
    receive_numbered(pair[1], 0, MAX);
    fdpasser_free(p);
    close(pair[1]);
}
