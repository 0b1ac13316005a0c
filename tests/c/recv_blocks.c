/* The format of control messages allows what this kernel never sends: several blocks of
 * descriptors, and more descriptors than a message can carry. None is lost, and none stays open.
 * This program has its own recvmsg(), which makes such messages.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests SCM_RIGHTS. */
/* Only on Linux: it makes the system call itself. */
#include "check.h"
#include <sys/syscall.h>

static int extra[8];
static size_t n_extra;
static int other_level, other_type = -1;

/* Appends a block, as if the kernel had installed the descriptors. */
ssize_t recvmsg(int sock, struct msghdr *msg, int flags)
{
    size_t room = msg->msg_controllen;
    ssize_t result = syscall(SYS_recvmsg, sock, msg, flags);
    struct cmsghdr *header;

    if (result < 0 || flags & MSG_PEEK || n_extra == 0)
        return result;
    CHECK(msg->msg_controllen % sizeof(size_t) == 0);
    CHECK(msg->msg_controllen + CMSG_SPACE(sizeof extra) <= room);
    header = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);
    header->cmsg_level = other_type >= 0 ? other_level : SOL_SOCKET;
    header->cmsg_type = other_type >= 0 ? other_type : SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n_extra * sizeof *extra);
    memcpy(CMSG_DATA(header), extra, n_extra * sizeof *extra);
    msg->msg_controllen += CMSG_SPACE(n_extra * sizeof *extra);
    return result;
}

static void add(size_t n)
{
    n_extra = n;
    for (size_t i = 0; i < n; i++)
        extra[i] = numbered(500 + (int)i);
}

static void test(void)
{
    int pair[2], fds[MAX], before;

    make_pair(pair);
    before = open_descriptors();

    /* Two blocks make one message. */
    for (size_t n = 1; n <= 7; n++) {
        send_numbered(pair[0], 100, 3);
        add(n);
        EQUAL(fdpasser_recv_fds(pair[1], fds, MAX), 3 + n);
        for (int i = 0; i < 3 + (int)n; i++)
            RECEIVED(fds[i], i < 3 ? 100 + i : 497 + i);
        EQUAL(open_descriptors(), before);
    }
    send_numbered(pair[0], 100, 3);
    add(2);
    ERRNO(fdpasser_recv_fds(pair[1], fds, 4), EMSGSIZE);
    EQUAL(open_descriptors(), before);

    /* More than there is room for. */
    for (size_t n = 1; n <= 7; n += 6) {
        send_numbered(pair[0], 1, MAX);
        add(n);
        ERRNO(fdpasser_recv_fds(pair[1], fds, MAX), ENOTRECOVERABLE);
        EQUAL(open_descriptors(), before);
    }

    /* Control messages of another level or type are not descriptors. */
    for (int i = 0; i < 2; i++) {
        send_numbered(pair[0], 100, 1);
        n_extra = 1;
        extra[0] = pair[0];
        other_level = i ? SOL_SOCKET : SOL_SOCKET + 1;
        other_type = i ? SCM_RIGHTS + 100 : SCM_RIGHTS;
        EQUAL(fdpasser_recv_fds(pair[1], fds, MAX), 1);
        RECEIVED(fds[0], 100);
        other_type = -1;
    }

    n_extra = 0;
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(open_descriptors(), before);
    close_pair(pair);
}
