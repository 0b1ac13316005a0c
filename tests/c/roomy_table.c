/* Where there is room, the library proves it without a peek at the message, and once for several
 * messages. A peek installs the descriptors and closes them again, which costs time and may release
 * fcntl() locks of this process. This program has its own recvmsg() and select(), which count.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests how room is proven for SCM_RIGHTS. */
/* Only on Linux: it makes the system calls itself. */
#include "check.h"
#include <sys/select.h>
#include <sys/syscall.h>

enum { MESSAGES = 16 };

static int peeks, selects;
static int fds[MESSAGES * MAX];

ssize_t recvmsg(int sock, struct msghdr *msg, int flags)
{
    peeks += (flags & MSG_PEEK) != 0;
    return syscall(SYS_recvmsg, sock, msg, flags);
}

int select(int n, fd_set *in, fd_set *out, fd_set *error, struct timeval *timeout)
{
    struct timespec time = {timeout->tv_sec, timeout->tv_usec * 1000};

    selects++;
    return (int)syscall(SYS_pselect6, n, in, out, error, &time, NULL);
}

/* The kernel's table doubles and never becomes smaller. */
static void grow_table(int highest)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, highest);

    CHECK(fd >= highest);
    close(fd);
}

static void exchange(const int pair[2], unsigned messages)
{
    int status = 99;

    for (unsigned i = 0; i < messages; i++)
        send_numbered(pair[0], (int)i, 1);
    peeks = selects = 0;
    EQUAL(fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), messages, &status), messages);
    EQUAL(status, 1);
    for (unsigned i = 0; i < messages; i++)
        RECEIVED(fds[i], (int)i);
}

/* With this limit and a table of this size there is room for one message, or for many. */
static void with(rlim_t limit, int highest, int many)
{
    int pair[2];

    if (hard_limit() < limit)
        SKIP("the hard limit is below %ld", (long)limit);
    set_soft_limit(limit);
    make_pair(pair);
    grow_table(highest);

    send_numbered(pair[0], 1, 1);
    peeks = selects = 0;
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(peeks, 0);
    CHECK(selects > 0); /* the test of the test: select(2) is how room is proven */

    for (unsigned messages = 1; messages <= MESSAGES; messages++) {
        exchange(pair, messages);
        EQUAL(peeks, 0);
    }
    if (many)
        CHECK(selects <= MESSAGES / 2);
    /* This comes last, because it takes so many slots at both ends. */
    peeks = 0;
    send_numbered(pair[0], 1, MAX);
    receive_numbered(pair[1], 1, MAX);
    EQUAL(peeks, 0);
    close_pair(pair);
}

/* The test of the test: in a nearly full table the library does peek. */
static void nearly_full(void)
{
    int pair[2];

    set_soft_limit(64);
    make_pair(pair);
    exchange(pair, 1);
    CHECK(peeks > 0);
    close_pair(pair);
}

static int is_locked(int file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t pid = spawn();
    int status;

    if (pid == 0) { /* another process, which does not have the lock */
        EQUAL(fcntl(file, F_GETLK, &lock), 0);
        _exit(lock.l_type == F_UNLCK ? 2 : 3);
    }
    EQUAL(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) >= 2);
    return WEXITSTATUS(status) == 3;
}

/* A lock is lost when this process closes any descriptor of the file. */
static void keeps_locks(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int pair[2], file = numbered(1), status, got[2];

    set_soft_limit(1024);
    make_pair(pair);
    for (int i = 0; i < 2; i++)
        EQUAL(fdpasser_send_fd(pair[0], file), 1);
    EQUAL(fcntl(file, F_SETLK, &lock), 0);
    got[0] = fdpasser_recv_fd(pair[1]);
    OURS(got[0]);
    CHECK(is_locked(file));
    EQUAL(fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), MESSAGES, &status), 1);
    EQUAL(status, -EAGAIN); /* the call tried to receive more */
    got[1] = fds[0];
    CHECK(is_locked(file));
    close(got[0]);
    CHECK(!is_locked(file)); /* the test of the test */
    close(got[1]);
    close(file);
    close_pair(pair);
}

static void test(void)
{
    IN_CHILD(nearly_full());
    if (on_valgrind())
        SKIP("valgrind has descriptors of its own at the end of the table, so it is never roomy");
    IN_CHILD(with(1024, 100, 1));
    IN_CHILD(with(1024, 200, 1));
    IN_CHILD(with(1024, 400, 0));
    IN_CHILD(with(1500, 600, 0));
    IN_CHILD(with(8192, 600, 1));
    IN_CHILD(with(8192, 2000, 1));
    IN_CHILD(with(20000, 9000, 0));
    IN_CHILD(with(20000, 600, 1));
    IN_CHILD(keeps_locks());
}
