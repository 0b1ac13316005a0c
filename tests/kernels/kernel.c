/* Plays other kernels on Linux, for a library that was built with FDPASSER_PLAY.
 *
 * A program is linked with this before libc. FDPASSER_KERNEL in its environment names the kernel. Each call does what
 * docs/platforms.md says of that kernel, and the comments name the function in which it was read. What the page does not say
 * is as on Linux.
 *
 * What is simpler than in those kernels:
 * - A socket's buffer is free again only when the peer has received everything.
 * - What stays of a destroyed message is known to this process alone.
 * - Some buffers are smaller, so that they are full before Linux's own.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum kernel played;
void (*play_before_receive)(void);
int play_receive_error, play_in_flight, play_most, play_buffer, play_getrlimit, play_max_files;
int play_sent, play_tries, play_dups, play_looks, play_cut, play_kqueue = -1;

/* src/sys/scm.rs has this in the place of NetBSD's 0x1000 and FreeBSD's 0x4000, which are other flags on Linux. */
enum { MSG_NBIO = 1 << 24 };

static const struct {
    const char *name;
    int most, too_many;        /* descriptors in a message, and what is said of more */
    int buffer, messages;      /* bytes and messages that a socket holds */
    int heeds_dontwait, nbio;  /* what keeps sendmsg() from waiting, beside O_NONBLOCK */
    int in_flight;             /* too many in flight */
    int full_table, bytes_stay;
    int kqueue; /* what is said of a kqueue that is to be sent; 0: it was not read */
} kernels[] = {
    [NETBSD] = {"netbsd", 1020, EINVAL, 4096, 8, 0, 1, EAGAIN, EMSGSIZE, 1, EBADF},
    [OPENBSD] = {"openbsd", 127, E2BIG, 4096, 0, 1, 0, EMFILE, EMSGSIZE, 1, EINVAL},
    [DRAGONFLY] = {"dragonfly", 254, E2BIG, 8192, 16, 1, 0, 0, EMSGSIZE, 1, EOPNOTSUPP},
    [FREEBSD10] = {"freebsd10", 254, E2BIG, 8192, 16, 0, 1, 0, EMSGSIZE, 1, EOPNOTSUPP},
    [FREEBSD14] = {"freebsd14", 254, E2BIG, 4096, 0, 1, 1, 0, EMSGSIZE, 1, EOPNOTSUPP},
    [FREEBSD15] = {"freebsd15", 254, E2BIG, 4096, 0, 1, 1, 0, EMSGSIZE, 1, EOPNOTSUPP},
    [MACOS] = {"macos", 254, EINVAL, 4096, 100, 0, 0, 0, EMSGSIZE, 1, 0},
    [ILLUMOS] = {"illumos", 2045, EINVAL, 4096, 0, 0, 0, 0, EMFILE, 0, 0},
};
#define KERNEL kernels[played]

__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("FDPASSER_KERNEL");

    for (size_t i = 0; name && i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(name, kernels[i].name) == 0) {
            played = (enum kernel)i;
            return;
        }
    fputs("FDPASSER_KERNEL names no kernel\n", stderr);
    _exit(1);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* --- sockets ------------------------------------------------------------------------------------- */

struct socket {
    ino_t inode;
    size_t used, messages; /* sent, and not all of it received by the peer */
    int full;              /* poll() does not say POLLOUT */
    size_t stay;           /* bytes of a message whose descriptors are destroyed */
    char bytes[4096];
};

static struct socket sockets[256];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The socket's entry. Numbers of inodes are not used again soon. */
static struct socket *entry(int fd)
{
    static size_t next;
    struct socket *found = NULL;
    struct stat st;

