/* Bytes without a descriptor are EBADMSG, one call for each byte. Nothing is opened and the stream
 * stays in step.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there NULs without a descriptor are skipped, see sysv/wire.c. */
#include "check.h"

static void test(void)
{
    int pair[2], fd = numbered(5), before;

    make_pair(pair);
    before = open_descriptors();

    hostile_send(pair[0], "", 1, NULL, 0);
    hostile_send(pair[0], "x", 1, NULL, 0);
    send_numbered(pair[0], 1, 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_recv_fds(pair[1], &(int){0}, 1), EBADMSG);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);

    /* The byte's value does not matter. */
    hostile_send(pair[0], "\377", 1, &fd, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);

    /* The descriptor comes with the first byte. The other bytes have none. */
    hostile_send(pair[0], "hello", 5, &fd, 1);
    send_numbered(pair[0], 2, 3);
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);
    for (int i = 0; i < 4; i++)
        ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    receive_numbered(pair[1], 2, 3);

    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
    EQUAL(open_descriptors(), before);
    EQUAL(fdpasser_retry_ms(EBADMSG), -1);
    close(fd);
    close_pair(pair);
}
