/* A simulation of STREAMS for tests: just the calls that src/sys/streams.rs makes, on Linux, which has none.
 *
 * Each function names the manual page of illumos that it follows, and its lines what that page says there.
 * All of it is from memory: nobody has compared it with the pages. So it shows that streams.rs is right if
 * this is; what a real system does can only be seen on one.
 *
 * A stream is an AF_UNIX SOCK_SEQPACKET socket: a packet with a descriptor is the message of I_SENDFD
 * (M_PASSFP), any other packet a message of data. Programs load it before libc, whose open, ioctl and pipe2
 * it takes the place of; poll, read, write and close are the kernel's own, as is O_NONBLOCK.
 *
 * What is different from a STREAMS system, as far as this project can notice:
 * - No modules but connld, no priorities, no control parts, no maxlen of -1, no writing of no bytes.
 * - fstat(2) says socket, not FIFO; ECONNRESET from write(2) takes the place of EPIPE if the peer closed with
 *   messages unread; the limit of descriptors in flight is EAGAIN, as a lack of memory would be there.
 * - read(2) takes a message whole, however little it has room for, and one with a descriptor (EBADMSG there).
 * - strrecvfd has the uid and gid of who made the connection, not of who sent the descriptor.
 * - Only an empty file can be mounted on; a mount is a FIFO with the sticky bit, whose number and time name
 *   an abstract address; unlink(2) of one works (EBUSY there) and undoes it. Of two that mount at once the
 *   last one has it, and neither sees EBUSY. fdetach of what is somebody else's may be EACCES (EPERM there).
 * - A listener is one descriptor, not its duplicates too, and is not for I_PEEK and getmsg. When its mount is
 *   detached it is not hung up: it just gets no more connections. Opening a mount in blocking mode waits when
 *   very many wait to be accepted (EAGAIN there), and never until one is accepted.
 * - To look at a message and take it is one step only for a process and its children by fork(2), by a lock.
 *   One that is killed in between stops the others.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* From sys/stropts.h of illumos. */
enum { STR = 'S' << 8, I_PUSH = STR | 02, I_RECVFD = STR | 016, I_PEEK = STR | 017, I_SENDFD = STR | 021 };
enum { MOREDATA = 2 };
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

static int fail(int error)
{
    errno = error;
    return -1;
}

/* --- streams ------------------------------------------------------------------------------------- */

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

/* What every end is given. */
static void make_stream(int fd)
{
    set_option(fd, SO_PEEK_OFF, 0);          /* how much of the first message getmsg has taken */
    set_option(fd, SO_SNDBUF, 1 << 22);      /* a quarter of it is what poll(2) calls full */
    set_option(fd, SO_SNDBUFFORCE, 1 << 22); /* for root, above what the system allows */
}

/* isastream(3C) */
int isastream(int fd)
{
    if (fcntl(fd, F_GETFD) == -1)
        return -1; /* EBADF: not open */
    return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_SEQPACKET; /* 1: a stream; or 0 */
}

/* pipe(2) */
int pipe2(int fds[2], int flags)
{
    struct sockaddr any = {.sa_family = AF_UNIX};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | flags, 0, fds) == -1) /* (the flags are the same bits) */
        return -1; /* EMFILE: there are no two slots */
    for (int i = 0; i < 2; i++) { /* both are streams; what is written to either is read from the other */
        make_stream(fds[i]);
        bind(fds[i], &any, sizeof any.sa_family); /* to an address that the kernel chooses, for other_end */
    }
    return 0;
}

/* --- messages ------------------------------------------------------------------------------------ */

static sem_t *lock; /* between looking at a message and taking it */

__attribute__((constructor)) static void make_lock(void)
{
    lock = mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lock == MAP_FAILED || sem_init(lock, 1, 1) == -1)
        abort();
}

static int unlock(int result)
{
    sem_post(lock);
    return result;
}

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))]; /* for one descriptor */
};

/* What is at the head of the queue. */
struct head {
    enum { END, DATA, PASSFP } type;
    int fd, len; /* fd: -1 if it has no slot; len: of the message, or of what is left of it */
};

/* Finds the first message, and takes nothing; when it succeeds it has the lock. EAGAIN: there is no message.
 * Bytes go to `data`, as many as fit. Without `data` it is a descriptor that is wanted, and installed. */
