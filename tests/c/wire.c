/* On the wire a message is one NUL byte, with its descriptors in one SCM_RIGHTS block and nothing
 * else. Every other implementation relies on that.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests SCM_RIGHTS, and sysv/wire.c tests the other wire. */
#include "check.h"

static void message(int sock, size_t n, int first)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX * sizeof(int)) + 256];
    } control;
    char bytes[16];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr msg;
    struct cmsghdr *header;

    memset(bytes, 'x', sizeof bytes);
    memset(&msg, 0, sizeof msg);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control;
    EQUAL(recvmsg(sock, &msg, MSG_DONTWAIT), 1);
    EQUAL(bytes[0], '\0');
    EQUAL(msg.msg_flags & MSG_CTRUNC, 0);
    header = CMSG_FIRSTHDR(&msg);
    CHECK(header != NULL);
    EQUAL(header->cmsg_level, SOL_SOCKET);
    EQUAL(header->cmsg_type, SCM_RIGHTS);
    EQUAL(header->cmsg_len, CMSG_LEN(n * sizeof(int)));
    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        EQUAL(number_of(fd), first + (int)i);
        close(fd);
    }
    CHECK(msg.msg_controllen <= CMSG_SPACE(n * sizeof(int))); /* nothing follows */
}

static void test(void)
{
    static const unsigned per_message[] = {0, 1, 2, 3, 100, MAX};
    int pair[2], fds[MAX + 1];
    char byte;

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = numbered((int)i);

    EQUAL(send_fd(pair[0], fds[7]), 1);
    message(pair[1], 1, 7);
    EQUAL(fdpasser_send_fd(pair[0], fds[7]), 1);
    message(pair[1], 1, 7);
    for (size_t i = 0; i < LENGTH(per_message); i++)
        for (int try = 0; try < 2; try++) {
            size_t most = per_message[i] ? per_message[i] : 1, n = most == 1 ? 20 : LENGTH(fds);

            EQUAL((try ? fdpasser_try_send_fds : fdpasser_send_fds)(pair[0], fds, n, per_message[i]), n);
            for (size_t at = 0; at < n; at += most)
                message(pair[1], n - at < most ? n - at : most, (int)at);
        }
    EQUAL(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
    EQUAL(errno, EAGAIN);
    for (size_t i = 0; i < LENGTH(fds); i++)
        close(fds[i]);
    close_pair(pair);
}
