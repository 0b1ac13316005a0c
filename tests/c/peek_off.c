/* SO_PEEK_OFF, which moves where a peek looks, changes nothing for a passer that has it: a full table is
 * EMFILE, the descriptor comes once a slot is free, and nothing spins. To see that, this program has its own
 * recvmsg(), which counts.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: SO_PEEK_OFF belongs to sockets. */
/* Only on Linux: SO_PEEK_OFF exists there only. */
#include "queue.h"
#include <sys/syscall.h>

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

static unsigned calls;

ssize_t recvmsg(int sock, struct msghdr *msg, int flags)
{
    calls++;
    return syscall(SYS_recvmsg, sock, msg, flags);
}

static void make_peek_off_pair(int pair[2], int offset)
{
    make_pair(pair);
    EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), 0);
}

/* Receives one descriptor. A call that spins needs more system calls than these. */
static void receive_soon(int passer, int number)
{
    calls = 0;
    RECEIVED(fdpasser_recv_fd(passer), number);
    CHECK(calls > 0 && calls <= 10);
}

static void single_calls(rlim_t limit, int offset)
{
    int pair[2], fds[2];

    set_soft_limit(limit);
    make_peek_off_pair(pair, offset);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EAGAIN);
    for (int i = 1; i <= 5; i++)
        send_numbered(pair[0], i, 1);
    send_numbered(pair[0], 6, 2);
    receive_soon(pair[1], 1);

    /* Each peek moves the offset, so several may behave otherwise than one. */
    for (int tries = 1; tries <= 3; tries++) {
        fill_table();
        for (int i = 0; i < tries; i++)
            ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
        free_slots(1);
        receive_soon(pair[1], 1 + tries);
    }
    /* The last free slot is used up and freed again. */
    receive_soon(pair[1], 5);

    /* One slot is not enough for two descriptors. */
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fds(pair[1], fds, 2), EMFILE);
    free_slots(1);
    receive_numbered(pair[1], 6, 2);

    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EAGAIN);
    close(pair[0]);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    empty_table();
    close(pair[1]);
}

static void queue(rlim_t limit, int offset)
{
    enum { TOTAL = 5 };
    int pair[2];
    fdpasser *p;

    set_soft_limit(limit);
    make_peek_off_pair(pair, offset);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, TOTAL + 1), 0);
    for (int i = 0; i < TOTAL; i++)
        send_numbered(pair[0], i, 1);
    fill_table();
    calls = 0;
    pauses(p, 4);
    CHECK(calls <= 40);
    free_slots(1);
    for (int i = 0; i < TOTAL; i++)
        expect_soon(p, i);
    empty_table();
    check_idle(p);
    close(pair[0]);
    EQUAL(turn(p), 0);
    fdpasser_free(p);
}

static void test(void)
{
    /* Only a nearly full table is peeked in, and with 16 or 64 slots each one is. */
    static const rlim_t limits[] = {16, 64, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++)
        for (int offset = 0; offset < 2; offset++) {
            snprintf(round_name, sizeof round_name, "limit %ld, offset %d: ", (long)limits[i], offset);
            IN_CHILD(single_calls(limits[i], offset));
            IN_CHILD(queue(limits[i], offset));
        }
}
