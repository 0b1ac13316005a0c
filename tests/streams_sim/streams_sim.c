/* A simulation of STREAMS for tests: just the calls that src/sys/streams.rs makes, on Linux, which has none.
 *
 * Each function does what illumos' kernel and libc do. Their sources were read, and a comment names the function in which each
 * thing stands. docs/platforms.md has the whole.
 *
 * A stream is an AF_UNIX SOCK_SEQPACKET socket: a packet with a descriptor is the message of I_SENDFD
 * (M_PASSFP), any other packet a message of data. Programs load it before libc, whose open, ioctl and pipe2
 * it takes the place of; poll, read, write and close are the kernel's own, as is O_NONBLOCK.
 *
 * What is different from illumos:
 * - Each write is a message from the start. (There, what is written before the first STREAMS call is one message.)
 * - No modules but connld, no priorities, no control parts, no maxlen of -1, no writing of no bytes, no O_NDELAY.
 * - fstat(2) of an end says socket, not FIFO. ECONNRESET from write(2) takes the place of EPIPE if the peer closed with
 *   messages unread. Linux' limit of descriptors in flight is EAGAIN, as a lack of memory is there.
 * - read(2) takes a message whole, however little it has room for, and one with a descriptor (EBADMSG there).
 * - A mount is a FIFO with the sticky bit, whose number and time name an abstract address. It takes the place of the file,
 *   whose contents are lost (there they are hidden). It ends when somebody looks at it after its listener is closed.
 * - A listener is one descriptor, not its duplicates too, and is not for I_PEEK and getmsg. After fdetach or unlink it polls
 *   readable first, and hung up after I_RECVFD has failed. ids of a connection are the effective ones.
 * - To look at a message and take it is one step only for a process and its children by fork(2), by a lock.
 *   One that is killed in between stops the others.
 *
 * With STREAMS_SIM_EAGER in the environment, opening a mount does not wait until it is accepted. No system does so. It is for
 * tests of other things, which connect and accept in one thread.
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
#include <sys/sysmacros.h>
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

enum { ACCEPTED = 1 };   /* the SO_PRIORITY of an end that was accepted */
enum { NAMEFS = 0xfff }; /* the device of mounts */

static int fail(int error)
{
    errno = error;
    return -1;
}

static int is_eager(void)
{
    return getenv("STREAMS_SIM_EAGER") != NULL;
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
    set_option(fd, SO_PASSCRED, 1);          /* who sent each descriptor */
    /* fifonode.h, FIFOHIWAT: a NUL and a descriptor about 650 times. (poll(2) calls a quarter of the buffer full.) */
    set_option(fd, SO_SNDBUF, 1 << 21);
    set_option(fd, SO_SNDBUFFORCE, 1 << 21); /* for root, above what the system allows */
}

/* libc isastream.c. (What it says of a socket is not decided: 0 here.) */
int isastream(int fd)
{
    if (fcntl(fd, F_GETFD) == -1)
        return -1; /* EBADF: not open */
    return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_SEQPACKET; /* 1: a stream; or 0 */
}

/* syscall/pipe.c */
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
    char room[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))]; /* who sent it, and one descriptor */
};

/* What is at the head of the queue. */
struct head {
    enum { END, DATA, PASSFP } type;
    int fd, len; /* fd: -1 if it has no slot; len: of the message, or of what is left of it */
    struct ucred sender;
};

/* Finds the first message, and takes nothing; when it succeeds it has the lock. EAGAIN: there is no message.
 * Bytes go to `data`, as many as fit. Without `data` it is a descriptor that is wanted, and installed. */
static int look(int fd, int wait, struct head *head, struct strbuf *data)
{
    struct pollfd p = {fd, POLLIN, 0};
    struct iovec iov = {data ? data->buf : NULL, data ? (size_t)data->maxlen : 0};
    union control control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    int offset;
    ssize_t n;

    for (;;) {
        msg.msg_controllen = data ? CMSG_SPACE(sizeof(struct ucred)) : sizeof control;
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
    *head = (struct head){n == 0 ? END : DATA, -1, (int)n, {0, 0, 0}};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&head->sender, CMSG_DATA(c), sizeof head->sender);
        else if (c->cmsg_type == SCM_RIGHTS)
            memcpy(&head->fd, CMSG_DATA(c), sizeof head->fd);
    }
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

