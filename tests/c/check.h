/* What the programs in this directory share. A program includes this header, which has main(), and
 * defines test(). Exit status: 0 passed, 1 failed, 77 skipped. A skip prints its reason.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

/* Not every program needs every helper. */
#define HELPER static __attribute__((unused))
#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* Seconds. Every program needs less than a tenth of this. It ends a call that blocks by mistake. */
#define DEADLINE 120

#define MAX FDPASSER_MAX_PER_MESSAGE

/* tests/c.t defines FDPASSER_SYSV. A message then carries one descriptor only, so several
 * descriptors are several messages. */
#ifdef FDPASSER_SYSV
enum { SYSV = 1 };
#else
enum { SYSV = 0 };
#endif
#ifndef ENOSTR
#define ENOSTR ENOTSOCK /* systems without STREAMS may lack it */
#endif

/* --- verdicts -------------------------------------------------------------------------------- */

static void test(void);

/* A failed check prints this. A program with many rounds writes here which one it is. */
static char round_name[100];

HELPER void fail(const char *file, int line, const char *what)
{
    printf("%s:%d: [%ld] %sfailed: %s (errno %d, %s)\n", file, line, (long)getpid(), round_name, what,
           errno, strerror(errno));
    /* _exit(), because this may be a child or one of several threads. */
    _exit(1);
}

HELPER void fail_equal(const char *file, int line, const char *what, long long got, long long want)
{
    printf("%s:%d: [%ld] %sfailed: %s: got %lld, want %lld (errno %d, %s)\n", file, line,
           (long)getpid(), round_name, what, got, want, errno, strerror(errno));
    _exit(1);
}

HELPER void check_equal(const char *file, int line, const char *what, long long got, long long want)
{
    if (got != want)
        fail_equal(file, line, what, got, want);
}

HELPER void check_errno(const char *file, int line, const char *what, long long got, int want)
{
    int error = errno;

    if (got != -1)
        fail_equal(file, line, what, got, -1);
    if (error != want) {
        printf("%s:%d: [%ld] %sfailed: %s: errno %d (%s), want %d (%s)\n", file, line,
               (long)getpid(), round_name, what, error, strerror(error), want, strerror(want));
        _exit(1);
    }
}

#define CHECK(expr) ((expr) ? (void)0 : fail(__FILE__, __LINE__, #expr))
#define EQUAL(expr, want) check_equal(__FILE__, __LINE__, #expr " == " #want, (expr), (want))
/* A stale errno must not pass for the wanted one. */
#define ERRNO(call, want) check_errno(__FILE__, __LINE__, #call, (errno = 0, (call)), (want))

#define SKIP(...) (printf("skip: " __VA_ARGS__), putchar('\n'), _exit(77))

/* tests/c.t sets the variable. Valgrind keeps descriptors of its own at the end of the table, and
 * emulates the limits. */
HELPER int on_valgrind(void)
{
    return getenv("FDPASSER_VALGRIND") != NULL;
}

/* --- processes ------------------------------------------------------------------------------- */

enum { NUMBERS = 1 << 15, AT_ONCE = 1024 };

/* How many of these numbers are open. poll(2) does not count descriptors of O_PATH. */
HELPER int open_by_poll(int first, int n)
{
    struct pollfd fds[AT_ONCE];
    int count = 0;

    for (int i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = first + i};
    poll(fds, (nfds_t)n, 0);
    for (int i = 0; i < n; i++)
        count += !(fds[i].revents & POLLNVAL);
    return count;
}

/* It tries each number, because a full table has no slot for opening /proc/self/fd. tests/lib says where system calls
 * are slow. */