    if (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode))
        return NULL;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets && !found; i++)
        if (sockets[i].inode == st.st_ino)
            found = &sockets[i];
    if (!found) {
        found = &sockets[next++ % (sizeof sockets / sizeof *sockets)];
        *found = (struct socket){.inode = st.st_ino};
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

/* The peer has received everything. */
static int is_drained(int fd)
{
    int unread = 0;

    return syscall(SYS_ioctl, fd, TIOCOUTQ, &unread) == 0 && unread == 0;
}

static void note_drained(int fd, struct socket *s)
{
    if (is_drained(fd))
        s->used = s->messages = 0, s->full = 0;
}

/* --- receiving ----------------------------------------------------------------------------------- */

union control {
    struct cmsghdr header;
    char room[8192];
};

/* How many descriptors the first message has, as far as there are slots for them; *all says whether there are. */
static int look(int fd, int *all)
{
    union control control;
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = syscall(SYS_recvmsg, fd, &msg, MSG_PEEK | MSG_DONTWAIT);
    int count = 0;

    *all = n < 0 || !(msg.msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            int fds[253];

            count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof *fds);
            memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof *fds);
            for (int i = 0; i < count; i++)
                close(fds[i]);
        }
    return count;
}

static ssize_t copy(const struct socket *s, struct msghdr *msg)
{
    size_t done = 0;

    for (size_t i = 0; i < msg->msg_iovlen && done < s->stay; i++) {
        size_t n = msg->msg_iov[i].iov_len < s->stay - done ? msg->msg_iov[i].iov_len : s->stay - done;

        memcpy(msg->msg_iov[i].iov_base, s->bytes + done, n);
        done += n;
    }
    msg->msg_controllen = 0;
    msg->msg_flags = 0;
    return (ssize_t)done;
}

/* unp_externalize, so_opt2cmsg: all descriptors of the message are destroyed. On the BSDs soreceive has not taken the bytes. */
static ssize_t destroy(int fd, struct socket *s, int error)
{
    struct iovec iov = {s->bytes, sizeof s->bytes};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = syscall(SYS_recvmsg, fd, &msg, MSG_DONTWAIT);

    s->stay = n > 0 && KERNEL.bytes_stay ? (size_t)n : 0;
    return fail(error);
}

/* soreceive_ctl of XNU, sotpi_recvmsg of old illumos: the buffer ends, and cmsg_len says more. */
static void cut(struct msghdr *msg)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);

    if (!play_cut || !c)
        return;
    msg->msg_controllen = c->cmsg_len;
    msg->msg_flags |= MSG_CTRUNC;
    memcpy((char *)c + c->cmsg_len, &play_cut, sizeof play_cut);
    c->cmsg_len += sizeof play_cut;
    play_cut = 0;
}

/* MSG_PEEK with a control buffer. */
static ssize_t peek(int fd, struct msghdr *msg, int flags)
{
    struct cmsghdr *c = msg->msg_control;
    size_t room = msg->msg_controllen;
    int all, count = look(fd, &all), values = 2 * count;
    ssize_t n;

    play_looks++;
    if (played == ILLUMOS) /* sotpi_recvmsg: duplicates, all or none */
        return all ? syscall(SYS_recvmsg, fd, msg, flags & ~MSG_CMSG_CLOEXEC) : fail(EMFILE);
    msg->msg_control = NULL, msg->msg_controllen = 0;
    n = syscall(SYS_recvmsg, fd, msg, flags);
    msg->msg_control = c;
    if (n < 0 || count == 0 || played == OPENBSD) /* soreceive leaves it out */
        return n;
    while (CMSG_LEN((size_t)values * sizeof(int)) > room)
        values--;
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN((size_t)values * sizeof(int))};
    msg->msg_controllen = c->cmsg_len;
    for (int i = 0; i < values; i++) /* a pointer's half may be any number; macOS shows zeros */
        memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &(int){played == MACOS ? 0 : 1}, sizeof(int));
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct socket *s = entry(fd);
    ssize_t n;
    int all;

    if (!s)
        return syscall(SYS_recvmsg, fd, msg, flags);
    if (played == MACOS && flags & MSG_CMSG_CLOEXEC)
        return fail(EINVAL); /* there is no such flag */
    if (!(flags & MSG_PEEK) && play_before_receive)
        play_before_receive();
    if (s->stay) {
        n = copy(s, msg);
        s->stay = flags & MSG_PEEK ? s->stay : 0;
        return n;
    }
    if (flags & MSG_PEEK && msg->msg_control)
        return peek(fd, msg, flags);
    if (!(flags & MSG_PEEK)) {
        int count = look(fd, &all);

        if (!all)
            return destroy(fd, s, KERNEL.full_table);
        if (count > 0 && play_receive_error)
            return destroy(fd, s, play_receive_error);
    }
    if (played == ILLUMOS) /* recvit takes unknown flags away; those systems do not know this one */
        flags &= ~MSG_CMSG_CLOEXEC;
    do /* no kernel but Linux says ECONNRESET */
        n = syscall(SYS_recvmsg, fd, msg, flags);
    while (n == -1 && errno == ECONNRESET);
    if (n > 0 && !(flags & MSG_PEEK))
        cut(msg);
    return n;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    struct iovec iov = {buffer, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return recvmsg(fd, &msg, flags);
}