/* streamio.c, strioctl I_SENDFD and do_sendfp */
static int send_fd(int fd, int arg)
{
    union control control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(sizeof arg)}};
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = CMSG_SPACE(sizeof arg)};

    memcpy(CMSG_DATA(&control.header), &arg, sizeof arg);
    if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) /* never waits, and raises no SIGPIPE */
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return fail(ENXIO); /* hung up */
    if (errno == ETOOMANYREFS)
        return fail(EAGAIN); /* no memory for a message */
    return -1;               /* EAGAIN: QFULL at the other head. EBADF: arg is not open */
}

static const char DETACHED[] = "fdetach";

/* fifosubr.c, fifo_connld: who opens the mount sends one end of a new pipe to the listener, and sleeps until this call. */
static int receive_connection(int listener, struct strrecvfd *arg)
{
    char first[sizeof DETACHED];
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept(listener, NULL, NULL);

    if (fd == -1)
        return errno == EINVAL ? fail(ENXIO) : -1; /* ENXIO: hung up. EAGAIN, EINTR, EMFILE as below */
    if (recv(fd, first, sizeof first, MSG_PEEK | MSG_DONTWAIT) == sizeof first && !memcmp(first, DETACHED, sizeof first)) {
        close(fd);
        shutdown(listener, SHUT_RDWR); /* nm_unmount, nm_inactive: the mounted end is closed */
        return fail(ENXIO);
    }
    make_stream(fd);
    set_option(fd, SO_PRIORITY, ACCEPTED);
    if (!is_eager())
        send(fd, "", 1, MSG_NOSIGNAL); /* the opener goes on */
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    *arg = (struct strrecvfd){.fd = fd, .uid = peer.uid, .gid = peer.gid};
    return 0;
}

/* streamio.c, strioctl I_RECVFD */
static int receive_fd(int fd, struct strrecvfd *arg)
{
    struct head head;

    if (option(fd, SO_ACCEPTCONN) == 1)
        return receive_connection(fd, arg);
    if (look(fd, 1, &head, NULL) == -1)
        return -1; /* EAGAIN: no message, and O_NONBLOCK; without, it blocks. EINTR: a signal came */
    if (head.type == END)
        return unlock(fail(ENXIO)); /* hung up, and nothing is left in the queue */
    if (head.type == DATA)
        return unlock(fail(EBADMSG)); /* the first message has no descriptor, and is put back */
    if (head.fd == -1)
        return unlock(fail(EMFILE)); /* ufalloc: no slot; the message is put back */
    take(fd);
    unlock(0);
    /* setf: not close-on-exec. do_sendfp: the real ids of the sender */
    *arg = (struct strrecvfd){.fd = head.fd, .uid = head.sender.uid, .gid = head.sender.gid};
    return 0;
}

/* streamio.c, strioctl I_PEEK */
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

/* streamio.c, strgetmsg */
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

/* An abstract address that belongs to a mount. */
static struct sockaddr_un name_of(const struct stat *st, const char *what)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "streams_sim/%s/%lx/%lx.%lx", what, (unsigned long)st->st_ino,
             (unsigned long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
    return address;
}

/* Whether a listener has this address. (What it accepted has it, too.) */
static int is_open(const struct sockaddr_un *address)
{
    FILE *file = fopen("/proc/net/unix", "re");
    char line[400], *name;
    unsigned flags;
    int found = 0;

    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        found = sscanf(line, "%*s %*s %*s %x", &flags) == 1 && flags & 1 << 16 && (name = strchr(line, '@')) != NULL &&
                strncmp(name + 1, address->sun_path + 1, strlen(address->sun_path + 1)) == 0;
    }
    if (file)
        fclose(file);
    return found;
}

