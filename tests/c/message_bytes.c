/* Up to as many bytes as a message may have come without a descriptor: fdpasser_recv_message() hands out all of them,
 * with EBADMSG. More are EMSGSIZE, because nobody can say what belongs to which message.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

static void test(void)
{
    static unsigned char sent[2 * DATA], got[DATA];
    int pair[2], fds[MAX];
    size_t len;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    make_pair(pair);
    hostile_send(pair[0], sent, DATA, NULL, 0);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, DATA, &len), EBADMSG);
    EQUAL(len, DATA);
    CHECK(memcmp(got, sent, DATA) == 0);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
    hostile_send(pair[0], sent, DATA + 1, NULL, 0);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, DATA, &len), EMSGSIZE);
    close_pair(pair);
}
