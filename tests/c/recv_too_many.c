/* A message with more descriptors than the caller has room for is EMSGSIZE. All of them are closed
 * and the stream stays in step.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "check.h"

static void test(void)
{
    static const struct {
        size_t sent, room;
    } cases[] = {{2, 1}, {3, 2}, {16, 15}, {253, 1}, {253, 2}, {253, 3}, {253, 252}};
    int pair[2], fds[MAX], before;

    make_pair(pair);
    before = open_descriptors();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        send_numbered(pair[0], 1, cases[i].sent);
        send_numbered(pair[0], 1000, 1);
        send_numbered(pair[0], 2000, cases[i].room);

        memset(fds, -1, sizeof fds);
        ERRNO(fdpasser_recv_fds(pair[1], fds, cases[i].room), EMSGSIZE);
        for (size_t k = 0; k < LENGTH(fds); k++)
            EQUAL(fds[k], -1);
        EQUAL(open_descriptors(), before);

        RECEIVED(fdpasser_recv_fd(pair[1]), 1000);
        receive_numbered(pair[1], 2000, cases[i].room);

        send_numbered(pair[0], 1, cases[i].sent);
        send_numbered(pair[0], 1000, 1);
        ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
        EQUAL(open_descriptors(), before);
        RECEIVED(recv_fd(pair[1]), 1000);
    }
    EQUAL(fdpasser_retry_ms(EMSGSIZE), -1);
    close_pair(pair);
}
