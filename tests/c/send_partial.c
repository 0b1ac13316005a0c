/* If a descriptor in the middle of a batch cannot be sent, those before it are sent and the count
 * is its index. The next call, which begins with it, returns the errno.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

enum { BATCH = 40 };

static void batch(const int pair[2], int bad_at, int bad, unsigned per_message)
{
    int fds[BATCH], array[MAX], next = 0;
    ssize_t n;

    for (int i = 0; i < BATCH; i++)
        fds[i] = i == bad_at ? bad : numbered(i);
    if (bad_at > 0)
        EQUAL(fdpasser_send_fds(pair[0], fds, BATCH, per_message), bad_at);
    ERRNO(fdpasser_send_fds(pair[0], fds + bad_at, (size_t)(BATCH - bad_at), per_message), EBADF);
    n = BATCH - bad_at - 1;
    EQUAL(fdpasser_try_send_fds(pair[0], fds + bad_at + 1, (size_t)n, per_message), n);

    while ((n = fdpasser_try_recv_fds(pair[1], array, MAX)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            next += next == bad_at;
            RECEIVED(array[i], next++);
        }
    EQUAL(n, -1);
    EQUAL(errno, EAGAIN);
    next += next == bad_at;
    EQUAL(next, BATCH);
    for (int i = 0; i < BATCH; i++)
        if (i != bad_at)
            close(fds[i]);
}

static void test(void)
{
    static const int places[] = {0, 1, 7, 15, 16, 17, 33, 39};
    static const unsigned sizes[] = {1, 2, 16, MAX};
    static const int bad[] = {-1, INT_MAX, 1000000};
    int pair[2];

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(places); i++)
        for (size_t k = 0; k < LENGTH(sizes); k++)
            for (size_t m = 0; m < LENGTH(bad); m++)
                batch(pair, places[i], bad[m], sizes[k]);
    close_pair(pair);
}
