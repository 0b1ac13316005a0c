/* A passer is a descriptor, so it can be passed, together with what waits in it. It works where it
 * arrives.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    int outer[2], inner[2], got;

    make_pair(outer);
    make_pair(inner);
    send_numbered(inner[0], 1, 1);
    EQUAL(fdpasser_send_fd(outer[0], inner[1]), 1);
    close(inner[1]);
    send_numbered(inner[0], 2, 1); /* while inner[1] is in flight */
    got = fdpasser_recv_fd(outer[1]);
    OURS(got);
    RECEIVED(fdpasser_recv_fd(got), 1);
    RECEIVED(fdpasser_recv_fd(got), 2);
    send_numbered(got, 3, 1);
    RECEIVED(fdpasser_recv_fd(inner[0]), 3);
    close(inner[0]);
    EQUAL(fdpasser_recv_fd(got), 0);
    close(got);

    /* Pass it to another process. */
    make_pair(inner);
    EQUAL(fdpasser_send_fd(outer[0], inner[1]), 1);
    close(inner[1]);
    IN_CHILD(got = fdpasser_recv_fd(outer[1]); send_numbered(got, 4, 1); close(got));
    RECEIVED(fdpasser_recv_fd(inner[0]), 4);
    EQUAL(fdpasser_recv_fd(inner[0]), 0);
    close(inner[0]);

    /* Pass both ends of a pair over that pair. */
    EQUAL(fdpasser_send_fds(outer[0], outer, 2, 2), 2);
    receive_message(outer[1], inner, 2);
    send_numbered(inner[0], 5, 1);
    RECEIVED(fdpasser_recv_fd(inner[1]), 5);
    close_pair(inner);
    /* This one stays in flight. The kernel has to clear it away. */
    EQUAL(fdpasser_send_fd(outer[0], outer[1]), 1);
    close_pair(outer);
}
