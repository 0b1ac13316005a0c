/* A simulation of STREAMS for tests: just the calls that src/sys/streams.rs makes, on Linux, which has none.
 *
 * It does what the manual pages say as we remember them (named at each function: those of illumos; nobody has
 * compared it with their text yet), and so shows whether that code is right if that is. It is no STREAMS: no modules, no priorities, no control parts. What a
 * real system does can only be seen on one.
 *
 * A stream is an AF_UNIX SOCK_SEQPACKET socket: a packet with a descriptor is the message of I_SENDFD
 * (M_PASSFP), any other packet a message of data. SO_PASSCRED attaches the sender's uid and gid, and tells
 * an empty message, which has them, from the end, which has not. Programs load it before libc, whose open,
 * ioctl and pipe2 it takes the place of; poll, read, write and close are the kernel's own, as is O_NONBLOCK.
 *
 * What is different from a STREAMS system, as far as this project can notice:
 * - fstat(2) says socket, not FIFO; ECONNRESET from write(2) takes the place of EPIPE if the peer closed with
 *   messages unread; the limit of descriptors in flight is EAGAIN, as a lack of memory would be there.
 * - A listener whose mount was detached is not hung up: it just gets no more connections.
 * - Only an empty file can be mounted on; a mount is a FIFO with the sticky bit, whose number and time name an
 *   abstract address; unlink(2) of one works (EBUSY there) and undoes it.
 * - What a system does in one step is one step only for a process and its children by fork(2): they share a
 *   lock.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* --- sys/stropts.h of illumos -------------------------------------------------------------------- */

#define STR ('S' << 8)
#define I_PUSH (STR | 02)
#define I_RECVFD (STR | 016)
#define I_PEEK (STR | 017)
#define I_SENDFD (STR | 021)
#define MOREDATA 2

struct strrecvfd {
    int fd;
    uid_t uid;
    gid_t gid;
    char fill[8];
};

struct strbuf {
    int maxlen, len;
    char *buf;
};

struct strpeek {
    struct strbuf ctlbuf, databuf;
    unsigned flags;
};

int isastream(int fd);
int getmsg(int fd, struct strbuf *ctl, struct strbuf *data, int *flags);
int fattach(int fd, const char *path);
int fdetach(const char *path);
int ioctl(int fd, unsigned long request, ...);
int getpeerucred(int fd, struct ucred **peer);
uid_t ucred_geteuid(const struct ucred *peer);
gid_t ucred_getegid(const struct ucred *peer);
pid_t ucred_getpid(const struct ucred *peer);
void ucred_free(struct ucred *peer);

/* --- the lock -------------------------------------------------------------------------------------- */

static pthread_mutex_t *lock; /* in memory that children share */
static struct pipes {
    ino_t ino, peer; /* what pipe2() made last: which end belongs to which */
} pipes[64];
static unsigned n_pipes;

__attribute__((constructor)) static void make_lock(void)
{
    pthread_mutexattr_t attr;

    lock = mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lock == MAP_FAILED)
        abort();
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attr);
}

static void take_lock(void)
{
    if (pthread_mutex_lock(lock) == EOWNERDEAD) /* its holder was killed */
        pthread_mutex_consistent(lock);
}

