/* Whatever options its socket has, a passer sends and receives a descriptor, a full table is EMFILE until a
 * slot is free, and nothing spins.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no socket options. */
/* Only on Linux: it tries the numbers of Linux's options. */
#include "queue.h"
#include <sys/time.h>

enum { HIGHEST = 90, PASSRIGHTS = 83 /* since Linux 6.16 */ };

/* Not plain numbers: the kernel takes them for a filter program. */
static int is_filter(int option)
{
    return option == SO_ATTACH_FILTER || option == SO_ATTACH_REUSEPORT_CBPF;
}

static void single_calls(const int pair[2])
{
    int fd = numbered(1), none;

    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    close(fd);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    send_numbered(pair[0], 2, 1);
    send_numbered(pair[0], 3, 1);
    fill_table();
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], &none, 1), EAGAIN);
    empty_table();
}

/* Closes both ends. */
static void queue(const int pair[2])
{
    struct pollfd socket = {pair[1], POLLIN, 0};
    fdpasser *p = make_passer(pair[1]), *peer = make_passer(pair[0]);

    EQUAL(fdpasser_push_recv(p, 3), 0);
    for (int i = 1; i <= 2; i++) {
        push_numbered(peer, i);
        EQUAL(fdpasser_process(peer, POLLOUT), 1);
        EQUAL(fdpasser_queued(peer), 0);
    }
    fill_table();
    pauses(p, 1);
    CHECK(fdpasser_timeout_ms(p) > 0);
    free_slots(2); /* both at once, or there would be a pause between them */
    expect_soon(p, 1);
    expect_soon(p, 2);
    empty_table();

    /* Nothing is left, and nothing wakes the loop. */
    check_idle(p);
    EQUAL(fdpasser_events(p), POLLIN);
    EQUAL(fdpasser_timeout_ms(p), -1);
    EQUAL(poll(&socket, 1, 0), 0);
    fdpasser_free(peer);
    EQUAL(turn(p), 0);
    fdpasser_free(p);
}

static void too_late(int signal)
{
    (void)signal;
    fail(__FILE__, __LINE__, "a call waits or spins for ever");
}

/* Sets an option on both ends of a fresh pair. Returns whether the kernel let us. */
static int make_pair_with(int pair[2], int option, const void *value, socklen_t size)
{
    int done = 1;

    make_pair(pair);
    for (int i = 0; i < 2; i++)
        done &= setsockopt(pair[i], SOL_SOCKET, option, value, size) == 0;
    if (!done)
        close_pair(pair);
    return done;
}

/* Returns whether the kernel has the option. */
static int with(int option, const void *value, socklen_t size)
{
    int pair[2];

    if (!make_pair_with(pair, option, value, size))
        return 0;
    alarm(DEADLINE / 2);
    single_calls(pair);
    queue(pair);
    return 1;
}

/* The receiver refuses all descriptors, so there is nothing to receive. */
static void refuses_descriptors(void)
{
    int pair[2], no = 0, none;

    if (!make_pair_with(pair, PASSRIGHTS, &no, sizeof no))
        return;
    ERRNO(fdpasser_send_fd(pair[0], pair[0]), EPERM);
    EQUAL(fdpasser_retry_ms(EPERM), -1);
    ERRNO(fdpasser_try_recv_fds(pair[1], &none, 1), EAGAIN);
    close_pair(pair);
}

static void numbers(int value)
{
    int known = 0;

    set_soft_limit(64);
    for (int option = 1; option <= HIGHEST; option++) {
        snprintf(round_name, sizeof round_name, "option %d is %d: ", option, value);
        if (option == PASSRIGHTS && value == 0)
            refuses_descriptors();
        else if (!is_filter(option))
            known += with(option, &value, sizeof value);
    }
    CHECK(known > 10); /* the test of the test */
}

static void structures(void)
{
    static const struct timeval timeouts[] = {{0, 1}, {0, 20000}, {100 * 86400, 0}};
    static const struct linger lingers[] = {{1, 0}, {1, 10}};
    static const int large[] = {2, 1000, 4096, 1 << 20, INT_MAX};

    set_soft_limit(64);
    for (size_t i = 0; i < LENGTH(timeouts); i++) {
        snprintf(round_name, sizeof round_name, "timeout %u: ", (unsigned)i);
        EQUAL(with(SO_RCVTIMEO, &timeouts[i], sizeof timeouts[i]), 1);
        EQUAL(with(SO_SNDTIMEO, &timeouts[i], sizeof timeouts[i]), 1);
    }
    for (size_t i = 0; i < LENGTH(lingers); i++) {
        snprintf(round_name, sizeof round_name, "linger %u: ", (unsigned)i);
        EQUAL(with(SO_LINGER, &lingers[i], sizeof lingers[i]), 1);
    }
    for (size_t i = 0; i < LENGTH(large); i++) {
        snprintf(round_name, sizeof round_name, "SO_RCVLOWAT is %d: ", large[i]);
        EQUAL(with(SO_RCVLOWAT, &large[i], sizeof large[i]), 1);
    }
}

static void test(void)
{
    CHECK(signal(SIGALRM, too_late) != SIG_ERR);
    for (int value = 0; value <= 2; value++)
        IN_CHILD(numbers(value));
    IN_CHILD(structures());
}