static int real_stat(const char *path, struct stat *st)
{
    return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

/* Makes a node beside the path. */
static int beside(const char *path, mode_t mode, char name[PATH_MAX + 32])
{
    snprintf(name, PATH_MAX + 32, "%s.streams_sim.%ld", path, (long)getpid());
    if (mknod(name, mode, 0) == -1)
        return -1;
    return chmod(name, mode & 07777);
}

/* Undoes a mount: the plain file is there again, with its mode. */
static int unmount(const char *path, const struct stat *st)
{
    char name[PATH_MAX + 32];

    if (beside(path, S_IFREG | (st->st_mode & 0777), name) == 0 && rename(name, path) == 0)
        return 0;
    syscall(SYS_unlink, name);
    return -1;
}

/* The same as mounted(), whether the listener is still open or not. */
static int was_mounted(const char *path, struct stat *st, struct sockaddr_un *address)
{
    if (real_stat(path, st) == -1)
        return -1;
    *address = name_of(st, "mount");
    return S_ISFIFO(st->st_mode) && st->st_mode & S_ISVTX;
}

/* The node at `path`: 1, and its listener's address, if it is a mount; 0 if not; -1 if it is not there. */
static int mounted(const char *path, struct stat *st, struct sockaddr_un *address)
{
    int error = errno, is = was_mounted(path, st, address);

    if (is != 1 || is_open(address))
        return is;
    unmount(path, st); /* fifovnops.c, fifo_close: the last close of the listener unmounts */
    errno = error;
    return real_stat(path, st) == -1 ? -1 : 0;
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

/* libc fattach.c; namevfs.c, nm_mount */
int fattach(int fd, const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    char name[PATH_MAX + 32];
    int other = other_end(fd), listener, is = mounted(path, &st, &address), result = -1;

    if (is != 0)
        return is == 1 ? fail(EBUSY) : -1; /* EBUSY: is a mount already. ENOENT, ENOTDIR, EACCES */
    if (other == -1)
        return fail(EINVAL); /* fd is no stream */
    if (geteuid() != 0 && st.st_uid != geteuid())
        return fail(EPERM);
    if (geteuid() != 0 && !(st.st_mode & S_IWUSR))
        return fail(EACCES);
    if ((listener = socket(AF_UNIX, SOCK_SEQPACKET, 0)) == -1)
        return -1;
    /* nm_getattr: the node is a FIFO, with a fresh number, and the mode of the file. */
    if (beside(path, S_IFIFO | S_ISVTX | (st.st_mode & 0777), name) == 0 && real_stat(name, &st) == 0) {
        address = name_of(&st, "mount");
        /* Places for one opener, as only one has its turn, and for fdetach. */
        if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(listener, is_eager() ? SOMAXCONN : 1) == 0 && rename(name, path) == 0)
            result = dup3(listener, other, O_CLOEXEC); /* the pipe's other end is where connections come from */
        else
            syscall(SYS_unlink, name);
    }
    close(listener);
    return result == -1 ? -1 : 0;
}

/* Hangs the listener up. */
static void hang_up(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        send(fd, DETACHED, sizeof DETACHED, MSG_NOSIGNAL);
    close(fd);
}

/* libc fdetach.c; namevfs.c, nm_unmount */
int fdetach(const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int is = mounted(path, &st, &address);

    if (is != 1)
        return is == 0 ? fail(EINVAL) : -1; /* EINVAL: is no mount. ENOENT, ENOTDIR */
    if (geteuid() != 0 && st.st_uid != geteuid())
        return fail(EPERM);
    if (unmount(path, &st) == -1)
        return -1;
    hang_up(&address);
    return 0;
}

/* vnode.c, vn_removeat: namefs mounts are unlinkable, so this unmounts and removes the file */
int unlink(const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int error = errno, is = mounted(path, &st, &address);

    errno = error;
    if (syscall(SYS_unlink, path) == -1)
        return -1;
    if (is == 1)
        hang_up(&address);
    return 0;
}

/* Waits for a turn, and then until the listener has accepted. O_NONBLOCK is not looked at. */
static int wait_for_accept(int fd, const struct sockaddr_un *address, const struct sockaddr_un *turn)
{
    struct pollfd p = {fd, POLLIN, 0};
    int place = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), result = -1;
    char byte;

    while (bind(place, (const struct sockaddr *)turn, sizeof *turn) == -1) /* fifo_stropen, FIFOOPEN: one at a time */
        if (!is_open(address) || poll(NULL, 0, 1) == -1) {
            close(place);
            return fail(is_open(address) ? EINTR : ENXIO);
        }
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == -1)
        errno = ENXIO; /* the listener is closed */
    else if (poll(&p, 1, -1) == -1)
        errno = EINTR; /* the message stays: the listener accepts what is hung up already */
    else if ((result = recv(fd, &byte, 1, 0) == 1 ? 0 : -1) == -1)
        errno = ENXIO;
    close(place);
    return result;
}