/* --- sending ------------------------------------------------------------------------------------- */

/* sosend and its like. 0: it is sent; -1: it failed; 1: the kernel reports success, and there is nothing; 2: it waits. */
static int admit(const struct socket *s, size_t sent, size_t kept)
{
    size_t buffer = (size_t)(play_buffer ? play_buffer : KERNEL.buffer), left = buffer > s->used ? buffer - s->used : 0;

    switch (played) {
    case NETBSD: /* sosend: the high water shrinks; uipc_send: sbappendcontrol refuses, and nobody is told */
        if (s->messages >= (size_t)KERNEL.messages)
            return 2;
        return sent > left ? fail(EMSGSIZE) : kept > left;
    case MACOS: /* sosendcheck: the high water shrinks; small messages fill the buffers first */
        return sent > left ? fail(EMSGSIZE) : s->messages >= (size_t)KERNEL.messages ? 2 : 0;
    case DRAGONFLY:
    case FREEBSD10: /* ssb_appendcontrol, sbappendcontrol: checks for room, and nobody is told */
        return left == 0 || s->messages >= (size_t)KERNEL.messages ? 2 : kept > left;
    case FREEBSD14: /* uipc_send: appends without a check */
        return left == 0 ? 2 : 0;
    case FREEBSD15: /* uipc_sosend_stream_or_seqpacket: waits until the control part fits */
        return kept > buffer ? fail(EMSGSIZE) : kept > left ? 2 : 0;
    case OPENBSD: /* uipc_send: ENOBUFS, whether it may wait or not */
        return kept > left ? fail(ENOBUFS) : 0;
    case ILLUMOS: /* sosend_svccmsg, kstrputmsg: waits while the stream is full */
        return kept > left ? 2 : 0;
    }
    return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct socket *s = entry(fd);
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    size_t count = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0, sent = CMSG_SPACE(count * sizeof(int)),
           kept = CMSG_SPACE(count * sizeof(void *));
    int nonblocking = syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK || (KERNEL.nbio && flags & MSG_NBIO) ||
                      (KERNEL.heeds_dontwait && flags & MSG_DONTWAIT);

    struct timeval timeout = {0, 0};
    long waited = 0, limit;

    if (!s || count == 0)
        return syscall(SYS_sendmsg, fd, msg, flags & ~MSG_NBIO);
    play_tries++;
    for (size_t i = 0; i < count && KERNEL.kqueue; i++) /* unp_internalize */
        if (play_kqueue != -1 && memcmp(CMSG_DATA(c) + i * sizeof(int), &play_kqueue, sizeof(int)) == 0)
            return fail(KERNEL.kqueue);
    getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &(socklen_t){sizeof timeout});
    limit = timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
    limit = limit ? limit : -1;
    if (count > (size_t)(play_most ? play_most : KERNEL.most))
        return fail(KERNEL.too_many);
    if (play_in_flight && KERNEL.in_flight)
        return fail(KERNEL.in_flight);
    for (;;) {
        note_drained(fd, s);
        switch (admit(s, sent, kept)) {
        case -1:
            s->full = s->used > 0;
            return -1;
        case 1:
            play_sent++;
            return (ssize_t)msg->msg_iov->iov_len;
        case 2:
            s->full = 1;
            if (nonblocking)
                return fail(EAGAIN);
            if (flags & MSG_DONTWAIT) {
                fprintf(stderr, "%s ignores MSG_DONTWAIT, so sendmsg() would wait\n", KERNEL.name);
                abort();
            }
            if (waited++ == limit)
                return fail(EAGAIN); /* SO_SNDTIMEO */
            syscall(SYS_poll, NULL, 0, 1);
            continue;
        }
        s->used += kept;
        s->messages++;
        play_sent++;
        return syscall(SYS_sendmsg, fd, msg, flags & ~MSG_NBIO);
    }
}

