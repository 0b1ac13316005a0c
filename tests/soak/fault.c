/* The interposer, for LD_PRELOAD. At random it makes the system calls of libfdpasser fail and changes the
 * state of the process between them. It leaves alone the calls that do not come from the library (or from
 * the Perl module that contains it).
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * SOAK_FAULT is a list of name=N. For most names N means "one call in N":
 *
 *   errno    the call is not made and fails with one of `errors`
 *   fill     the descriptor table is filled, but for 0 to 3 slots, between two calls of the library
 *   limit    the soft limit is lowered between two calls of the library
 *   steal    the table is filled, but for 0 to 3 slots, between the library's proof of room and its recvmsg
 *   signal   a signal comes about every N milliseconds
 *   kill     SIGKILL before or after one of the first N calls of sendmsg and recvmsg
 *   seed     where the dice start
 *   nofile   the soft limit to start with
 *   ledger   the ledger's descriptor
 *   id       this process's number in the ledger */

#define _GNU_SOURCE
#include "ledger.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { FILLERS = 70000 };

static struct {
    unsigned errno_, fill, limit, steal, signal, kill, seed, nofile, id;
    int ledger;
} set = {.ledger = -1};

static const int errors[] = {EINTR, EAGAIN, ENOBUFS, ENOMEM, EMFILE, ENFILE, ETOOMANYREFS};

static int (*real_fcntl)(int, int, ...);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything below */
static uint64_t dice;
static int filler[FILLERS];
static size_t fillers;
static struct rlimit limits; /* the limits while they are not lowered */
static bool lowered, started, over;
static unsigned moves_to_live;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 16) % sides);
}

static bool one_in(unsigned n) { return n && roll(n) == 0; }

static void note(const char *what, int error)
{
    ledger_text(set.ledger, 'I', set.id, (unsigned)error, what);
}

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

__attribute__((constructor)) static void configure(void)
{
    static const struct { const char *name; unsigned *value; } options[] = {
        {"errno", &set.errno_}, {"fill", &set.fill}, {"limit", &set.limit}, {"steal", &set.steal},
        {"signal", &set.signal}, {"kill", &set.kill}, {"seed", &set.seed}, {"nofile", &set.nofile},
        {"id", &set.id}, {"ledger", (unsigned *)&set.ledger},
    };
    real_fcntl = real("fcntl");
    real_sendmsg = real("sendmsg");
    real_recvmsg = real("recvmsg");
    char list[256] = "";
    const char *env = getenv("SOAK_FAULT");
    strncpy(list, env ? env : "", sizeof list - 1);
    for (char *rest = list, *item; (item = strtok_r(rest, ",", &rest));) {
        char *value = strchr(item, '=');
        if (!value)
            continue;
        *value++ = 0;
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            if (!strcmp(options[i].name, item))
                *options[i].value = (unsigned)strtoul(value, NULL, 10);
    }
    dice = (set.seed + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)set.id << 32;
    for (int i = 0; i < 16; i++)
        roll(2);
    if (set.kill)
        moves_to_live = 1 + roll(set.kill);
    getrlimit(RLIMIT_NOFILE, &limits);
    if (set.nofile) {
        limits.rlim_cur = set.nofile;
        if (setrlimit(RLIMIT_NOFILE, &limits))
            perror("soak: setrlimit");
    }
}

static void on_signal(int number)
{
    (void)number;
    note("signal", EINTR);
}