HELPER int open_descriptors(void)
{
    struct rlimit limit = {0, 0};
    int count = 0;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (getenv("FDPASSER_SLOW_CALLS") && limit.rlim_cur >= 16) {
        int step = limit.rlim_cur < AT_ONCE ? (int)limit.rlim_cur : AT_ONCE; /* poll(2) takes no more */

        for (int fd = 0; fd < NUMBERS; fd += step)
            count += open_by_poll(fd, NUMBERS - fd < step ? NUMBERS - fd : step);
        return count;
    }
    for (int fd = 0; fd < NUMBERS; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

/* Like fork(), with a deadline for the child too. */
HELPER pid_t spawn(void)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        alarm(DEADLINE);
    return pid;
}

/* Waits for a child and fails unless the child passed. If the child skipped, the program skips. */
HELPER void join(pid_t pid)
{
    int status;

    EQUAL(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        _exit(77);
    if (status != 0)
        printf("child [%ld] ended with wait status 0x%x\n", (long)pid, (unsigned)status);
    EQUAL(status, 0);
}

/* Runs `statement` in a child. The child must not leave a descriptor open either. */
#define IN_CHILD(statement)                                                                        \
    do {                                                                                           \
        pid_t child_ = spawn();                                                                    \
                                                                                                   \
        if (child_ == 0) {                                                                         \
            int before_ = open_descriptors();                                                      \
                                                                                                   \
            statement;                                                                             \
            EQUAL(open_descriptors(), before_);                                                    \
            _exit(0);                                                                              \
        }                                                                                          \
        join(child_);                                                                              \
    } while (0)

/* A child waits here until its parent closes both ends of the pipe. */
HELPER void wait_at_gate(const int gate[2])
{
    char byte;

    close(gate[1]);
    EQUAL(read(gate[0], &byte, 1), 0);
}

/* Turns root into an unprivileged user that has no other process, because the kernel counts all
 * the descriptors that a user has in flight together. The number also exists in an unprivileged
 * container. `root_may` says in a skip why root will not do. */
HELPER void drop_privileges(const char *root_may)
{
    uint16_t random;
    int source;

    if (geteuid() != 0)
        return;
    source = open("/dev/urandom", O_RDONLY);
    EQUAL(read(source, &random, sizeof random), sizeof random);
    close(source);
    if (setuid((uid_t)(20000 + random % 40000)) != 0)
        SKIP("root %s, and cannot become somebody else: %s", root_may, strerror(errno));
}

#ifdef __linux__
/* Waits until a thread or the only thread of a process sleeps in a system call. */
HELPER void wait_until_asleep(pid_t thread)
{
    char name[40], line[200], *state;
    FILE *file;

    snprintf(name, sizeof name, "/proc/%ld/stat", (long)thread);
    for (;;) {
        if ((file = fopen(name, "re")) == NULL || fgets(line, sizeof line, file) == NULL ||
            (state = strrchr(line, ')')) == NULL)
            SKIP("%s: %s", name, strerror(errno));
        fclose(file);
        if (state[2] == 'S')
            return;
        poll(NULL, 0, 1);
    }
}
#endif

/* --- time ------------------------------------------------------------------------------------ */

HELPER long long microseconds(void)
{
    struct timespec now;

    EQUAL(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* How soon the kernel may end a wait that is to last for `time`. It counts SO_SNDTIMEO in ticks. Where these come late, the
 * wait ends early: on an emulated processor of a busy machine a plain send(2) took 98.9 ms of 100. */
#define BY_TICKS(time) ((time) / 2)

/* --- the descriptor table -------------------------------------------------------------------- */

HELPER rlim_t soft_limit(void)
{
    struct rlimit limit;

    EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

HELPER rlim_t hard_limit(void)
{
    struct rlimit limit;

    EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_max;
}

/* Sets the limit for the rest of the process's life, so call it in a child. A lower hard limit is
 * the most that it sets. */
HELPER void set_soft_limit(rlim_t soft)
{
    struct rlimit limit = {soft, hard_limit()};

    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = soft = limit.rlim_max;
    EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
#ifdef __linux__
    if (on_valgrind()) {
        /* Valgrind records a limit that a process sets for itself and does not tell the kernel. It
         * does not see a limit that another process sets, so a child sets it. Valgrind also keeps
         * the hard limit a little lower. */
        pid_t parent = getpid(), pid = spawn();

        if (pid == 0) {
            struct rlimit real;

            EQUAL(prlimit(parent, RLIMIT_NOFILE, NULL, &real), 0);
            real.rlim_cur = soft;
            EQUAL(prlimit(parent, RLIMIT_NOFILE, &real, NULL), 0);
            _exit(0);
        }
        join(pid);
    }
#endif
}

/* What fill_table() opened, the lowest number first. */
static int fillers[1 << 17];
static size_t n_fillers;

/* Fills every free slot from 3 up with a duplicate of `fd`. */
HELPER void fill_table_with(int fd)
{
    int filler;

    while ((filler = fcntl(fd, F_DUPFD_CLOEXEC, 3)) != -1) {
        CHECK(n_fillers < LENGTH(fillers));
        fillers[n_fillers++] = filler;
    }
    CHECK(errno == EMFILE || errno == EINVAL); /* EINVAL: the limit is 3 or less */
}

HELPER void fill_table(void)
{
    int fd = 0;

    while (fcntl(fd, F_GETFD) == -1)
        fd++;
    fill_table_with(fd);
}

/* Frees the `n` slots that were filled last. They have the highest numbers. */
HELPER void free_slots(size_t n)
{
    CHECK(n <= n_fillers);
    while (n-- > 0)
        close(fillers[--n_fillers]);
}

HELPER void empty_table(void)
{
    free_slots(n_fillers);
}

/* --- descriptors that can be told apart ------------------------------------------------------ */

/* Opens a file that contains `number`. */
HELPER int numbered(int number)
{
#ifdef __linux__
    int fd = memfd_create("numbered", MFD_CLOEXEC);

    CHECK(fd >= 0);
#else
    char name[] = "/tmp/numbered.XXXXXX";
    int fd = mkstemp(name);

    CHECK(fd >= 0);
    EQUAL(unlink(name), 0);
#endif
    EQUAL(pwrite(fd, &number, sizeof number, 0), sizeof number);
    return fd;
}

HELPER int number_of(int fd)
{
    int number;

    EQUAL(pread(fd, &number, sizeof number, 0), sizeof number);
    return number;
}

HELPER int is_close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    CHECK(flags != -1);
    return (flags & FD_CLOEXEC) != 0;
}

HELPER int status_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    CHECK(flags != -1);
    return flags;
}

HELPER void set_nonblocking(int fd, int on)
{
    int flags = status_flags(fd);

    EQUAL(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

/* Checks what is true of every descriptor that the library makes or receives. */
HELPER void check_ours(const char *file, int line, int fd)
{
    if (fd < 3)
        fail_equal(file, line, "a descriptor from 3 up", fd, 3);
    if (!is_close_on_exec(fd))
        fail(file, line, "close-on-exec");
}

#define OURS(fd) check_ours(__FILE__, __LINE__, (fd))

/* Checks that `fd` was received properly and is the file with `number`. Closes it. */
HELPER void check_received(const char *file, int line, int fd, int number)
{
    check_ours(file, line, fd);
    check_equal(file, line, "number of the received file", number_of(fd), number);
    close(fd);
}

#define RECEIVED(fd, number) check_received(__FILE__, __LINE__, (fd), (number))

/* --- peers ----------------------------------------------------------------------------------- */

HELPER void make_pair(int pair[2])
{
    EQUAL(fdpasser_socketpair(pair), 0);
}

HELPER void close_pair(const int pair[2])
{
    EQUAL(close(pair[0]), 0);
    EQUAL(close(pair[1]), 0);
}

/* Sends what the library never sends: any bytes with any number of descriptors. */
#ifdef FDPASSER_SYSV
HELPER void hostile_send(int stream, const void *bytes, size_t n_bytes, const int *fds, size_t n_fds)
{
    if (n_fds == 0)
        EQUAL(write(stream, bytes, n_bytes), n_bytes);
    for (size_t i = 0; i < n_fds; i++) { /* a message carries only one */
        EQUAL(write(stream, bytes, n_bytes), n_bytes);
        EQUAL(ioctl(stream, 'S' << 8 | 021 /* I_SENDFD */, fds[i]), 0);
    }
}
#else
HELPER ssize_t hostile_sendmsg(int sock, const void *bytes, size_t n_bytes, const int *fds,
                               size_t n_fds, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX * sizeof(int))];
    } control;
    struct iovec iov = {(void *)(uintptr_t)bytes, n_bytes};
    struct msghdr msg;

    memset(&msg, 0, sizeof msg);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (n_fds > 0) {
        struct cmsghdr *header;

        CHECK(n_fds <= MAX);
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
        header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
        memcpy(CMSG_DATA(header), fds, n_fds * sizeof *fds);
    }
    return sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
}

HELPER void hostile_send(int sock, const void *bytes, size_t n_bytes, const int *fds, size_t n_fds)
{
    EQUAL(hostile_sendmsg(sock, bytes, n_bytes, fds, n_fds, 0), n_bytes);
}
#endif

/* Sends `n` files, numbered from `first` up, in one message (in `n` messages in SysV mode). */
HELPER void send_numbered(int sock, int first, size_t n)
{
    int fds[MAX] = {0};

    CHECK(n <= MAX);
    for (size_t i = 0; i < n; i++)
        fds[i] = numbered(first + (int)i);
    hostile_send(sock, "", 1, fds, n);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

/* Receives one message of `n` descriptors (`n` messages in SysV mode). */
HELPER void receive_message(int passer, int *fds, size_t n)
{
    for (size_t i = 0; i < (SYSV ? n : 1); i++)
        EQUAL(fdpasser_recv_fds(passer, fds + i, n - i), SYSV ? 1 : n);
}

/* Receives what send_numbered() sends with these arguments. */
HELPER void receive_numbered(int passer, int first, size_t n)
{
    int fds[MAX];

    receive_message(passer, fds, n);
    for (size_t i = 0; i < n; i++)
        RECEIVED(fds[i], first + (int)i);
}

/* Sends until the socket is full. The passer may be in blocking mode. */
HELPER void fill_socket(int passer)
{
    while (fdpasser_try_send_fds(passer, &passer, 1, 1) == 1)
        ;
    EQUAL(errno, EAGAIN);
}

/* An io_uring: Linux refuses to send that kind of descriptor. Returns -1 if there is none. */
HELPER int make_ring(void)
{
#ifdef SYS_io_uring_setup
    char params[120] = {0}; /* struct io_uring_params */

    return (int)syscall(SYS_io_uring_setup, 1, params);
#else
    errno = ENOSYS;
    return -1;
#endif
}

/* Returns the errno with which the kernel refuses to send an io_uring, or skips. */
HELPER int ring_error(void)
{
    int pair[2], ring = make_ring(), error;

    if (ring == -1)
        SKIP("io_uring_setup: %s", strerror(errno));
    make_pair(pair);
    if (fdpasser_send_fd(pair[0], ring) == 1)
        SKIP("this kernel lets io_uring descriptors be sent");
    error = errno;
    close_pair(pair);
    close(ring);
    return error;
}

/* --- places ---------------------------------------------------------------------------------- */

/* Makes a new directory and makes it the current one. */
HELPER void enter_directory(char name[PATH_MAX])
{
    const char *base = getenv("TMPDIR");

    snprintf(name, PATH_MAX, "%s/fdpasser.XXXXXX", base && *base ? base : "/tmp");
    CHECK(mkdtemp(name) != NULL);
    EQUAL(chdir(name), 0);
}

/* Removes the directory. It must be empty, because a server may leave nothing behind. */
HELPER void leave_directory(const char *name)
{
    EQUAL(chdir("/"), 0);
    EQUAL(rmdir(name), 0);
}

HELPER int entries(const char *directory)
{
    int count = 0;
    struct dirent *entry;
    DIR *dir = opendir(directory);

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

/* Connects without the library. Returns -1 if the backlog is full. */
HELPER int knock(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK(sock >= 0);
    set_nonblocking(sock, 1);
    strcpy(address.sun_path, name);
    if (connect(sock, (struct sockaddr *)&address, sizeof address) == 0)
        return sock;
#ifdef __linux__
    EQUAL(errno, EAGAIN); /* other systems refuse the connection */
#endif
    close(sock);
    return -1;
}

/* Accepts `client` and checks that a descriptor passes in both directions. Leaves `client` open. */
HELPER void check_serves(int listener, int client)
{
    int server = fdpasser_accept(listener), fd = numbered(7);

    OURS(server);
    OURS(client);
    EQUAL(fdpasser_send_fd(client, fd), 1);
    RECEIVED(fdpasser_recv_fd(server), 7);
    EQUAL(fdpasser_send_fd(server, fd), 1);
    RECEIVED(fdpasser_recv_fd(client), 7);
    close(fd);
    close(server);
}

/* Connects to `path` and checks that `listener` serves there. */
HELPER void check_serves_at(int listener, const char *path)
{
    int client = fdpasser_connect(path);

    check_serves(listener, client);
    close(client);
}

/* --------------------------------------------------------------------------------------------- */

int main(void)
{
    int before;

    setvbuf(stdout, NULL, _IONBF, 0); /* or a child would print what is buffered once more */
    alarm(DEADLINE);
    /* Inherited descriptors would take slots. */
    for (int fd = 3; fd < 1024 && !on_valgrind(); fd++)
        close(fd);
    before = open_descriptors();
    test();
    EQUAL(open_descriptors(), before);
    return 0;
}

#endif
