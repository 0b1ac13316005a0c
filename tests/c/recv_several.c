/* Several descriptors in one message are all received, in order, if the array has room for them.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "check.h"

static void test(void)
{
    static const size_t sizes[] = {1, 2, 3, 4, 16, 64, 65, 252, 253};
    int pair[2], fds[MAX];

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        size_t n = sizes[i];

        send_numbered(pair[0], 100, n);
        receive_numbered(pair[1], 100, n);

        for (size_t k = 0; k < n; k++)
            fds[k] = numbered(500 + (int)k);
        EQUAL(fdpasser_send_fds(pair[0], fds, n, (unsigned)n), n);
        for (size_t k = 0; k < n; k++)
            close(fds[k]);
        receive_numbered(pair[1], 500, n);
    }

    /* An array larger than this message, and one larger than any message. */
    send_numbered(pair[0], 1, 2);
    EQUAL(fdpasser_recv_fds(pair[1], fds, MAX), 2);
    RECEIVED(fds[0], 1);
    RECEIVED(fds[1], 2);
    {
        static int many[1000];

        send_numbered(pair[0], 1, MAX);
        EQUAL(fdpasser_recv_fds(pair[1], many, LENGTH(many)), MAX);
        for (int k = 0; k < MAX; k++)
            RECEIVED(many[k], 1 + k);
    }
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
    close_pair(pair);
}
