/* The kernel destroyed descriptors of a message: ENOTRECOVERABLE, what did arrive is closed, and the
 * stream is in step. To have it happen for certain, recvmsg() here is our own. */
/* Not in SysV mode: no message of STREAMS is ever destroyed for want of a slot. */
/* Only on Linux: it makes the system call itself. */
#include "check.h"
#include <sys/syscall.h>

static int calls, peeks;
static void (*before_receive)(void);                /* between the proof and the system call */
static void (*after_receive)(void);                 /* between the system call and the verdict */
static void (*tamper)(struct msghdr *msg);          /* with any answer */

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

/* What another thread may do. */
static int leave;

static void take_slots(void)
{
    fill_table();
    free_slots((size_t)leave);
}

/* A message of `n`, which is to be destroyed, and a good one behind it. */
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

/* As a security module that refuses the last descriptor of a message. */
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

static void refused(rlim_t limit, size_t n)
{
    int pair[2], fds[MAX], before;

    send_two(limit, n, pair);
    before = open_descriptors();
    tamper = refuse;
    /* Not EMFILE: waiting for a free slot would be waiting for ever. */
    ERRNO(fdpasser_recv_fds(pair[1], fds, n), ENOTRECOVERABLE);
    tamper = NULL;
    EQUAL(open_descriptors(), before);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
}

/* What arrives as 0, 1 or 2 is moved up; if another thread took the slots for that, it is lost. */
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
    /* In a table of 1024 the proof is that of plenty, in one of 64 the rehearsal. */
    static const rlim_t limits[] = {64, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++) {
        rlim_t limit = limits[i];

        IN_CHILD(race(limit, 1, 0));
        IN_CHILD(race(limit, 16, 0));
        IN_CHILD(race(limit, 16, 1));
        IN_CHILD(race(limit, 16, 15));
        IN_CHILD(refused(limit, 1));
        IN_CHILD(refused(limit, 2));
        IN_CHILD(refused(limit, 16));
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