static int look(int fd, int wait, struct head *head, struct strbuf *data)
{
    struct pollfd p = {fd, POLLIN, 0};
    struct iovec iov = {data ? data->buf : NULL, data ? (size_t)data->maxlen : 0};
    union control control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = data ? 0 : sizeof control};
    int offset;
    ssize_t n;

    for (;;) {
        while (sem_wait(lock) == -1)
            continue;
        offset = option(fd, SO_PEEK_OFF);
        n = recvmsg(fd, &msg, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        set_option(fd, SO_PEEK_OFF, offset); /* looking moves it */
        if (n != -1)
            break;
        unlock(0);
        if (errno == ECONNRESET) /* once, if the peer closed with messages unread: not a thing of STREAMS */
            continue;
        if (errno != EAGAIN || !wait || fcntl(fd, F_GETFL) & O_NONBLOCK || poll(&p, 1, -1) == -1)
            return -1; /* EINTR from poll(2) too */
    }
    *head = (struct head){n == 0 ? END : DATA, -1, (int)n};
    if (msg.msg_controllen > 0)
        memcpy(&head->fd, CMSG_DATA(&control.header), sizeof head->fd);
    if (head->fd != -1 || msg.msg_flags & MSG_CTRUNC) /* or it was not installed */
        head->type = PASSFP;
    if (data)
        data->len = head->len < data->maxlen ? head->len : data->maxlen;
    return 0;
}

/* Takes the whole message, which also puts SO_PEEK_OFF back to 0. */
static void take(int fd)
{
    while (recv(fd, NULL, 0, MSG_DONTWAIT) == -1 && errno == ECONNRESET)
        continue;
}

/* streamio(7I), I_SENDFD */
static int send_fd(int fd, int arg)
{
    union control control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(sizeof arg)}};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &arg, sizeof arg);
    if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) /* never waits, and raises no SIGPIPE */
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return fail(ENXIO); /* hung up */
    if (errno == ETOOMANYREFS)
        return fail(EAGAIN); /* no memory for a message */
    return -1;               /* EAGAIN: the other end's queue is full. EBADF: arg is not open */
}

/* streamio(7I), I_RECVFD */
static int receive_fd(int fd, struct strrecvfd *arg)
{
    int listener = option(fd, SO_ACCEPTCONN) == 1;
    struct head head;
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (listener) { /* connld(7M): who opens the mount sends such a message to the pipe's other end */
        if ((head.fd = accept(fd, NULL, NULL)) == -1)
            return -1; /* as below */
        make_stream(head.fd);
    } else {
        if (look(fd, 1, &head, NULL) == -1)
            return -1; /* EAGAIN: no message, and O_NONBLOCK; without, it blocks. EINTR: a signal came */
        if (head.type == END)
            return unlock(fail(ENXIO)); /* hung up, and nothing is left in the queue */
        if (head.type == DATA)
            return unlock(fail(EBADMSG)); /* the first message has no descriptor, and stays */
        if (head.fd == -1)
            return unlock(fail(EMFILE)); /* no slot; the message stays */
        take(fd);
        unlock(0);
    }
    getsockopt(listener ? head.fd : fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    *arg = (struct strrecvfd){.fd = head.fd, .uid = peer.uid, .gid = peer.gid}; /* not close-on-exec */
    return 0;
}

/* streamio(7I), I_PEEK */
static int peek(int fd, struct strpeek *arg)
{
    struct head head;

    if (look(fd, 0, &head, &arg->databuf) == -1)
        return errno == EAGAIN ? 0 : -1; /* 0: no message; it never waits */
    if (head.type == PASSFP)
        return unlock(fail(EBADMSG)); /* the first message is not for getmsg */
    arg->flags = 0;                   /* no priority */
    arg->ctlbuf.len = -1;             /* no control part */
    return unlock(head.type == DATA); /* 1: a message, which stays; 0 after a hangup */
}

/* getmsg(2) */
int getmsg(int fd, struct strbuf *ctl, struct strbuf *data, int *flags)
{
    struct head head;

    if (isastream(fd) != 1)
        return fail(fcntl(fd, F_GETFD) == -1 ? EBADF : ENOSTR); /* not open; no stream */
    if (look(fd, 1, &head, data) == -1)
        return -1; /* EAGAIN: no message, and O_NONBLOCK; without, it blocks. EINTR: a signal came */
    if (head.type == PASSFP)
        return unlock(fail(EBADMSG));     /* the first message is not for getmsg, and stays */
    *flags = 0;                           /* no priority */
    ctl->len = head.type == END ? 0 : -1; /* no control part; after a hangup both lengths are 0 */
    if (data->len == head.len) {
        take(fd); /* never more than one message, however short */
        return unlock(0);
    }
    set_option(fd, SO_PEEK_OFF, option(fd, SO_PEEK_OFF) + data->len);
    return unlock(MOREDATA); /* it is longer than maxlen: the rest stays, and is next, whoever asks */
}

/* --- mounts -------------------------------------------------------------------------------------- */

/* The node at `path`: 1, and its listener's address, if it is a mount; 0 if not; -1 if it is not there. */
static int mounted(const char *path, struct stat *st, struct sockaddr_un *address)
{
    if (stat(path, st) == -1)
        return -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "streams_sim/%lx/%lx.%lx",
             (unsigned long)st->st_ino, (unsigned long)st->st_mtim.tv_sec,
             (unsigned long)st->st_mtim.tv_nsec);
    return S_ISFIFO(st->st_mode) && st->st_mode & S_ISVTX;
}

