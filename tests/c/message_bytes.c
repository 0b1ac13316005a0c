/* More bytes without a descriptor than one message may have: fdpasser_recv_message() hands out every byte that it
 * consumes, with EBADMSG.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

static void test(void)
{
    static unsigned char sent[2 * DATA], got[3 * DATA];
    int pair[2], fds[MAX];
    size_t len, total = 0;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    make_pair(pair);
    hostile_send(pair[0], sent, sizeof sent, NULL, 0);
    while (total < sizeof sent) {
        int waits = 0, left = 0;

        EQUAL(ioctl(pair[1], FIONREAD, &waits), 0);
        ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got + total, DATA, &len), EBADMSG);
        EQUAL(ioctl(pair[1], FIONREAD, &left), 0);
        EQUAL(len, waits - left); /* what was consumed */
        total += len;
    }
    CHECK(memcmp(got, sent, sizeof sent) == 0);
    close_pair(pair);
}
