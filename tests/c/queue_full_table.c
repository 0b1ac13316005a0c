/* While the table is full, receiving pauses without spinning, and sending goes on. Receiving
 * resumes by itself, and nothing is lost.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

static void full(unsigned limit)
{
    int pair[2], spare, timeout;
    fdpasser *p;

    set_soft_limit(limit);
    make_pair(pair);
    p = make_passer(pair[1]);
    for (int i = 0; i < 20; i++)
        send_numbered(pair[0], i, 1);
    spare = numbered(77);
    EQUAL(fdpasser_push_recv(p, 20), 0);
    fill_table();

    EQUAL(fdpasser_process(p, POLLIN), 1);
    EQUAL(fdpasser_events(p), 0);
    timeout = fdpasser_timeout_ms(p);
    CHECK(timeout > 0 && timeout <= fdpasser_retry_ms(EMFILE));
    for (int i = 0; i < 100; i++) /* all of them too early */
        EQUAL(fdpasser_process(p, POLLIN | POLLHUP), 1);
    CHECK(fdpasser_timeout_ms(p) <= timeout);
    pauses(p, 4);

    /* The other direction is not paused. */
    EQUAL(fdpasser_push_send_fd(p, spare), 1);
    EQUAL(fdpasser_events(p), POLLOUT);
    EQUAL(fdpasser_process(p, POLLOUT), 1);
    EQUAL(fdpasser_queued(p), 0);

    /* Sending freed one slot, which is enough for all that follow, one at a time. */
    for (int i = 0; i < 20; i++)
        expect(p, i);
    empty_table();
    RECEIVED(fdpasser_recv_fd(pair[0]), 77);
    check_idle(p);
    fdpasser_free(p);
    close(pair[0]);
}

/* The end is reported although the table is full. */
static void full_at_the_end(void)
{
    fdpasser *p[2];

    make_passers(p);
    push_numbered(p[0], 1);
    send_all(p[0]);
    set_soft_limit(64);
    EQUAL(fdpasser_push_recv(p[1], 5), 0);
    fill_table();
    EQUAL(fdpasser_process(p[1], POLLIN), 1);
    fdpasser_free(p[0]);
    fill_table();
    pauses(p[1], 2);
    free_slots(1);
    expect(p[1], 1);
    fill_table();
    EQUAL(turn(p[1]), 0);
    empty_table();
    fdpasser_free(p[1]);
}

static void test(void)
{
    static const unsigned limits[] = {16, 64, 256, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++)
        IN_CHILD(full(limits[i]));
    IN_CHILD(full_at_the_end());
}
