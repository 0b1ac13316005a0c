/* What stands in for a service manager: a datagram socket that NOTIFY_SOCKET names.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "check.h"

static char manager_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

/* Listens at a path of TMPDIR, or at an abstract address, and says so in the environment. */
HELPER int manager(int type, int is_abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    socklen_t len;

    snprintf(manager_path, sizeof manager_path, "%s/notify-%ld",
             is_abstract ? "@" : getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid());
    memcpy(address.sun_path, manager_path, sizeof manager_path);
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager_path));
    if (is_abstract)
        address.sun_path[0] = '\0';
    EQUAL(bind(fd, (struct sockaddr *)&address, len), 0);
    EQUAL(setenv("NOTIFY_SOCKET", manager_path, 1), 0);
    return fd;
}

/* Reads one datagram without waiting, with room for `n` descriptors. Returns how many came. */
HELPER int told(int fd, char *text, size_t room, int *fds, size_t n)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX * sizeof(int))];
    } control;
    struct iovec iov = {text, room - 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t len = recvmsg(fd, &msg, MSG_DONTWAIT);
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    size_t count = 0;

    CHECK(len >= 0);
    EQUAL(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
    text[len] = '\0';
    if (header != NULL) {
        EQUAL(header->cmsg_type, SCM_RIGHTS);
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        CHECK(count <= n);
        memcpy(fds, CMSG_DATA(header), count * sizeof(int));
        for (size_t i = 0; i < count; i++) /* not every system has MSG_CMSG_CLOEXEC */
            EQUAL(fcntl(fds[i], F_SETFD, FD_CLOEXEC), 0);
    }
    return (int)count;
}

#endif