/* The library's first call starts what does not depend on calls. */
static void start(void)
{
    started = true;
    if (!set.signal)
        return;
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    struct itimerval often = {{0, 0}, {0, 0}};
    often.it_interval.tv_usec = often.it_value.tv_usec = (suseconds_t)(set.signal * 1000 - roll(500));
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void fill(size_t leave)
{
    while (fillers < FILLERS) {
        int fd = real_fcntl(set.ledger, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            break;
        filler[fillers++] = fd;
    }
    for (; leave && fillers; leave--) {
        size_t i = roll((unsigned)fillers);
        close(filler[i]);
        filler[i] = filler[--fillers];
    }
}

static void relieve(void)
{
    while (fillers)
        close(filler[--fillers]);
    if (lowered)
        setrlimit(RLIMIT_NOFILE, &limits);
    lowered = false;
}

/* Runs between two calls of the library: from the first system calls that it makes, when it has not
 * looked at the table yet, and when the program records what it received. */
static void trouble(void)
{
    if (over || !started)
        return;
    if (fillers || lowered) {
        if (roll(2))
            relieve();
        return;
    }
    if (one_in(set.fill)) {
        fill(roll(4));
        note("fill", 0);
    }
    if (one_in(set.limit)) {
        struct rlimit low = limits;
        low.rlim_cur = roll(40);
        lowered = setrlimit(RLIMIT_NOFILE, &low) == 0;
        note("limit", 0);
    }
}

static void maybe_die(void)
{
    if (set.kill && --moves_to_live == 0) {
        ledger_text(set.ledger, 'K', set.id, 0, "kill");
        note("kill", 0);
        raise(SIGKILL);
    }
}

/* Where the library is loaded, once it is. */
static _Atomic uintptr_t base, end;

static int find(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    const char *name = strrchr(info->dlpi_name, '/');
    if (!name || (strncmp(name, "/libfdpasser.so", 15) && strcmp(name, "/FDpasser.so")))
        return 0;
    uintptr_t top = 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD &&
            top < info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz)
            top = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    base = info->dlpi_addr;
    end = info->dlpi_addr + top;
    return 1;
}

static bool ours(const void *caller)
{
    if (set.ledger < 0 || (!end && !dl_iterate_phdr(find, NULL)))
        return false;
    return (uintptr_t)caller >= base && (uintptr_t)caller < end;
}

/* Returns true and sets errno if the call has to fail. */
static bool fails(const char *call, bool looks)
{
    pthread_mutex_lock(&lock);
    if (!started)
        start();
    if (looks)
        trouble();
    bool fail = !over && one_in(set.errno_);
    int error = errors[roll(sizeof errors / sizeof *errors)];
    if (fail)
        note(call, error);
    pthread_mutex_unlock(&lock);
    if (fail)
        errno = error;
    return fail;
}

#define CALLER __builtin_return_address(0)

#define INTERPOSE(type, name, looks, parameters, arguments)  \
    type name parameters                                     \
    {                                                        \
        static type (*real_##name) parameters;               \
        if (!real_##name)                                    \
            *(void **)&real_##name = real(#name);            \
        if (ours(CALLER) && fails(#name, looks))             \
            return -1;                                       \
        return real_##name arguments;                        \
    }

INTERPOSE(int, getrlimit, true, (__rlimit_resource_t r, struct rlimit *l), (r, l))
INTERPOSE(int, getsockopt, true,
          (int s, int level, int name, void *restrict value, socklen_t *restrict len),
          (s, level, name, value, len))
INTERPOSE(int, setsockopt, false, (int s, int level, int name, const void *value, socklen_t len),
          (s, level, name, value, len))
INTERPOSE(int, select, false, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), (n, r, w, e, t))
INTERPOSE(int, poll, false, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
INTERPOSE(int, accept4, false,
          (int s, struct sockaddr *restrict a, socklen_t *restrict l, int flags), (s, a, l, flags))
INTERPOSE(int, socket, true, (int domain, int type, int protocol), (domain, type, protocol))
INTERPOSE(int, socketpair, true, (int domain, int type, int protocol, int fds[2]),
          (domain, type, protocol, fds))
INTERPOSE(int, bind, false, (int s, const struct sockaddr *a, socklen_t l), (s, a, l))
INTERPOSE(int, listen, false, (int s, int backlog), (s, backlog))
INTERPOSE(int, connect, false, (int s, const struct sockaddr *a, socklen_t l), (s, a, l))

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!ours(CALLER))
        return real_fcntl(fd, command, argument);
    if (fails("fcntl", false))
        return -1;
    int result = real_fcntl(fd, command, argument);
    /* Accepting makes no other call, so this one must not find the table full for ever. */
    if (result < 0 && errno == EMFILE) {
        pthread_mutex_lock(&lock);
        if (roll(2))
            relieve();
        pthread_mutex_unlock(&lock);
        errno = EMFILE;
    }
    return result;
}

ssize_t sendmsg(int s, const struct msghdr *msg, int flags)
{
    if (!ours(CALLER))
        return real_sendmsg(s, msg, flags);
    if (fails("sendmsg", false))
        return -1;
    maybe_die();
    ssize_t n = real_sendmsg(s, msg, flags);
    int error = errno;
    if (n < 0 && (error == EAGAIN || error == ETOOMANYREFS))
        ledger_text(set.ledger, 'S', set.id, (unsigned)error, "sendmsg");
    maybe_die();
    errno = error;
    return n;
}

ssize_t recvmsg(int s, struct msghdr *msg, int flags)
{
    if (!ours(CALLER))
        return real_recvmsg(s, msg, flags);
    if (fails("recvmsg", false))
        return -1;
    maybe_die();
    pthread_mutex_lock(&lock);
    bool steal = !fillers && !(flags & MSG_PEEK) && one_in(set.steal);
    if (steal)
        fill(roll(4));
    ssize_t n = real_recvmsg(s, msg, flags);
    int error = errno;
    if (steal) {
        relieve();
        note("steal", n < 0 ? error : 0);
    }
    pthread_mutex_unlock(&lock);
    maybe_die();
    errno = error;
    return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
    static ssize_t (*function)(int, const void *, size_t);
    if (!function)
        *(void **)&function = real("write");
    ssize_t n = function(fd, data, len);
    if (fd == set.ledger && len == sizeof(struct record) && *(const char *)data == 'R') {
        int error = errno;
        pthread_mutex_lock(&lock);
        trouble();
        pthread_mutex_unlock(&lock);
        errno = error;
    }
    return n;
}

/* Opens of the program's own. It needs them in order to go on calling the library. */
static int open_with(const char *name, const char *path, int flags, mode_t mode)
{
    pthread_mutex_lock(&lock);
    if ((fillers || lowered) && roll(2))
        relieve();
    pthread_mutex_unlock(&lock);
    int (*function)(const char *, int, ...);
    *(void **)&function = real(name);
    return function(path, flags, mode);
}

#define INTERPOSE_OPEN(name)                        \
    int name(const char *path, int flags, ...)      \
    {                                               \
        va_list list;                               \
        va_start(list, flags);                      \
        mode_t mode = va_arg(list, mode_t);         \
        va_end(list);                               \
        return open_with(#name, path, flags, mode); \
    }

INTERPOSE_OPEN(open)
INTERPOSE_OPEN(open64)

/* The program reads /proc/self/fd at its end. From then on the open descriptors must be its own. */
DIR *opendir(const char *path)
{
    pthread_mutex_lock(&lock);
    if (!strcmp(path, "/proc/self/fd")) {
        relieve();
        over = true;
    }
    pthread_mutex_unlock(&lock);
    DIR *(*function)(const char *);
    *(void **)&function = real("opendir");
    return function(path);
}