/* errno is left as it was. */
static int unlock(int result)
{
    pthread_mutex_unlock(lock);
    return result;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* --- streams --------------------------------------------------------------------------------------- */

static int option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static void set_option(int fd, int name, int value)
{
    setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}

/* What every end is given. A quarter of the buffer is what poll(2) calls full. */
static void make_stream(int fd)
{
    set_option(fd, SO_PASSCRED, 1);
    set_option(fd, SO_SNDBUF, 1 << 22);
    set_option(fd, SO_SNDBUFFORCE, 1 << 22); /* for root, above what the system allows */
}

static ino_t inode(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* isastream(3C): 1 or 0; -1 with EBADF. */
int isastream(int fd)
{
    if (fcntl(fd, F_GETFD) == -1)
        return -1;
    return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_SEQPACKET;
}

/* pipe(2): both ends are streams, and what is written to one is read from the other. */
int pipe2(int fds[2], int flags)
{
    int type = SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0) |
               (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0);

    if (socketpair(AF_UNIX, type, 0, fds) == -1)
        return -1;
    take_lock();
    for (int i = 0; i < 2; i++) {
        make_stream(fds[i]);
        pipes[n_pipes++ % 64] = (struct pipes){inode(fds[i]), inode(fds[!i])};
    }
    return unlock(0);
}

/* What is at the head of the queue. */
struct head {
    enum { NOTHING, END, DATA, PASSFP, NO_SLOT } type;
    int fd, len; /* len: of the whole message */
    struct ucred sender;
};

/* Looks, and takes nothing. With `install` a descriptor that is there is installed: the slot that it gets
 * is the one that it keeps. At most `size` bytes of data go to `buf`. */
static int look(int fd, struct head *head, int install, char *buf, int size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {buf, (size_t)size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    int offset = option(fd, SO_PEEK_OFF), error;
    ssize_t n;

    do { /* STREAMS knows no reset */
        msg.msg_controllen = install ? sizeof control : CMSG_SPACE(sizeof(struct ucred));
        n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
    } while (n == -1 && errno == ECONNRESET);
    error = errno;
    if (offset > 0)
        set_option(fd, SO_PEEK_OFF, offset); /* looking moves it */
    errno = error;
    memset(head, 0, sizeof *head);
    head->fd = -1;
    head->len = (int)n;
    if (n == -1)
        return errno == EAGAIN ? 0 : -1;
    head->type = msg.msg_controllen == 0 ? END : DATA;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&head->sender, CMSG_DATA(c), sizeof head->sender);
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            memcpy(&head->fd, CMSG_DATA(c), sizeof head->fd);
            head->type = PASSFP;
        }
    }
    if (msg.msg_flags & MSG_CTRUNC) /* a descriptor, not wanted or without a slot */
        head->type = install ? NO_SLOT : PASSFP;
    return 0;
}

static void take_head(int fd)
{
    char byte;

    recv(fd, &byte, 1, MSG_DONTWAIT);
}

/* "If O_NDELAY and O_NONBLOCK are clear, ... will block until a message is present": waits without the lock
 * and returns with it; or fails, without. */
static int wait_for_head(int fd, struct head *head, int install, char *buf, int size)
{
    struct pollfd p = {fd, POLLIN, 0};

    for (;;) {
        take_lock();
        if (look(fd, head, install, buf, size) == -1)
            return unlock(-1);
        if (head->type != NOTHING)
            return 0;
        unlock(0);
        if (fcntl(fd, F_GETFL) & O_NONBLOCK)
            return fail(EAGAIN);
        if (poll(&p, 1, -1) == -1)
            return -1;
    }
}

/* streamio(7I), I_SENDFD: "EAGAIN: the read queue of the receiving stream head is full and cannot accept the
 * message" (it never waits), which stands for a lack of memory too; "EBADF: arg is not a valid, open file descriptor"; "EINVAL: fildes is not
 * connected to a stream pipe"; "ENXIO: hangup received on fildes". */
static int send_fd_over(int fd, int arg)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    ssize_t n;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof arg);
    memcpy(CMSG_DATA(c), &arg, sizeof arg);
    do
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n == -1 && errno == ECONNRESET);
    if (n == 1)
        return 0;
    return fail(errno == EPIPE ? ENXIO
                : errno == ENOTCONN ? EINVAL
                : errno == ETOOMANYREFS || errno == ENOBUFS ? EAGAIN
                : errno);
}

/* connld(7M): I_RECVFD on the pipe's other end gets one end of a new pipe for each open of the mount. */
static int receive_connection(int fd, struct strrecvfd *arg)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int connection = accept4(fd, NULL, NULL, 0);

    if (connection == -1)
        return -1;
    make_stream(connection);
    getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    *arg = (struct strrecvfd){.fd = connection, .uid = peer.uid, .gid = peer.gid};
    return 0;
}

/* streamio(7I), I_RECVFD: "EAGAIN: a message is not present ... and the O_NDELAY or O_NONBLOCK flag is set";
 * "EBADMSG: the message at the stream head read queue is not a message containing a passed file descriptor";
 * "EMFILE"; "ENXIO: hangup received on fildes". What cannot be had stays where it is. */
