/* Sending to a peer that is gone returns EPIPE and raises no SIGPIPE. That signal would end this
 * program.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    int pair[2], fd = numbered(1);
    sigset_t pending;

    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    make_pair(pair);
    close(pair[1]);
    for (int i = 0; i < 2; i++) {
        ERRNO(fdpasser_send_fd(pair[0], fd), EPIPE);
        ERRNO(send_fd(pair[0], fd), EPIPE);
        ERRNO(fdpasser_send_fds(pair[0], &fd, 1, 1), EPIPE);
        ERRNO(fdpasser_send_fds(pair[0], (int[2]){fd, fd}, 2, 2), EPIPE);
        ERRNO(fdpasser_try_send_fds(pair[0], &fd, 1, 1), EPIPE);
    }
    close(pair[0]);

    /* The peer lives but has stopped reading, or this side has stopped writing. */
    for (int side = 0; side < 2; side++) {
        make_pair(pair);
        EQUAL(shutdown(pair[side], side ? SHUT_RD : SHUT_WR), 0);
        ERRNO(fdpasser_send_fd(pair[0], fd), EPIPE);
        close_pair(pair);
    }
    EQUAL(sigpending(&pending), 0);
    CHECK(!sigismember(&pending, SIGPIPE));
    EQUAL(fdpasser_retry_ms(EPIPE), -1);
    close(fd);
}