/* --- waiting and room ---------------------------------------------------------------------------- */

/* Makes what Linux says of one descriptor what the kernel says. */
static int is_ready(struct pollfd *p)
{
    struct socket *s;

    if (p->fd < 0)
        return 0;
    if (played == MACOS && p->events == 0) /* poll_nocancel registers no filter */
        return p->revents = 0;
    if ((s = entry(p->fd)) != NULL) {
        note_drained(p->fd, s);
        if (s->stay)
            p->revents |= p->events & POLLIN;
        if (s->full)
            p->revents &= ~POLLOUT;
    }
    return p->revents != 0;
}

/* Linux takes no more entries than the soft limit is. */
static int poll_now(struct pollfd *fds, nfds_t n)
{
    for (nfds_t i = 0; i < n; i += 16)
        if (syscall(SYS_poll, fds + i, n - i < 16 ? n - i : 16, 0) == -1)
            return -1;
    return 0;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    for (;; timeout -= timeout > 0) {
        int now = timeout < 0 || timeout > 1 ? 1 : timeout, ready = 0, answer;

        answer = poll_now(fds, n);
        for (nfds_t i = 0; answer != -1 && i < n; i++)
            ready += is_ready(&fds[i]);
        if (answer == -1 || ready > 0 || timeout == 0)
            return answer == -1 ? -1 : ready;
        if (syscall(SYS_poll, NULL, 0, now) == -1)
            return -1;
    }
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int answer = (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);

    if (resource == RLIMIT_NOFILE && play_getrlimit)
        limit->rlim_cur = (rlim_t)play_getrlimit;
    return answer;
}

int sysctlbyname(const char *name, void *old, size_t *len, const void *new_value, size_t new_len)
{
    int value = strcmp(name, "kern.osreldate") == 0 ? (played == FREEBSD10   ? 1004000
                                                       : played == FREEBSD14 ? 1400097
                                                                             : 1500000)
                : play_max_files                      ? play_max_files
                                                      : 1 << 20;

    if (strcmp(name, "kern.osreldate") != 0 && strcmp(name, played == NETBSD ? "kern.maxfiles" : "kern.maxfilesperproc") != 0)
        return fail(ENOENT);
    if (*len != sizeof value || new_value || new_len)
        return fail(EINVAL);
    memcpy(old, &value, sizeof value);
    return 0;
}

int fcntl(int fd, int command, ...)
{
    va_list rest;
    long arg;

    va_start(rest, command);
    arg = va_arg(rest, long);
    va_end(rest);
    play_dups += command == F_DUPFD_CLOEXEC;
    return (int)syscall(SYS_fcntl, fd, command, arg);
}

/* --- making sockets ------------------------------------------------------------------------------ */

/* macOS has neither SOCK_CLOEXEC nor accept4(). */
int socket(int domain, int type, int protocol)
{
    return played == MACOS && type & SOCK_CLOEXEC ? fail(EPROTONOSUPPORT) : (int)syscall(SYS_socket, domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
    return played == MACOS && type & SOCK_CLOEXEC ? fail(EPROTONOSUPPORT)
                                                  : (int)syscall(SYS_socketpair, domain, type, protocol, ends);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return played == MACOS ? fail(ENOSYS) : (int)syscall(SYS_accept4, fd, address, len, flags);
}

/* accept_nocancel of XNU: the connection has the listener's mode. */
int accept(int fd, struct sockaddr *address, socklen_t *len)
{
    int flags = (int)syscall(SYS_fcntl, fd, F_GETFL), new = (int)syscall(SYS_accept, fd, address, len);

    if (new != -1 && played == MACOS)
        syscall(SYS_fcntl, new, F_SETFL, flags);
    return new;
}

/* --- connecting ---------------------------------------------------------------------------------- */

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int type = 0, flags = (int)syscall(SYS_fcntl, fd, F_GETFL), answer;

    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type});
    if (played != ILLUMOS) /* unp_connect: sonewconn fails at once if the backlog is full */
        syscall(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
    answer = (int)syscall(SYS_connect, fd, address, len);
    if (answer == -1 && errno == EAGAIN && played != ILLUMOS)
        errno = ECONNREFUSED;
    if (answer == -1 && errno == ECONNREFUSED && type == SOCK_DGRAM && played == ILLUMOS)
        errno = EDESTADDRREQ; /* so_ux_lookup */
    answer = answer == -1 ? -errno : 0; 
    syscall(SYS_fcntl, fd, F_SETFL, flags);
    return answer == 0 ? 0 : fail(-answer);
}

