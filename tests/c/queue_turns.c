/* fdpasser_process() tries again at once after a signal, not before a pause is over, and after an
 * error it does not wait for what cannot come. This program has its own recvmsg(), which counts and
 * fails.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests calls of recvmsg. */
/* Only on Linux: it makes the system call itself. */
#include "queue.h"
#include <sys/syscall.h>

static int calls, interrupt;

ssize_t recvmsg(int sock, struct msghdr *message, int flags)
{
    calls++;
    if (interrupt) {
        interrupt = 0;
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_recvmsg, sock, message, flags);
}

/* Otherwise an edge-triggered loop would never come back. */
static void after_a_signal(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    send_numbered(pair[0], 1, 1);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    interrupt = 1;
    EQUAL(fdpasser_process(p, POLLIN), 1);
    EQUAL(interrupt, 0);
    ERRNO(fdpasser_next_fd(p), EAGAIN);
    EQUAL(fdpasser_timeout_ms(p), 0);
    EQUAL(fdpasser_process(p, 0), 1);
    RECEIVED(fdpasser_next_fd(p), 1);
    fdpasser_free(p);
    close(pair[0]);
}

static void too_early(void)
{
    int pair[2], before;
    fdpasser *p;

    set_soft_limit(64);
    make_pair(pair);
    p = make_passer(pair[1]);
    send_numbered(pair[0], 1, 1);
    fill_table();
    EQUAL(fdpasser_push_recv(p, 1), 0);
    EQUAL(fdpasser_process(p, POLLIN), 1);
    /* On a slow machine the pause may be over by then, but not every time. */
    for (int i = 0;; i++) {
        before = calls;
        EQUAL(fdpasser_process(p, POLLIN), 1);
        if (calls == before)
            break;
        CHECK(i < 1000);
    }
    /* With nothing to receive, nothing is tried until the socket is ready. */
    empty_table();
    expect(p, 1);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    EQUAL(fdpasser_process(p, 0), 1);
    before = calls;
    EQUAL(fdpasser_process(p, 0), 1);
    EQUAL(calls, before);
    fdpasser_free(p);
    close(pair[0]);
}

/* Sending has failed. The peer does not know and stays silent. */
static void after_an_error(void)
{
    int pair[2];
    fdpasser *p;

    make_pair(pair);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 2), 0);
    EQUAL(fdpasser_process(p, 0), 1);
    send_numbered(pair[0], 1, 1);
    EQUAL(shutdown(fdpasser_fileno(p), SHUT_WR), 0);
    push_numbered(p, 2);
    EQUAL(fdpasser_process(p, POLLOUT), 1);
    RECEIVED(fdpasser_next_fd(p), 1);
    for (int i = 0; fdpasser_process(p, 0) == 1; i++)
        CHECK(i < 10);
    EQUAL(errno, EPIPE);
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    after_a_signal();
    after_an_error();
    IN_CHILD(too_early());
}