/* fifosubr.c, fifo_connld; namevno.c, nm_access */
int open(const char *path, int flags, ...)
{
    struct sockaddr_un address, turn;
    struct stat st;
    va_list rest;
    int fd, error;

    /* To ask whether a listener is open takes long if there are many sockets. Connecting shows it, too. */
    if ((is_eager() ? was_mounted : mounted)(path, &st, &address) != 1) {
        va_start(rest, flags);
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, va_arg(rest, mode_t));
        va_end(rest);
        return fd;
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == -1)
        return -1; /* EACCES: the node's permissions count */
    if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | (flags & O_CLOEXEC), 0)) == -1)
        return -1; /* EMFILE: no slot */
    turn = name_of(&st, "turn");
    make_stream(fd);
    if (is_eager() ? connect(fd, (struct sockaddr *)&address, sizeof address) == 0
                   : wait_for_accept(fd, &address, &turn) == 0) {
        fcntl(fd, F_SETFL, flags & O_NONBLOCK); /* one end of a new pipe */
        return fd;
    }
    error = errno;
    close(fd);
    if (error == ECONNREFUSED && mounted(path, &st, &address) == 0)
        return open(path, flags); /* the plain file */
    return fail(error == ECONNREFUSED ? ENXIO : error);
}

/* nm_getattr: a mount shows as a FIFO with one link, on a device of its own, with the mode of the file. */
int statx(int directory, const char *path, int flags, unsigned mask, struct statx *st)
{
    struct sockaddr_un address;
    struct stat found;
    int error = errno, is = directory == AT_FDCWD && *path ? mounted(path, &found, &address) : 0;

    errno = error;
    if (syscall(SYS_statx, directory, path, flags, mask, st) == -1)
        return -1;
    if (is == 1) {
        st->stx_mode &= (unsigned short)~S_ISVTX;
        st->stx_dev_major = NAMEFS;
    }
    return 0;
}

int lstat(const char *path, struct stat *st)
{
    struct sockaddr_un address;
    int is = mounted(path, st, &address);

    if (is == 1) {
        st->st_mode &= ~(mode_t)S_ISVTX;
        st->st_dev = makedev(NAMEFS, minor(st->st_dev));
    }
    return is == -1 ? -1 : 0;
}

/* --- everything else ----------------------------------------------------------------------------- */

/* fifovnops.c, fifo_strioctl _I_GETPEERCRED: only an end that was accepted knows who opened the other one */
int getpeerucred(int fd, struct ucred **peer)
{
    socklen_t size = sizeof **peer;

    if (option(fd, SO_PRIORITY) != ACCEPTED)
        return fail(ENOTSUP);
    *peer = malloc(size); /* ucred_free frees it */
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, *peer, &size);
}

/* libc ucred.c */
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
        case I_PUSH: /* strioctl: EINVAL: there is no such module */
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
