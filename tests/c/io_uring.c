/* If the kernel refuses to send a kind of descriptor, only that descriptor fails, and the passer
 * goes on.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: the simulation does not know which kinds a real system refuses. */
/* Only on Linux: io_uring exists there only. */
#include "check.h"

static void test(void)
{
    int pair[2], fds[5], error = ring_error(), ring = make_ring();

    CHECK(ring > 0);
    make_pair(pair);
    CHECK(error == EINVAL || error == EOPNOTSUPP);
    EQUAL(fdpasser_retry_ms(error), -1);

    for (unsigned per_message = 1; per_message <= 16; per_message += 15) {
        for (int i = 0; i < 5; i++)
            fds[i] = i == 3 ? ring : numbered(i);
        EQUAL(fdpasser_send_fds(pair[0], fds, 5, per_message), 3);
        ERRNO(fdpasser_send_fds(pair[0], fds + 3, 2, per_message), error);
        EQUAL(fdpasser_send_fds(pair[0], fds + 4, 1, per_message), 1);
        for (int i = 0; i < 5; i++)
            if (i != 3) {
                RECEIVED(fdpasser_recv_fd(pair[1]), i);
                close(fds[i]);
            }
        ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    }
    close(ring);
    close_pair(pair);
}
