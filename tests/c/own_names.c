/* A program may define its own send_fd() and recv_fd(). The program then calls these, and the
 * library, shared or static, still calls its own.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#define FDPASSER_NO_SHORT_NAMES
#include "check.h"

static int calls;

const char *send_fd(const char *not_even, double the_type)
{
    calls += the_type > 0;
    return not_even;
}

const char *recv_fd(void)
{
    calls++;
    return "mine";
}

static void test(void)
{
    int pair[2], fd = numbered(1);

    make_pair(pair);
    EQUAL(strcmp(send_fd("mine", 1.5), "mine"), 0);
    EQUAL(strcmp(recv_fd(), "mine"), 0);
    EQUAL(calls, 2);

    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(fdpasser_send_fds(pair[0], (int[3]){fd, fd, fd}, 3, 2), 3);
    EQUAL(fdpasser_recv_fds(pair[1], (int[1]){0}, 1) == -1 ? errno : 0, EMSGSIZE);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(calls, 2);
    close(fd);
    close_pair(pair);
}
