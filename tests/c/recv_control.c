/* Control messages that the application switched on cost no descriptor, whatever the size of the
 * message and of the caller's array. A pidfd among them is closed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no control messages. */
/* Only on Linux: other systems do not have these control messages. */
#include "check.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static int on(int sock, int option)
{
    return setsockopt(sock, SOL_SOCKET, option, &(int){1}, sizeof(int));
}

static void exchange(const int pair[2])
{
    static const size_t sizes[] = {1, 2, 16, 252, 253};
    int fds[MAX], before = open_descriptors();

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        size_t n = sizes[i];

        send_numbered(pair[0], 100, n);
        receive_numbered(pair[1], 100, n);
        EQUAL(open_descriptors(), before);

        if (n > 1) {
            send_numbered(pair[0], 100, n);
            ERRNO(fdpasser_recv_fds(pair[1], fds, n - 1), EMSGSIZE);
            send_numbered(pair[0], 100, n);
            ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
            EQUAL(open_descriptors(), before);
        }
    }
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    /* These control messages also come with a byte alone. */
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    EQUAL(open_descriptors(), before);
}

/* The table has just the slots that the message itself needs. A pidfd that finds no slot is no
 * loss. */
static void exchange_in_full_table(const int pair[2])
{
    int fds[16];

    set_soft_limit(64);
    send_numbered(pair[0], 1, 16);
    send_numbered(pair[0], 50, 1);
    fill_table();
    for (int slots = 0; slots < 16; slots++) {
        ERRNO(fdpasser_recv_fds(pair[1], fds, 16), EMFILE);
        free_slots(1);
    }
    receive_numbered(pair[1], 1, 16);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 50);
    fill_table();
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    empty_table();
}

static void test(void)
{
    int no_pidfd = 0;

    /* The rounds: none, credentials, pidfd, both, and everything that there may be. */
    for (int round = 0; round < 5; round++) {
        int pair[2];

        make_pair(pair);
        if (round & 1)
            EQUAL(on(pair[1], SO_PASSCRED), 0);
        if (round & 2 && on(pair[1], SO_PASSPIDFD) != 0) {
            no_pidfd = 1;
            close_pair(pair);
            continue;
        }
        if (round == 4) {
            on(pair[1], SO_PASSCRED);
            on(pair[1], SO_PASSPIDFD);
            on(pair[1], SO_PASSSEC);
            on(pair[1], SO_TIMESTAMPNS);
            on(pair[1], SO_RXQ_OVFL);
        }
        exchange(pair);
        IN_CHILD(exchange_in_full_table(pair));
        close_pair(pair);
    }
    if (no_pidfd)
        SKIP("this kernel has no SO_PASSPIDFD; credentials alone passed");

    /* The test of the test: the kernel does send a pidfd that has to be closed. */
    {
        int pair[2], pidfd;
        char byte, control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {&byte, 1};
        struct msghdr msg = {0};
        struct cmsghdr *header;

        make_pair(pair);
        EQUAL(on(pair[1], SO_PASSPIDFD), 0);
        hostile_send(pair[0], "x", 1, NULL, 0);
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        msg.msg_controllen = sizeof control;
        EQUAL(recvmsg(pair[1], &msg, 0), 1);
        header = CMSG_FIRSTHDR(&msg);
        CHECK(header != NULL && header->cmsg_type == 4 /* SCM_PIDFD */);
        memcpy(&pidfd, CMSG_DATA(header), sizeof pidfd);
        CHECK(pidfd > 2);
        close(pidfd);
        close_pair(pair);
    }
}
