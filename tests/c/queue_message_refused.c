/* A descriptor with data that cannot be sent comes back, and its data goes with it. Those before and behind it arrive, each
 * with its own data, also where several are joined in a message.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it has io_uring, whose descriptors are refused. */
#include "queue_data.h"

/* Bit i of `rings` says that descriptor i cannot be sent, and bit i of `data` that it has data. */
static void run(unsigned rings, unsigned data, int n, unsigned per_message)
{
    static unsigned char text[100];
    int refused = 0, error = ring_error();
    fdpasser *p[2];

    snprintf(round_name, sizeof round_name, "rings %x, data %x, per_message %u: ", rings, data, per_message);
    make_passers(p);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], n), 0);
    EQUAL(fdpasser_set_per_message(p[0], per_message), 0);
    for (int i = 0; i < n; i++)
        if (rings >> i & 1)
            EQUAL(fdpasser_push_send_message(p[0], make_ring(), text, data >> i & 1 ? sizeof text : 0), 1);
        else
            push_with_data(p[0], 1 + i, data >> i & 1 ? 50 + (size_t)i : 0);
    while (fdpasser_queued(p[0]) > 0) {
        int state = turn(p[0]), fd;

        if (state == 1)
            continue;
        EQUAL(errno, error);
        fd = fdpasser_refused(p[0]);
        OURS(fd);
        close(fd);
        refused++;
    }
    for (int i = 0; i < n; i++)
        if (rings >> i & 1)
            refused--;
        else
            expect_with_data(p[1], 1 + i, data >> i & 1 ? 50 + (size_t)i : 0);
    EQUAL(refused, 0);
    free_passers(p);
}

static void test(void)
{
    close(make_ring()); /* if there is none, ring_error() skips */
    for (unsigned rings = 0; rings < 32; rings += on_valgrind() ? 9 : 1)
        for (unsigned data = 0; data < 32; data += on_valgrind() ? 7 : 1)
            run(rings, data, 5, 7);
    run(0x15, 0x0e, 5, 1);
    run(0x1f, 0x1f, 5, 1);
}
