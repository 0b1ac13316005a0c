/* Makes many calls of one kind of the C ABI. tests/instructions.t counts the instructions and system calls
 * that the library needs for them.
 *
 *     calls           prints the names of all kinds
 *     calls NAME N    makes N calls (for the kinds queue_*: passes N descriptors), and then prints how many
 *                     system calls this program made by itself
 *     calls N         makes N calls and then 2 N calls of every kind, in functions named case_NAME; none of
 *                     these calls another
 *
 * Everything happens in one process and nothing ever waits: what is received was sent before.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <fdpasser.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef OWN_SELECT
/* Valgrind keeps descriptors of its own at the upper end of the table. The library would never find
 * room there, and would peek at each message. This returns what the kernel returns without
 * Valgrind. */
int select(int nfds, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
    (void)nfds, (void)in, (void)out, (void)except, (void)timeout;
    return 0;
}
#endif

#define MAX FDPASSER_MAX_PER_MESSAGE
#define MESSAGES 16
#define AT_ONCE 50 /* so many messages fit into any socket */
#define LEN 100    /* bytes of data, where there are some */
#define CASE(name) __attribute__((noipa)) void case_##name(long n); void case_##name(long n)

static int passers[2];
static fdpasser *queues[2]; /* over passers of their own */
static int fds[MAX], got[MESSAGES * MAX];
static char data[FDPASSER_MAX_DATA];
static long own; /* system calls that this program made by itself */

static void must(int good, const char *what)
{
    if (!good)
        err(1, "%s", what);
}

static void close_all(const int *which, ssize_t count)
{
    for (ssize_t i = 0; i < count; i++) {
        close(which[i]);
        own++;
    }
}

/* --- the other end ------------------------------------------------------------------------------ */

