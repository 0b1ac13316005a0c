/* The end of file comes also if the table is full, whatever control messages the receiver asks for.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it has these options. */
#include "data.h"

static void end(int option)
{
    int pair[2], fds[MAX], on = 1;
    unsigned char data[DATA];
    size_t len = 5;

    snprintf(round_name, sizeof round_name, "option %d: ", option);
    make_pair(pair);
    EQUAL(setsockopt(pair[1], SOL_SOCKET, option, &on, sizeof on), 0);
    close(pair[0]);
    set_soft_limit(64);
    fill_table();
    EQUAL(fdpasser_recv_message(pair[1], fds, MAX, data, sizeof data, &len), 0);
    EQUAL(len, 0);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    empty_table();
    close(pair[1]);
}

static void test(void)
{
    IN_CHILD(end(SO_TIMESTAMP));
    IN_CHILD(end(SO_PASSSEC));
    IN_CHILD(end(SO_PASSCRED));
}
