/* A thousand descriptors arrive in the order in which they were sent, whatever the sizes of the
 * messages. The sender closes each as soon as it is sent.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

enum { TOTAL = 1000 };

static void send_all(int passer)
{
    static const unsigned per_message[] = {1, 2, 16, 0, 253, 7};
    int next = 0;

    for (size_t round = 0; next < TOTAL; round++) {
        int fds[300];
        size_t n = 1 + round * 37 % LENGTH(fds);

        if (n > (size_t)(TOTAL - next))
            n = (size_t)(TOTAL - next);
        for (size_t i = 0; i < n; i++)
            fds[i] = numbered(next++);
        EQUAL(fdpasser_send_fds(passer, fds, n, per_message[round % LENGTH(per_message)]), n);
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
    }
}

static void test(void)
{
    int pair[2], next = 0, fds[MAX];
    ssize_t n;
    pid_t child;

    make_pair(pair);
    if ((child = spawn()) == 0) {
        close(pair[1]);
        send_all(pair[0]);
        _exit(0);
    }
    close(pair[0]);
    while ((n = fdpasser_recv_fds(pair[1], fds, MAX)) > 0)
        for (ssize_t i = 0; i < n; i++)
            RECEIVED(fds[i], next++);
    EQUAL(n, 0);
    EQUAL(next, TOTAL);
    join(child);
    close(pair[1]);
}