static union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MAX * sizeof(int))];
} control;
static char bytes[LEN];
static struct iovec iov = {bytes, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

/* Sends over `passer`: messages of `len` bytes and `count` descriptors. */
static void put_data_over(int passer, int messages, int count, size_t len)
{
    iov.iov_len = len;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
    while (messages-- > 0) {
        must(sendmsg(passer, &msg, MSG_DONTWAIT) == (ssize_t)len, "sendmsg");
        own++;
    }
}

static void put_over(int passer, int messages, int count) { put_data_over(passer, messages, count, 1); }

static void put(int messages, int count) { put_over(passers[0], messages, count); }

static void take_over(int passer, int messages)
{
    iov.iov_len = sizeof bytes;
    while (messages-- > 0) {
        msg.msg_controllen = sizeof control;
        must(recvmsg(passer, &msg, MSG_DONTWAIT) > 0, "recvmsg");
        own++;
        close_all((int *)CMSG_DATA(&control.header),
                  (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
    }
}

static void take(int messages) { take_over(passers[1], messages); }

/* --- the calls ------------------------------------------------------------------------------------ */

/* Marks the end of the preparations. */
CASE(start) { (void)n; }

CASE(socketpair)
{
    while (n-- > 0) {
        int pair[2];

        must(fdpasser_socketpair(pair) == 0, "fdpasser_socketpair");
        close_all(pair, 2);
    }
}

CASE(send_fd)
{
    for (; n > 0; n -= AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++)
            must(fdpasser_send_fd(passers[0], fds[0]) == 1, "fdpasser_send_fd");
        take(AT_ONCE);
    }
}

static inline void recv_fds_singly(long n)
{
    for (; n > 0; n -= AT_ONCE) {
        put(AT_ONCE, 1);
        for (int i = 0; i < AT_ONCE; i++) {
            int fd = fdpasser_recv_fd(passers[1]);

            must(fd > 0, "fdpasser_recv_fd");
            close_all(&fd, 1);
        }
    }
}

CASE(recv_fd) { recv_fds_singly(n); }

static void soft_limit(rlim_t soft)
{
    struct rlimit limit;

    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = soft;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

/* With so few slots the library cannot prove room for the largest message, and peeks at each
 * message. */
CASE(recv_fd_few_slots)
{
    soft_limit(64);
    recv_fds_singly(n);
    soft_limit(1024);
}

static void send_fds(long n, int count)
{
    while (n-- > 0) {
        must(fdpasser_send_fds(passers[0], fds, (size_t)count, (unsigned)count) == count,
             "fdpasser_send_fds");
        take(1);
    }
}

CASE(send_fds_1) { send_fds(n, 1); }
CASE(send_fds_16) { send_fds(n, 16); }
CASE(send_fds_253) { send_fds(n, 253); }

static void recv_fds(long n, int count)
{
    while (n-- > 0) {
        put(1, count);
        must(fdpasser_recv_fds(passers[1], got, MAX) == count, "fdpasser_recv_fds");
        close_all(got, count);
    }
}

CASE(recv_fds_1) { recv_fds(n, 1); }
CASE(recv_fds_16) { recv_fds(n, 16); }
CASE(recv_fds_253) { recv_fds(n, 253); }

static inline void recv_nothing(long n)
{
    while (n-- > 0)
        must(fdpasser_try_recv_fds(passers[1], got, MAX) == -1 && errno == EAGAIN,
             "fdpasser_try_recv_fds");
}

CASE(try_recv_fds_nothing) { recv_nothing(n); }

/* Here the library peeks, and then polls. */
CASE(nothing_few_slots)
{
    soft_limit(64);
    recv_nothing(n);
    soft_limit(1024);
}

CASE(try_recv_messages_16)
{
    while (n-- > 0) {
        int status;

        put(MESSAGES, 1);
        must(fdpasser_try_recv_messages(passers[1], got, MESSAGES * MAX, MESSAGES, &status) ==
                     MESSAGES &&
                 status == 1,
             "fdpasser_try_recv_messages");
        close_all(got, MESSAGES);
    }
}

/* --- one descriptor with data ------------------------------------------------------------------------ */

CASE(send_message)
{
    for (; n > 0; n -= AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++)
            must(fdpasser_send_message(passers[0], fds, 1, data, LEN) == 1, "fdpasser_send_message");
        take(AT_ONCE);
    }
}

CASE(recv_message)
{
    for (; n > 0; n -= AT_ONCE) {
        put_data_over(passers[0], AT_ONCE, 1, LEN);
        for (int i = 0; i < AT_ONCE; i++) {
            size_t len;

            must(fdpasser_recv_message(passers[1], got, 1, data, sizeof data, &len) == 1 && len == LEN,
                 "fdpasser_recv_message");
            close_all(got, 1);
        }
    }
}

CASE(queue_send_message)
{
    for (; n > 0; n -= AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) {
            must(fdpasser_push_send_message(queues[0], dup(fds[0]), data, LEN) == 1, "fdpasser_push_send_message");
            own++;
        }
        must(fdpasser_process(queues[0], POLLOUT) == 1 && fdpasser_queued(queues[0]) == 0, "fdpasser_process");
        take_over(fdpasser_fileno(queues[1]), AT_ONCE);
    }
}

CASE(queue_receive_message)
{
    must(fdpasser_want_data(queues[1], 1) == 0, "fdpasser_want_data");
    for (; n > 0; n -= AT_ONCE) {
        must(fdpasser_push_recv(queues[1], AT_ONCE) == 0, "fdpasser_push_recv");
        put_data_over(fdpasser_fileno(queues[0]), AT_ONCE, 1, LEN);
        must(fdpasser_process(queues[1], POLLIN) == 1, "fdpasser_process");
        for (int i = 0; i < AT_ONCE; i++) {
            size_t len;
            int fd = fdpasser_next_message(queues[1], data, sizeof data, &len);

            must(fd > 0 && len == LEN, "fdpasser_next_message");
            close_all(&fd, 1);
        }
    }
    must(fdpasser_want_data(queues[1], 0) == 0, "fdpasser_want_data");
}

/* --- queues: N descriptors, in messages of so many ------------------------------------------------- */

static void queue_send(long n, int count)
{
    must(fdpasser_set_per_message(queues[0], (unsigned)count) == 0, "fdpasser_set_per_message");
    for (; n > 0; n -= AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) {
            int fd = dup(fds[0]);

            must(fdpasser_push_send_fd(queues[0], fd) == 1, "fdpasser_push_send_fd");
            own++;
        }
        must(fdpasser_process(queues[0], POLLOUT) == 1 && fdpasser_queued(queues[0]) == 0,
             "fdpasser_process");
        take_over(fdpasser_fileno(queues[1]), (AT_ONCE + count - 1) / count);
    }
}

