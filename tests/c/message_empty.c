/* An empty datagram is EBADMSG: SOCK_DGRAM has no end of file. The next message is good. (An empty packet of
 * SOCK_SEQPACKET looks like the end.)
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
/* Only on Linux: it tests what that kernel does. */
#include "data.h"

static void test(void)
{
    unsigned char data[DATA];
    int pair[2], fds[MAX];
    size_t len = 5;

    EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    hostile_send(pair[0], "", 0, NULL, 0);
    hostile_send(pair[0], "", 0, NULL, 0);
    EQUAL(send_with_data(pair[0], 1, 1, 10), 1);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, data, sizeof data, &len), EBADMSG);
    EQUAL(len, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    receive_with_data(pair[1], 1, 1, 10);
    close_pair(pair);
}
