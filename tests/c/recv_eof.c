/* End of file is 0, at every further call, after everything that was sent before it. It is 0 with a
 * full table too.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void shut_down(int fd)
{
    EQUAL(shutdown(fd, SHUT_WR), 0);
}

static void close_it(int fd)
{
    close(fd);
}

static void one_end(void (*end)(int), int full)
{
    int pair[2];

    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 2);
    end(pair[0]);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    receive_numbered(pair[1], 2, 2);
    if (full) {
        set_soft_limit(64);
        fill_table();
    }
    for (int i = 0; i < 3; i++) {
        int fd = -7;

        EQUAL(fdpasser_recv_fd(pair[1]), 0);
        EQUAL(fdpasser_recv_fds(pair[1], &fd, 1), 0);
        EQUAL(fdpasser_try_recv_fds(pair[1], &fd, 1), 0);
        EQUAL(fd, -7);
    }
    if (full)
        empty_table();
    if (end == shut_down) {
        /* Only one direction was shut down. */
        send_numbered(pair[1], 9, 1);
        RECEIVED(fdpasser_recv_fd(pair[0]), 9);
        close(pair[0]);
    }
    close(pair[1]);
}

static void test(void)
{
    one_end(shut_down, 0);
    one_end(close_it, 0);
    IN_CHILD(one_end(shut_down, 1));
    IN_CHILD(one_end(close_it, 1));
}