/* --- the peer ------------------------------------------------------------------------------------ */

/* Who made the other end. A pair is one whose ends have no name. */
static int peer_of(int fd, struct ucred *peer, int *is_pair)
{
    struct sockaddr_un own = {0}, other = {0};
    socklen_t size = sizeof *peer, own_size = sizeof own, other_size = sizeof other;

    if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, peer, &size) == -1)
        return -1;
    if (peer->uid == (uid_t)-1)
        return fail(ENOTCONN);
    getsockname(fd, (struct sockaddr *)&own, &own_size);
    getpeername(fd, (struct sockaddr *)&other, &other_size);
    *is_pair = own_size <= sizeof own.sun_family && other_size <= sizeof other.sun_family;
    return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    struct {
        unsigned version;
        uid_t uid;
        short ngroups;
        gid_t groups[16];
        union {
            void *space;
            pid_t pid;
        } pid;
    } xucred = {0};
    const void *answer;
    struct ucred peer;
    int is_pair = 0, wanted;

    switch (played) {
    case FREEBSD10: case FREEBSD14: case FREEBSD15:
        wanted = level == 0 && name == 1; /* LOCAL_PEERCRED */
        break;
    case NETBSD:
        wanted = level == 0 && name == 3; /* LOCAL_PEEREID */
        break;
    case OPENBSD:
        wanted = level == SOL_SOCKET && name == 0x1022; /* SO_PEERCRED */
        break;
    case MACOS:
        wanted = level == 0 && name == 2; /* LOCAL_PEERPID */
        break;
    default:
        wanted = 0;
    }
    if (!wanted)
        return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
    if (peer_of(fd, &peer, &is_pair) == -1)
        return fail(played == NETBSD && errno == ENOTCONN ? EINVAL : errno);
    if (played == FREEBSD10 && is_pair)
        return fail(ENOTCONN);
    xucred.uid = peer.uid, xucred.groups[0] = peer.gid, xucred.ngroups = 1;
    xucred.pid.pid = played == FREEBSD10 ? 0 : peer.pid; /* cru2xt: since 13 */
    answer = played == NETBSD    ? (const void *)&(struct { pid_t pid; uid_t uid; gid_t gid; }){peer.pid, peer.uid, peer.gid}
             : played == OPENBSD ? (const void *)&(struct { uid_t uid; gid_t gid; pid_t pid; }){peer.uid, peer.gid, peer.pid}
             : played == MACOS   ? (const void *)&peer.pid
                                 : (const void *)&xucred;
    wanted = played == NETBSD || played == OPENBSD ? 12 : played == MACOS ? 4 : (int)sizeof xucred;
    if (*size != (socklen_t)wanted)
        return fail(EINVAL);
    memcpy(value, answer, *size);
    return 0;
}

int getpeereid(int fd, uid_t *uid, gid_t *gid)
{
    struct ucred peer;
    int is_pair = 0;

    if (peer_of(fd, &peer, &is_pair) == -1)
        return -1;
    if (played == DRAGONFLY && is_pair)
        return fail(ENOTCONN);
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}

int getpeerucred(int fd, struct ucred **peer)
{
    int is_pair;

    *peer = malloc(sizeof **peer); /* ucred_free frees it */
    if (peer_of(fd, *peer, &is_pair) == 0)
        return 0;
    free(*peer);
    return -1;
}

uid_t ucred_geteuid(const struct ucred *peer) { return peer->uid; }
gid_t ucred_getegid(const struct ucred *peer) { return peer->gid; }
pid_t ucred_getpid(const struct ucred *peer) { return peer->pid; }
void ucred_free(struct ucred *peer) { free(peer); }
