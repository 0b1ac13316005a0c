/* Not ours: the form of the textbooks. Each message is two bytes, a NUL and a status, with a descriptor if the status is
 * 0. Anything before the NUL would be the text of an error.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"
#include <stdbool.h>
#include <sys/socket.h>

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_status(int passer, int fd)
{
    char status[2] = {0, 0};
    struct iovec iov = {status, sizeof status};
    union control control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *header;

    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(passer, &message, 0) != sizeof status)
        err(1, "sendmsg");
}

/* Returns -1 at the end. */
static int receive_status(int passer)
{
    char text[4096];
    int fd = -1;

    while (true) {
        struct iovec iov = {text, sizeof text};
        union control control;
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
        struct cmsghdr *header;
        ssize_t n;
        char *end;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        if ((n = recvmsg(passer, &message, 0)) < 0)
            err(1, "recvmsg");
        if (n == 0)
            return -1;
        if ((header = CMSG_FIRSTHDR(&message)) != NULL) {
            if (header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fd))
                errx(1, "not one descriptor");
            memcpy(&fd, CMSG_DATA(header), sizeof fd);
        }
        if ((end = memchr(text, '\0', (size_t)n)) == NULL)
            continue;
        if (end != text || n != 2)
            errx(1, "%zd bytes came, not a NUL and a status", n);
        if (text[1] != 0)
            errx(1, "the status is %d", text[1]);
        if (fd < 0)
            errx(1, "no descriptor came");
        return fd;
    }
}

int main(int argc, char **argv)
{
    int count, passer, fd;

    if (arguments(argc, argv, &count, &passer) == 's') {
        for (int number = 1; number <= count; number++) {
            fd = numbered(number);
            send_status(passer, fd);
            close(fd);
        }
        return 0;
    }
    for (int number = 1; number <= count; number++) {
        if ((fd = receive_status(passer)) < 0)
            errx(1, "the end came before %d", number);
        check_number(fd, number);
    }
    if (receive_status(passer) >= 0)
        errx(1, "more than %d came", count);
    return 0;
}
