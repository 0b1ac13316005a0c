/* A passer can move from thread to thread, and several threads can use different passers at the
 * same time.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"
#include <pthread.h>

enum { THREADS = 4, TOTAL = 400 };

static fdpasser *ends[THREADS][2];

static void *send_half(void *which)
{
    fdpasser *p = ends[(size_t)(intptr_t)which][0];

    send_all(p);
    return p;
}

static void *receive_half(void *which)
{
    fdpasser *p = ends[(size_t)(intptr_t)which][1];

    for (int i = 0; i < TOTAL / 2; i++)
        expect(p, i);
    return p;
}

static void *finish(void *which)
{
    fdpasser **p = ends[(size_t)(intptr_t)which];

    EQUAL(fdpasser_set_per_message(p[0], MAX), 0); /* so that the socket does not fill up */
    for (int i = TOTAL / 2; i < TOTAL; i++)
        push_numbered(p[0], i);
    send_all(p[0]);
    fdpasser_free(p[0]);
    for (int i = TOTAL / 2; i < TOTAL; i++)
        expect(p[1], i);
    EQUAL(end_of(p[1]), 0);
    fdpasser_free(p[1]);
    return NULL;
}

static void start(pthread_t *thread, void *(*function)(void *), size_t which)
{
    EQUAL(pthread_create(thread, NULL, function, (void *)(intptr_t)which), 0);
}

static void test(void)
{
    pthread_t threads[THREADS][2];

    for (size_t i = 0; i < THREADS; i++) {
        make_passers(ends[i]);
        for (int j = 0; j < TOTAL / 2; j++)
            push_numbered(ends[i][0], j);
        EQUAL(fdpasser_push_recv(ends[i][1], TOTAL + 1), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        start(&threads[i][0], send_half, i);
        start(&threads[i][1], receive_half, i);
    }
    for (size_t i = 0; i < THREADS; i++)
        for (size_t j = 0; j < 2; j++)
            EQUAL(pthread_join(threads[i][j], NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        start(&threads[i][0], finish, i);
    for (size_t i = 0; i < THREADS; i++)
        EQUAL(pthread_join(threads[i][0], NULL), 0);
}