/* Puts a new node in the place of the one at `path`, in one step. (A success leaves errno alone.) */
static int replace(const char *path, mode_t mode)
{
    char beside[PATH_MAX + 32];

    snprintf(beside, sizeof beside, "%s.streams_sim.%ld", path, (long)getpid());
    if (mknod(beside, mode, 0) == -1)
        return -1;
    if (chmod(beside, mode & 07777) == 0 && rename(beside, path) == 0)
        return 0;
    unlink(beside);
    return -1;
}

/* Which descriptor of this process is the other end of the pipe? -1: none. */
static int other_end(int fd)
{
    struct sockaddr peer = {0};
    socklen_t size = sizeof peer;

    getpeername(fd, &peer, &size);
    for (int other = 0; other < getdtablesize(); other++) {
        struct sockaddr own = {0};

        size = sizeof own;
        if (getsockname(other, &own, &size) == 0 && memcmp(&own, &peer, sizeof own) == 0)
            return other;
    }
    return -1;
}

/* fattach(3C) */
int fattach(int fd, const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int other = other_end(fd), listener, is = mounted(path, &st, &address), result = -1;

    if (is != 0)
        return is == 1 ? fail(EBUSY) : -1; /* EBUSY: is a mount already. ENOENT, ENOTDIR, EACCES */
    if (other == -1 || !S_ISREG(st.st_mode) || st.st_size != 0)
        return fail(EINVAL); /* fd is no stream (or what is at the path is none of what can be mounted on) */
    if ((listener = socket(AF_UNIX, SOCK_SEQPACKET, 0)) == -1)
        return -1;
    /* While it is mounted the node is the pipe, a FIFO, with the permissions that the file had. */
    if (replace(path, S_IFIFO | S_ISVTX | (st.st_mode & 0777)) == 0 && mounted(path, &st, &address) == 1 &&
        bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, SOMAXCONN) == 0)
        result = dup3(listener, other, O_CLOEXEC); /* the pipe's other end is where connections come from */
    close(listener);
    return result == -1 ? -1 : 0;
}

/* fdetach(3C) */
int fdetach(const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int is = mounted(path, &st, &address);

    if (is != 1)
        return is == 0 ? fail(EINVAL) : -1;             /* EINVAL: is no mount. ENOENT, ENOTDIR */
    return replace(path, S_IFREG | (st.st_mode & 0777)); /* what was there before is there again */
}

/* open(2); connld(7M) */
int open(const char *path, int flags, ...)
{
    struct sockaddr_un address;
    struct stat st;
    va_list rest;
    int fd;

    if (mounted(path, &st, &address) != 1) {
        va_start(rest, flags);
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, va_arg(rest, mode_t));
        va_end(rest);
        return fd;
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == -1)
        return -1; /* EACCES: the node's permissions count */
    if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | (flags & (O_CLOEXEC | O_NONBLOCK)), 0)) == -1)
        return -1; /* EMFILE: no slot */
    make_stream(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd; /* one end of a new pipe */
    close(fd);
    return errno == ECONNREFUSED ? fail(EPIPE) : -1; /* EPIPE: the mounted pipe's other end is closed */
}

/* --- everything else ----------------------------------------------------------------------------- */

/* getpeerucred(3C) */
int getpeerucred(int fd, struct ucred **peer)
{
    socklen_t size = sizeof **peer;

    if (option(fd, SO_ACCEPTCONN) == 1)
        return fail(EINVAL); /* a stream that has no peer */
    *peer = malloc(size);    /* ucred_free frees it */
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, *peer, &size); /* who made the other end */
}

/* ucred_get(3C) */
uid_t ucred_geteuid(const struct ucred *peer) { return peer->uid; }
gid_t ucred_getegid(const struct ucred *peer) { return peer->gid; }
pid_t ucred_getpid(const struct ucred *peer) { return peer->pid; }
void ucred_free(struct ucred *peer) { free(peer); }

/* ioctl(2) */
int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    void *arg;

    va_start(rest, request);
    arg = va_arg(rest, void *);
    va_end(rest);
    if (isastream(fd) == 1)
        switch (request) {
        case I_PUSH: /* streamio(7I): EINVAL: there is no such module */
            return strcmp(arg, "connld") == 0 ? 0 : fail(EINVAL);
        case I_RECVFD:
            return receive_fd(fd, arg);
        case I_PEEK:
            return peek(fd, arg);
        case I_SENDFD:
            return send_fd(fd, (int)(long)arg);
        }
    return (int)syscall(SYS_ioctl, fd, request, arg); /* the kernel's own */
}
