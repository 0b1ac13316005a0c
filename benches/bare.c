/* The floor: sendmsg and recvmsg and nothing else. It ignores full tables, odd messages, interruptions
 * and the kind of the socket.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "peer.h"

static union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MOST * sizeof(int))];
} control;

static char bytes[DATA];
static struct iovec iov = {bytes, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

static void send_message(int count)
{
    msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    if (sendmsg(PASSER, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
        err(1, "sendmsg");
}

static int receive_message(void)
{
    int count;

    msg.msg_controllen = sizeof control;
    if (recvmsg(PASSER, &msg, MSG_CMSG_CLOEXEC) != (ssize_t)iov.iov_len)
        err(1, "recvmsg");
    count = (int)((control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++)
        close(((int *)CMSG_DATA(&control.header))[i]);
    return count;
}

static void prepare(void)
{
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
}

/* All messages have 100 bytes. */
static void prepare_recv_data(void)
{
    iov.iov_len = DATA;
}

static void prepare_data(void)
{
    prepare();
    prepare_recv_data();
    memset(bytes, 'x', sizeof bytes);
}

static void send_all(void)
{
    for (long left = n; left > 0; left -= per)
        send_message(next(left));
}

/* The floor for a sender that is given a duplicate of each descriptor and closes it when it is sent. */
static void send_all_dup(void)
{
    for (long left = n; left > 0; left -= per) {
        int count = next(left), *copies = (int *)CMSG_DATA(&control.header);

        for (int i = 0; i < count; i++)
            if ((copies[i] = dup(fds[0])) < 0)
                err(1, "dup");
        send_message(count);
        for (int i = 0; i < count; i++)
            close(copies[i]);
    }
}

static void recv_all(void)
{
    for (long left = n; left > 0;)
        left -= receive_message();
}

static void ping(void)
{
    for (long left = n; left > 0; left--) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        *(int *)CMSG_DATA(&control.header) = fds[0];
        send_message(1);
        receive_message();
    }
}

static void pong(void)
{
    for (long left = n; left > 0; left--) {
        msg.msg_controllen = sizeof control;
        if (recvmsg(PASSER, &msg, MSG_CMSG_CLOEXEC) != 1)
            err(1, "recvmsg");
        /* The message goes back as it came. */
        send_message(1);
        close(*(int *)CMSG_DATA(&control.header));
    }
}

const struct role roles[] = {
    {"send", prepare, send_all},
    {"send_dup", prepare, send_all_dup},
    {"recv", NULL, recv_all},
    {"send_data", prepare_data, send_all},
    {"send_dup_data", prepare_data, send_all_dup},
    {"recv_data", prepare_recv_data, recv_all},
    {"ping", NULL, ping},
    {"pong", NULL, pong},
    {NULL, NULL, NULL},
};
