/* Eight threads have a pair each, while other threads open and close pairs. Descriptors arrive at
 * the right pair only, in order.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"
#include <pthread.h>

enum { THREADS = 8, EACH = 200 };

static void *send_and_receive(void *argument)
{
    int thread = *(int *)argument, pair[2];

    make_pair(pair);
    for (int i = 0; i < EACH; i++) {
        int number = thread * EACH + i, fd = numbered(number), fds[2] = {fd, fd}, got[2];

        EQUAL(send_fd(pair[i % 2], fd), 1);
        EQUAL(fdpasser_send_fds(pair[i % 2], fds, 2, 1 + (unsigned)i % 2), 2);
        close(fd);
        RECEIVED(recv_fd(pair[!(i % 2)]), number);
        if (i % 2) {
            receive_message(pair[!(i % 2)], got, 2);
            RECEIVED(got[0], number);
            RECEIVED(got[1], number);
        } else {
            RECEIVED(recv_fd(pair[!(i % 2)]), number);
            RECEIVED(recv_fd(pair[!(i % 2)]), number);
        }
    }
    ERRNO(fdpasser_try_recv_fds(pair[0], (int[1]){0}, 1), EAGAIN);
    ERRNO(fdpasser_try_recv_fds(pair[1], (int[1]){0}, 1), EAGAIN);
    close_pair(pair);
    return NULL;
}

static void *open_and_close(void *unused)
{
    for (int i = 0; i < EACH; i++) {
        int pair[2];

        make_pair(pair);
        close_pair(pair);
    }
    return unused;
}

static void test(void)
{
    pthread_t threads[THREADS], others[2];
    int numbers[THREADS];

    for (int i = 0; i < 2; i++)
        EQUAL(pthread_create(&others[i], NULL, open_and_close, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        EQUAL(pthread_create(&threads[i], NULL, send_and_receive, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++)
        EQUAL(pthread_join(others[i], NULL), 0);
}
