/* One byte with one descriptor is received as that descriptor, in both directions and under both
 * names.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    int pair[2], fd = numbered(42), array[3] = {-7, -7, -7};

    make_pair(pair);
    for (int side = 0; side < 2; side++) {
        int here = pair[side], there = pair[!side];

        EQUAL(send_fd(here, fd), 1);
        RECEIVED(recv_fd(there), 42);
        EQUAL(fdpasser_send_fd(here, fd), 1);
        RECEIVED(fdpasser_recv_fd(there), 42);
        EQUAL(fdpasser_send_fds(here, &fd, 1, 0), 1);
        EQUAL(fdpasser_recv_fds(there, array, 3), 1);
        RECEIVED(array[0], 42);
        CHECK(array[1] == -7 && array[2] == -7);
    }

    /* The receiver has a duplicate, which shares the file offset. */
    EQUAL(send_fd(pair[0], fd), 1);
    array[0] = recv_fd(pair[1]);
    EQUAL(lseek(fd, 3, SEEK_SET), 3);
    EQUAL(lseek(array[0], 0, SEEK_CUR), 3);
    close(array[0]);

    /* The sender may close the descriptor before it is received. */
    EQUAL(send_fd(pair[0], fd), 1);
    EQUAL(close(fd), 0);
    RECEIVED(recv_fd(pair[1]), 42);
    close_pair(pair);
}
