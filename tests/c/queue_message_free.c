/* A queue that is freed with data in both directions, and with bytes that came ahead, leaves nothing behind. Nor does
 * one that failed, or whose descriptor was refused. (Valgrind looks for the memory.)
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void both_directions(void)
{
    fdpasser *p[2];

    make_passers(p);
    for (int i = 0; i < 2; i++) {
        EQUAL(fdpasser_want_data(p[i], 1), 0);
        EQUAL(fdpasser_push_recv(p[i], 10), 0);
        for (int k = 1; k <= 6; k++)
            push_with_data(p[i], k, (size_t)k * 600);
    }
    for (int i = 0; i < 2; i++)
        send_all(p[i]);
    for (int i = 0; i < 2; i++)
        EQUAL(turn(p[i]), 1);
    next_with_data(p[0], 1, 600);
    for (int i = 0; i < 2; i++)
        push_with_data(p[i], 7, DATA);
    free_passers(p);
}

static void ahead(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_reader(pair[1], 10);
    hostile_send(pair[0], "ahead", 5, NULL, 0);
    EQUAL(turn(p), 1);
    fdpasser_free(p);
    close(pair[0]);
}

static void failed(void)
{
    fdpasser *p[2];
    int fd = numbered(1);

    make_passers(p);
    push_with_data(p[0], 1, DATA);
    push_with_data(p[0], 2, DATA);
    fdpasser_free(p[1]);
    ERRNO(end_of(p[0]), EPIPE);
    EQUAL(fdpasser_queued(p[0]), 2);
    ERRNO(fdpasser_push_send_message(p[0], fd, "data", 4), EPIPE);
    EQUAL(number_of(fd), 1);
    close(fd);
    fdpasser_free(p[0]);
}

static void refused(void)
{
    fdpasser *p[2];

    make_passers(p);
    set_send_buffer(fdpasser_fileno(p[0]), 1);
    push_with_data(p[0], 1, DATA);
    push_with_data(p[0], 2, 3);
    push_with_data(p[0], 3, DATA);
    ERRNO(turn(p[0]), EMSGSIZE);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 3), 0);
    ERRNO(turn(p[0]), EMSGSIZE); /* 2 is sent */
    expect_with_data(p[1], 2, 3);
    free_passers(p);
}

static void bounded(void)
{
    fdpasser *p[2];
    int fd = numbered(3);

    make_passers(p);
    EQUAL(fdpasser_set_max_queued(p[0], 2), 0);
    push_with_data(p[0], 1, 10);
    push_with_data(p[0], 2, 20);
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_push_send_message(p[0], fd, "data", 4), EAGAIN);
    send_all(p[0]);
    push_with_data(p[0], 3, 30);
    send_all(p[0]);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 3), 0);
    for (int i = 1; i <= 3; i++)
        expect_with_data(p[1], i, 10 * (size_t)i);
    close(fd);
    free_passers(p);
}

static void test(void)
{
    both_directions();
    ahead();
    failed();
    refused();
    bounded();
}
