/* If the kernel destroyed descriptors of a message, the call returns ENOTRECOVERABLE, closes those
 * that arrived, and leaves the stream in step. This program has its own recvmsg(), so that it
 * happens every time.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS never destroy a message for want of a slot. */
/* Only on Linux: it makes the system call itself. */
#include "check.h"
#include <sys/syscall.h>

static int calls, peeks;
static void (*before_receive)(void);                /* runs between the proof of room and the system call */
static void (*after_receive)(void);                 /* runs between the system call and the library's verdict */
static void (*tamper)(struct msghdr *msg);          /* changes each answer of the kernel */

ssize_t recvmsg(int sock, struct msghdr *msg, int flags)
{
    int peek = (flags & MSG_PEEK) != 0;
    ssize_t result;

    calls++;
    peeks += peek;
    if (!peek && before_receive)
        before_receive();
    result = syscall(SYS_recvmsg, sock, msg, flags);
    if (result >= 0 && tamper)
        tamper(msg);
    if (!peek && after_receive)
        after_receive();
    return result;
}

/* Does what another thread might do. */
static int leave;

static void take_slots(void)
{
    fill_table();
    free_slots((size_t)leave);
}

/* Sends a message of `n`, which will be destroyed, and a good one behind it. */
static void send_two(rlim_t limit, size_t n, int pair[2])
{
    set_soft_limit(limit);
    make_pair(pair);
    send_numbered(pair[0], 100, n);
    send_numbered(pair[0], 1, 1);
}

static void race(rlim_t limit, size_t n, int left)
{
    int pair[2], fds[MAX], before;

    send_two(limit, n, pair);
    before = open_descriptors();
    leave = left;
    before_receive = take_slots;
    memset(fds, -1, sizeof fds);
    ERRNO(fdpasser_recv_fds(pair[1], fds, n), ENOTRECOVERABLE);
    before_receive = NULL;
    EQUAL(fds[0], -1);
    EQUAL(open_descriptors(), before + n_fillers);
    empty_table();

    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    EQUAL(fdpasser_retry_ms(ENOTRECOVERABLE), -1);
    close_pair(pair);
}

/* Acts like a security module that refuses the last descriptor of a message. */
static void refuse(struct msghdr *msg)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(msg);
    int fd;

    if (header == NULL)
        return;
    header->cmsg_len -= sizeof fd;
    memcpy(&fd, (char *)header + header->cmsg_len, sizeof fd);
    close(fd);
    if (header->cmsg_len == CMSG_LEN(0))
        msg->msg_controllen = 0;
    msg->msg_flags |= MSG_CTRUNC;
}

/* Acts like SO_RIGHTS_NOTRUNC: an error number is in the place of the first descriptor, the others follow, and there is no
 * MSG_CTRUNC. */
static void replace_first(struct msghdr *msg)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(msg);
    int fd;

    if (header == NULL)
        return;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    close(fd);
    memcpy(CMSG_DATA(header), &(int){-EACCES}, sizeof fd);
}

static void refused(rlim_t limit, size_t n, void (*how)(struct msghdr *))
{
    int pair[2], fds[MAX], before;

    send_two(limit, n, pair);
    before = open_descriptors();
    tamper = how;
    /* Not EMFILE, because a free slot would not help. */
    ERRNO(fdpasser_recv_fds(pair[1], fds, n), ENOTRECOVERABLE);
    tamper = NULL;
    EQUAL(open_descriptors(), before);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
}

/* A descriptor that arrives as 0, 1 or 2 is moved up. If another thread took the slots for that, it
 * is lost. */
static void unmovable(rlim_t limit, size_t n)
{
    int pair[2], fds[MAX], before;

    send_two(limit, n, pair);
    close(0);
    before = open_descriptors();
    after_receive = take_slots;
    leave = 0;
    ERRNO(fdpasser_recv_fds(pair[1], fds, n), ENOTRECOVERABLE);
    after_receive = NULL;
    empty_table();
    EQUAL(open_descriptors(), before);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
    EQUAL(open("/dev/null", O_RDWR), 0);
}

static void test(void)
{
    /* With 1024 slots the quick proof of room succeeds. With 64 the library has to peek at the
     * message. */
    static const rlim_t limits[] = {64, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++) {
        rlim_t limit = limits[i];

        IN_CHILD(race(limit, 1, 0));
        IN_CHILD(race(limit, 16, 0));
        IN_CHILD(race(limit, 16, 1));
        IN_CHILD(race(limit, 16, 15));
        IN_CHILD(refused(limit, 1, refuse));
        IN_CHILD(refused(limit, 2, refuse));
        IN_CHILD(refused(limit, 16, refuse));
        IN_CHILD(refused(limit, 1, replace_first));
        IN_CHILD(refused(limit, 2, replace_first));
        IN_CHILD(unmovable(limit, 1));
        IN_CHILD(unmovable(limit, 16));
    }
    IN_CHILD(race(1024, MAX, 200));

    /* The test of the test. */
    {
        int pair[2];

        make_pair(pair);
        send_numbered(pair[0], 1, 1);
        calls = 0;
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
        CHECK(calls >= 1);
        close_pair(pair);
    }
}
