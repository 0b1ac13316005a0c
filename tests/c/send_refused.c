/* An error that is one descriptor's fault ends a batch there: the count is its index, and the next
 * call, which begins with it, returns the errno. An error that is the passer's ends the call at
 * once. The kernel rarely returns most of these errors, so this program has its own sendmsg().
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests calls of sendmsg. */
/* Only on Linux: it makes the system call itself. */
#include "check.h"
#include <sys/syscall.h>

enum { BATCH = 12 };

static int bad = -1, error, calls;

static int carries(const struct msghdr *msg, int wanted)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(msg);
    size_t n = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        if (fd == wanted)
            return 1;
    }
    return 0;
}

ssize_t sendmsg(int sock, const struct msghdr *msg, int flags)
{
    calls++;
    if (bad >= 0 && carries(msg, bad)) {
        errno = error;
        return -1;
    }
    return syscall(SYS_sendmsg, sock, msg, flags);
}

static void refuses_one(int which, unsigned per_message, size_t at)
{
    int pair[2], fds[BATCH];

    make_pair(pair);
    for (int i = 0; i < BATCH; i++)
        fds[i] = numbered(i);
    bad = fds[at];
    error = which;
    if (at > 0)
        EQUAL(fdpasser_send_fds(pair[0], fds, BATCH, per_message), at);
    ERRNO(fdpasser_send_fds(pair[0], fds + at, BATCH - at, per_message), which);
    EQUAL(fdpasser_retry_ms(which), -1);
    EQUAL(fdpasser_send_fds(pair[0], fds + at + 1, BATCH - at - 1, per_message), BATCH - at - 1);
    bad = -1;
    for (size_t i = 0; i < BATCH;) {
        int got[MAX];
        ssize_t n;

        if (i == at) {
            i++;
            continue;
        }
        n = fdpasser_try_recv_fds(pair[1], got, MAX);
        CHECK(n > 0 && (size_t)n <= per_message);
        for (ssize_t k = 0; k < n; k++)
            RECEIVED(got[k], (int)i++);
    }
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    for (int i = 0; i < BATCH; i++)
        close(fds[i]);
    close_pair(pair);
}

static void refuses_all(int which)
{
    int pair[2], fds[BATCH];

    make_pair(pair);
    for (int i = 0; i < BATCH; i++)
        fds[i] = pair[1];
    bad = pair[1];
    error = which;
    calls = 0;
    ERRNO(fdpasser_send_fds(pair[0], fds, BATCH, BATCH), which);
    EQUAL(calls, 1);
    bad = -1;
    close_pair(pair);
}

/* Linux sometimes returns numbers that have no name, such as 524. An errno of 0 would be no error
 * at all. */
static void without_a_name(void)
{
    int pair[2];

    make_pair(pair);
    bad = pair[1];
    error = 524;
    ERRNO(fdpasser_send_fd(pair[0], pair[1]), EIO);
    bad = -1;
    close_pair(pair);
}

static void test(void)
{
    static const int one[] = {EBADF, EINVAL, EOPNOTSUPP, EPERM};
    static const int all[] = {EAGAIN, EINTR, ETOOMANYREFS, ENOBUFS, ENOMEM, EPIPE, ECONNRESET, ENOTCONN};
    static const unsigned sizes[] = {1, 2, 5, BATCH};
    static const size_t places[] = {0, 1, 5, BATCH - 2};

    for (size_t i = 0; i < LENGTH(one); i++)
        for (size_t k = 0; k < LENGTH(sizes); k++)
            for (size_t m = 0; m < LENGTH(places); m++)
                refuses_one(one[i], sizes[k], places[m]);
    for (size_t i = 0; i < LENGTH(all); i++)
        refuses_all(all[i]);
    CHECK(calls > 0);
    without_a_name();
}
