/* If the kernel takes only a part of a message, the call fails with EPROTO, and a queue ends with it. This program's
 * sendmsg() takes one byte less, as the kernel does if somebody makes SO_SNDBUF smaller at that moment.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: its sendmsg() makes the system call itself. */
#include "queue_data.h"

static int cut;

ssize_t sendmsg(int sock, const struct msghdr *message, int flags)
{
    struct msghdr shorter = *message;
    struct iovec iov = message->msg_iov[0];

    iov.iov_len -= (size_t)(cut && iov.iov_len > 1);
    shorter.msg_iov = &iov;
    return syscall(SYS_sendmsg, sock, &shorter, flags);
}

static void test(void)
{
    int pair[2];
    fdpasser *p[2];

    make_pair(pair);
    cut = 1;
    EQUAL(send_with_data(pair[0], 1, 1, 0), 1);
    ERRNO(send_with_data(pair[0], 2, 1, 3000), EPROTO);
    EQUAL(fdpasser_retry_ms(EPROTO), -1);
    cut = 0;
    receive_with_data(pair[1], 1, 1, 0);
    close_pair(pair);

    make_passers(p);
    cut = 1;
    push_with_data(p[0], 1, 0);
    push_with_data(p[0], 2, 3000);
    push_with_data(p[0], 3, 3000);
    ERRNO(end_of(p[0]), EPROTO);
    check_over(p[0], EPROTO);
    cut = 0;
    free_passers(p);
}