static int receive_fd_over(int fd, struct strrecvfd *arg)
{
    struct head head;

    if (option(fd, SO_ACCEPTCONN) == 1)
        return receive_connection(fd, arg);
    if (wait_for_head(fd, &head, 1, NULL, 0) == -1)
        return -1;
    if (head.type != PASSFP)
        return unlock(fail(head.type == END ? ENXIO : head.type == NO_SLOT ? EMFILE : EBADMSG));
    take_head(fd);
    *arg = (struct strrecvfd){.fd = head.fd, .uid = head.sender.uid, .gid = head.sender.gid};
    return unlock(0);
}

/* streamio(7I), I_PEEK: 1 if a message was found, 0 if not; "EBADMSG: queued message to be read is not valid
 * for I_PEEK". */
static int peek(int fd, struct strpeek *arg)
{
    struct head head;
    int max = arg->databuf.maxlen < 0 ? 0 : arg->databuf.maxlen;

    if (option(fd, SO_ACCEPTCONN) == 1 || look(fd, &head, 0, arg->databuf.buf, max) == -1)
        return fail(EINVAL);
    if (head.type == NOTHING || head.type == END)
        return 0;
    if (head.type == PASSFP)
        return fail(EBADMSG);
    arg->ctlbuf.len = -1;
    arg->databuf.len = head.len < max ? head.len : max;
    return 1;
}

/* getmsg(2): takes the first message. What is longer than maxlen leaves its rest at the head (MOREDATA).
 * After a hangup, and all that was queued, both lengths are 0. "EBADMSG: queued message to be read is not
 * valid for getmsg()"; "ENOSTR"; EAGAIN, EINTR. How much of the head was taken before is noted where every
 * process that has the stream finds it: in SO_PEEK_OFF. */
int getmsg(int fd, struct strbuf *ctl, struct strbuf *data, int *flags)
{
    struct head head;
    int offset = option(fd, SO_PEEK_OFF), stream = isastream(fd);

    if (stream != 1)
        return stream == 0 ? fail(ENOSTR) : -1;
    if (wait_for_head(fd, &head, 0, data->buf, data->maxlen) == -1)
        return -1;
    if (head.type == PASSFP)
        return unlock(fail(EBADMSG));
    *flags = 0;
    ctl->len = head.type == END ? 0 : -1;
    data->len = head.len < data->maxlen ? head.len : data->maxlen;
    if (head.type == END)
        return unlock(0);
    if (data->len < head.len) {
        set_option(fd, SO_PEEK_OFF, (offset > 0 ? offset : 0) + data->len);
        return unlock(MOREDATA);
    }
    take_head(fd);
    set_option(fd, SO_PEEK_OFF, -1);
    return unlock(0);
}

/* --- mounts ---------------------------------------------------------------------------------------- */

/* The address of the listener whose mount is at `path`, if there is one. */
static int mounted(const char *path, struct sockaddr_un *address, socklen_t *size)
{
    struct stat st;

    if (stat(path, &st) == -1 || !S_ISFIFO(st.st_mode) || !(st.st_mode & S_ISVTX))
        return 0;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                        (size_t)sprintf(address->sun_path + 1, "streams_sim/%lx/%lx/%lx.%lx",
                                        (unsigned long)st.st_dev, (unsigned long)st.st_ino,
                                        (unsigned long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec));
    return 1;
}

/* Puts a new node in the place of the one at `path`, with its permissions. */
static int replace(const char *path, mode_t kind, mode_t permissions)
{
    char beside[4096];

    if (snprintf(beside, sizeof beside, "%s.streams_sim.%ld", path, (long)getpid()) >= (int)sizeof beside)
        return fail(ENAMETOOLONG);
    unlink(beside);
    if (mknod(beside, kind | 0600, 0) == -1)
        return -1;
    if (chmod(beside, permissions) == -1 || rename(beside, path) == -1) {
        int error = errno;

        unlink(beside);
        return fail(error);
    }
    return 0;
}

/* fattach(3C): "EBUSY: path ... has a STREAMS file descriptor attached to it"; "EINVAL: fildes does not refer
 * to a STREAMS file"; ENOENT, ENOTDIR, EACCES. The pipe's other end, which is this process's still, becomes
 * a listening socket. */
