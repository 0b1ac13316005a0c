/* Eight threads send over one end and eight receive from the other. Each descriptor arrives once.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"
#include <pthread.h>

enum { THREADS = 8, EACH = 100 };

static int pair[2];
static int seen[THREADS * EACH];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *send_some(void *first)
{
    for (int i = 0; i < EACH; i += 4) {
        int fds[4];

        for (int k = 0; k < 4; k++)
            fds[k] = numbered(*(int *)first + i + k);
        EQUAL(fdpasser_send_fds(pair[0], fds, 4, i % 8 ? 4 : 1), 4);
        for (int k = 0; k < 4; k++)
            close(fds[k]);
    }
    return NULL;
}

static void *receive_some(void *unused)
{
    int fds[4];
    ssize_t n;

    while ((n = fdpasser_recv_fds(pair[1], fds, 4)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            int number = number_of(fds[i]);

            RECEIVED(fds[i], number);
            CHECK(number >= 0 && number < (int)LENGTH(seen));
            pthread_mutex_lock(&mutex);
            EQUAL(seen[number]++, 0);
            pthread_mutex_unlock(&mutex);
        }
    EQUAL(n, 0);
    return unused;
}

static void test(void)
{
    pthread_t senders[THREADS], receivers[THREADS];
    int first[THREADS];

    make_pair(pair);
    for (int i = 0; i < THREADS; i++) {
        first[i] = i * EACH;
        EQUAL(pthread_create(&senders[i], NULL, send_some, &first[i]), 0);
        EQUAL(pthread_create(&receivers[i], NULL, receive_some, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_join(senders[i], NULL), 0);
    EQUAL(close(pair[0]), 0);
    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_join(receivers[i], NULL), 0);
    for (size_t i = 0; i < LENGTH(seen); i++)
        EQUAL(seen[i], 1);
    EQUAL(close(pair[1]), 0);
}
