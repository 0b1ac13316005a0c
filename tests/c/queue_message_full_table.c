/* A queue whose table is full pauses, and the data waits with its descriptors. Once there are slots, each descriptor
 * comes with its own data.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void full(int per_slot)
{
    fdpasser *p[2];
    int n = 5;

    make_passers(p);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 2 * n), 0);
    for (int i = 1; i <= n; i++) {
        push_with_data(p[0], i, 100 * (size_t)i);
        push_numbered(p[0], 100 + i);
    }
    send_all(p[0]);
    set_soft_limit(64);
    fill_table();
    pauses(p[1], 3);
    for (int i = 1; i <= n; i++) {
        free_slots((size_t)per_slot);
        expect_with_data(p[1], i, 100 * (size_t)i);
        if (per_slot == 1)
            fill_table(), EQUAL(turn(p[1]), 1), free_slots(1);
        expect_with_data(p[1], 100 + i, 0);
        fill_table();
    }
    empty_table();
    free_passers(p);
}

/* A message of several descriptors, which fits only with all of its slots. */
static void several(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    EQUAL(send_with_data(pair[0], 1, 4, 500), 4);
    EQUAL(send_with_data(pair[0], 5, 2, 600), 2);
    p = make_reader(pair[1], 6);
    set_soft_limit(64);
    fill_table();
    for (int slots = 0; slots < 4; slots++) {
        pauses(p, 1);
        free_slots(1);
    }
    expect_with_data(p, 1, 500);
    for (int i = 2; i <= 4; i++)
        next_with_data(p, i, 0);
    expect_with_data(p, 5, 600);
    expect_with_data(p, 6, 0);
    empty_table();
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    IN_CHILD(full(1));
    IN_CHILD(full(2));
    IN_CHILD(several());
}