int fattach(int fd, const char *path)
{
    struct sockaddr_un address;
    socklen_t size;
    struct stat st;
    ino_t peer = 0;
    int listener, other = 0, result = -1;

    if (isastream(fd) != 1)
        return fail(errno == EBADF ? EBADF : EINVAL);
    if (stat(path, &st) == -1)
        return -1;
    take_lock();
    if (mounted(path, &address, &size))
        return unlock(fail(EBUSY));
    for (unsigned i = 0; i < 64; i++)
        if (pipes[i].ino == inode(fd))
            peer = pipes[i].peer;
    while (other < 1 << 16 && inode(other) != peer)
        other++;
    if (!S_ISREG(st.st_mode) || st.st_size != 0 || peer == 0 || other == 1 << 16)
        return unlock(fail(EINVAL));
    if ((listener = socket(AF_UNIX, SOCK_SEQPACKET, 0)) == -1)
        return unlock(-1);
    set_option(listener, SO_PASSCRED, 1);
    if (replace(path, S_IFIFO, (st.st_mode & 0777) | S_ISVTX) == 0 && mounted(path, &address, &size) &&
        bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, SOMAXCONN) == 0)
        result = dup3(listener, other, fcntl(other, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
    close(listener);
    return unlock(result == -1 ? -1 : 0);
}

/* fdetach(3C): "EINVAL: path is not attached to a STREAMS file"; ENOENT, ENOTDIR, EPERM. What was at the path
 * before is there again. */
int fdetach(const char *path)
{
    struct sockaddr_un address;
    socklen_t size;
    struct stat st;
    int result;

    take_lock();
    if (stat(path, &st) == -1)
        return unlock(-1);
    if (!mounted(path, &address, &size))
        return unlock(fail(EINVAL));
    result = replace(path, S_IFREG, st.st_mode & 0777);
    return unlock(result == -1 && errno == EACCES ? fail(EPERM) : result);
}

/* connld(7M): opening the mount makes a new pipe, one end of which is what open returns. EPIPE if the other end
 * of the mounted pipe is closed. The permissions are the node's. */
static int open_mount(const char *path, int flags, const struct sockaddr_un *address, socklen_t size)
{
    int type = SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), fd;

    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == -1)
        return -1;
    if ((fd = socket(AF_UNIX, type, 0)) == -1)
        return -1;
    make_stream(fd);
    if (connect(fd, (const struct sockaddr *)address, size) == -1) {
        int error = errno;

        close(fd);
        return fail(error == ECONNREFUSED ? EPIPE : error);
    }
    if (flags & O_NONBLOCK)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int open(const char *path, int flags, ...)
{
    struct sockaddr_un address;
    socklen_t size;
    va_list rest;
    mode_t mode;
    int error = errno;

    if ((flags & O_ACCMODE) == O_RDWR && mounted(path, &address, &size))
        return open_mount(path, flags, &address, size);
    errno = error;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* getpeerucred(3C): who made the connection's other end. "ENOTCONN"; "EINVAL: fildes is not ... a STREAMS file". */
int getpeerucred(int fd, struct ucred **peer)
{
    struct ucred found;
    socklen_t size = sizeof found;

    if (option(fd, SO_ACCEPTCONN) == 1)
        return fail(EINVAL);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &size) == -1 || (*peer = malloc(size)) == NULL)
        return -1;
    **peer = found;
    return 0;
}

uid_t ucred_geteuid(const struct ucred *peer)
{
    return peer->uid;
}

gid_t ucred_getegid(const struct ucred *peer)
{
    return peer->gid;
}

pid_t ucred_getpid(const struct ucred *peer)
{
    return peer->pid;
}

void ucred_free(struct ucred *peer)
{
    free(peer);
}

/* ioctl(2) of what is no stream is the kernel's. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    void *arg;

    va_start(rest, request);
    arg = va_arg(rest, void *);
    va_end(rest);
    if (request >= I_PUSH && request <= I_SENDFD && isastream(fd) == 1)
        switch (request) {
        case I_PUSH: /* streamio(7I): "EINVAL: invalid module name" */
            return strcmp(arg, "connld") == 0 ? 0 : fail(EINVAL);
        case I_RECVFD:
            return receive_fd_over(fd, arg);
        case I_PEEK:
            return peek(fd, arg);
        case I_SENDFD:
            return send_fd_over(fd, (int)(long)arg);
        }
    return (int)syscall(SYS_ioctl, fd, request, arg);
}