CASE(queue_send_1) { queue_send(n, 1); }
CASE(queue_send_25) { queue_send(n, 25); }

/* One at a time, as in a program whose queue is mostly empty. */
CASE(queue_send_singly)
{
    must(fdpasser_set_per_message(queues[0], 1) == 0, "fdpasser_set_per_message");
    while (n-- > 0) {
        must(fdpasser_push_send_fd(queues[0], dup(fds[0])) == 1, "fdpasser_push_send_fd");
        own++;
        must(fdpasser_process(queues[0], POLLOUT) == 1 && fdpasser_queued(queues[0]) == 0,
             "fdpasser_process");
        take_over(fdpasser_fileno(queues[1]), 1);
    }
}

/* Receives `messages` at once, with `count` descriptors in each. */
static void queue_receive(long n, int messages, int count)
{
    for (; n > 0; n -= messages * count) {
        must(fdpasser_push_recv(queues[1], messages * count) == 0, "fdpasser_push_recv");
        put_over(fdpasser_fileno(queues[0]), messages, count);
        must(fdpasser_process(queues[1], POLLIN) == 1, "fdpasser_process");
        for (int i = 0; i < messages * count; i++) {
            int fd = fdpasser_next_fd(queues[1]);

            must(fd > 0, "fdpasser_next_fd");
            close_all(&fd, 1);
        }
        must(fdpasser_next_fd(queues[1]) == -1 && errno == EAGAIN, "fdpasser_next_fd");
    }
}

CASE(queue_receive_1) { queue_receive(n, AT_ONCE, 1); }
CASE(queue_receive_25) { queue_receive(n, 2, 25); }
CASE(queue_receive_singly) { queue_receive(n, 1, 1); }

/* --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(long n);
} cases[] = {
#define ENTRY(name) {#name, case_##name}
    ENTRY(socketpair),   ENTRY(send_fd),      ENTRY(recv_fd),
    ENTRY(send_fds_1),   ENTRY(send_fds_16),  ENTRY(send_fds_253),
    ENTRY(recv_fds_1),   ENTRY(recv_fds_16),  ENTRY(recv_fds_253),
    ENTRY(try_recv_messages_16), ENTRY(try_recv_fds_nothing),
    ENTRY(recv_fd_few_slots), ENTRY(nothing_few_slots),
    ENTRY(queue_send_1), ENTRY(queue_send_25), ENTRY(queue_send_singly),
    ENTRY(queue_receive_1), ENTRY(queue_receive_25), ENTRY(queue_receive_singly),
    /* Last, because a queue that has had data is not as cheap as one that has not. */
    ENTRY(send_message), ENTRY(recv_message), ENTRY(queue_send_message), ENTRY(queue_receive_message),
};

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[argc - 1]) : 0;

    for (size_t i = 0; argc == 1 && i < sizeof cases / sizeof *cases; i++)
        puts(cases[i].name);
    if (argc == 1)
        return 0;
    if (n <= 0 || n % AT_ONCE != 0)
        errx(1, "usage: calls [NAME] N, N being a multiple of %d", AT_ONCE);
    soft_limit(1024);
    memset(bytes, 'x', sizeof bytes);
    bytes[0] = 0; /* alone it is no data */
    memset(data, 'x', sizeof data);
    must(fdpasser_socketpair(passers) == 0, "fdpasser_socketpair");
    for (int i = 0; i < 2; i++)
        must((queues[i] = fdpasser_new(passers[i])) != NULL, "fdpasser_new");
    must(fdpasser_socketpair(passers) == 0, "fdpasser_socketpair");
    for (int i = 0; i < MAX; i++)
        fds[i] = STDIN_FILENO;
    own = 0;
    case_start(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc == 2) {
            cases[i].run(n);
            cases[i].run(2 * n);
        } else if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run(n);
            printf("%ld\n", own);
            return 0;
        }
    }
    if (argc != 2)
        errx(1, "no such call: %s", argv[1]);
    return 0;
}
