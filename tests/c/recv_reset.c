/* If the peer closed without reading everything that we sent, what it had sent comes first, then
 * ECONNRESET, then the end of file. The reset is not reported as an orderly shutdown.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS do not report that a peer closed with descriptors unread. */
#include "check.h"

static void reset(int full)
{
    int pair[2], fd = numbered(1);

    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 3);
    EQUAL(fdpasser_send_fd(pair[1], fd), 1);
    close(pair[0]);

    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    receive_numbered(pair[1], 2, 3);
    if (full) {
        set_soft_limit(64);
        fill_table();
    }
    ERRNO(fdpasser_recv_fd(pair[1]), ECONNRESET);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    if (full)
        empty_table();
    ERRNO(fdpasser_send_fd(pair[1], fd), EPIPE);
    EQUAL(fdpasser_retry_ms(ECONNRESET), -1);
    close(pair[1]);

    /* A send in between fails and leaves the reset to the receiver. */
    make_pair(pair);
    EQUAL(fdpasser_send_fd(pair[1], fd), 1);
    close(pair[0]);
    ERRNO(fdpasser_send_fd(pair[1], fd), EPIPE);
    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), ECONNRESET);
    close(pair[1]);
    close(fd);
}

static void test(void)
{
    reset(0);
    IN_CHILD(reset(1));
}
