/* FDPASSER_LOCAL changes nothing but the look at the socket's kind: counts, bounds and errors stay.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    static const unsigned sizes[] = {0, 1, 2, MAX};
    int pair[2], ends[2], fds[3], array[MAX];

    for (int i = 0; i < 3; i++)
        fds[i] = numbered(i);
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        EQUAL(fdpasser_socketpair(pair), 0);
        EQUAL(fdpasser_send_fds(pair[0], fds, 3, sizes[i] | FDPASSER_LOCAL), 3);
        EQUAL(fdpasser_try_send_fds(pair[0], fds, 3, sizes[i] | FDPASSER_LOCAL), 3);
        for (int next = 0; next < 6;) {
            ssize_t n = fdpasser_try_recv_fds(pair[1], array, MAX);

            CHECK(n > 0 && n <= (ssize_t)(sizes[i] ? sizes[i] : 1));
            for (ssize_t j = 0; j < n; j++)
                RECEIVED(array[j], next++ % 3);
        }
        ERRNO(fdpasser_try_recv_fds(pair[1], array, MAX), EAGAIN);
        close_pair(pair);
    }

    EQUAL(fdpasser_socketpair(pair), 0);
    ERRNO(fdpasser_send_fds(pair[0], fds, 3, (MAX + 1) | FDPASSER_LOCAL), EINVAL);
    ERRNO(fdpasser_send_fds(pair[0], fds, 3, FDPASSER_LOCAL << 1), EINVAL);
    EQUAL(fdpasser_send_fds(pair[0], fds, 0, FDPASSER_LOCAL), 0);
    ERRNO(fdpasser_try_recv_fds(pair[1], array, MAX), EAGAIN);
    close(pair[1]);
    ERRNO(fdpasser_send_fds(pair[0], fds, 3, 1 | FDPASSER_LOCAL), EPIPE);
    close(pair[0]);
    ERRNO(fdpasser_send_fds(pair[0], fds, 3, 1 | FDPASSER_LOCAL), EBADF);
    EQUAL(pipe(ends), 0);
    /* The system itself says so, and not the look that was left out. */
    ERRNO(fdpasser_send_fds(ends[1], fds, 3, 1 | FDPASSER_LOCAL),
          fdpasser_mode() == FDPASSER_MODE_SYSV ? ENOTTY : ENOTSOCK);
    close_pair(ends);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}
