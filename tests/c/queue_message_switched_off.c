/* A queue that no longer wants data keeps what it has received already, and drops what comes later. Data that is to be
 * sent is not affected. Each descriptor has its own data or none, however often that changes.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void test(void)
{
    int numbers = 0, pair[2];
    fdpasser *p[2], *q;

    make_passers(p);
    EQUAL(fdpasser_push_recv(p[1], 1000), 0);
    for (int round = 0; round < 60; round++) {
        int first = numbers + 1, want = round % 3 != 1;

        /* One batch comes while data is wanted or not. Before it is taken, that changes. */
        EQUAL(fdpasser_want_data(p[1], want), 0);
        numbers += 4;
        for (int i = first; i <= numbers; i++)
            push_with_data(p[0], i, i == first + 2 ? 0 : 10 + (size_t)(i * 61 % 4000));
        send_all(p[0]);
        EQUAL(turn(p[1]), 1);
        EQUAL(fdpasser_want_data(p[1], round % 2), 0);
        for (int i = first; i <= numbers; i++)
            if (round % 5 == 4 && i == first + 1) /* its data goes, and that of the next stays */
                RECEIVED(fdpasser_next_fd(p[1]), i);
            else
                next_with_data(p[1], i, want && i != first + 2 ? 10 + (size_t)(i * 61 % 4000) : 0);
    }
    push_with_data(p[0], 1, 500);
    EQUAL(fdpasser_want_data(p[0], 1), 0);
    EQUAL(fdpasser_want_data(p[0], 0), 0);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    send_all(p[0]);
    expect_with_data(p[1], 1, 500);
    free_passers(p);

    /* Bytes that came ahead are dropped too. Bytes alone are an error then. */
    make_pair(pair);
    q = make_reader(pair[1], 10);
    hostile_send(pair[0], "ahead", 5, NULL, 0);
    EQUAL(turn(q), 1);
    EQUAL(fdpasser_want_data(q, 0), 0);
    EQUAL(fdpasser_want_data(q, 1), 0);
    EQUAL(send_with_data(pair[0], 7, 1, 40), 1);
    expect_with_data(q, 7, 40);
    EQUAL(fdpasser_want_data(q, 0), 0);
    hostile_send(pair[0], "alone", 5, NULL, 0);
    ERRNO(end_of(q), EBADMSG);
    fdpasser_free(q);
    close(pair[0]);
}
