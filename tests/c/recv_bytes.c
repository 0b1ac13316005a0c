/* Bytes without a descriptor are EBADMSG, once for all that one call takes. Nothing is opened and the stream stays
 * in step. Bytes that come with a descriptor are dropped.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there NULs without a descriptor are skipped, see sysv/wire.c. */
#include "check.h"

static void test(void)
{
    static char text[4096] = "hello";
    int pair[2], fd = numbered(5), before;

    make_pair(pair);
    before = open_descriptors();

    hostile_send(pair[0], "", 1, NULL, 0);
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
    hostile_send(pair[0], "hello", 5, NULL, 0);
    ERRNO(fdpasser_recv_fds(pair[1], &(int){0}, 1), EBADMSG);
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);

    /* Bytes that wait in front of a message come joined to it. */
    hostile_send(pair[0], "hello", 5, NULL, 0);
    send_numbered(pair[0], 3, 1);
    send_numbered(pair[0], 4, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3);
    RECEIVED(fdpasser_recv_fd(pair[1]), 4);

    /* The byte's value does not matter. */
    hostile_send(pair[0], "\377", 1, &fd, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);

    /* The longest message, and all shorter ones, leave nothing behind. */
    for (size_t n = 1; n <= sizeof text; n++) {
        hostile_send(pair[0], text, n, &fd, 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 5);
    }
    hostile_send(pair[0], text, sizeof text, &fd, 1);
    send_numbered(pair[0], 2, 3);
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);
    receive_numbered(pair[1], 2, 3);

    /* Many bytes without a descriptor take several calls, none of which opens anything. */
    int calls = 0;
    for (size_t i = 0; i < 10; i++)
        hostile_send(pair[0], text, sizeof text, NULL, 0);
    while (fdpasser_try_recv_fds(pair[1], &(int){0}, 1) == -1 && errno == EBADMSG)
        calls++;
    EQUAL(errno, EAGAIN);
    CHECK(calls >= 1 && calls <= 10);

    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
    EQUAL(open_descriptors(), before);
    EQUAL(fdpasser_retry_ms(EBADMSG), -1);
    close(fd);
    close_pair(pair);
}
