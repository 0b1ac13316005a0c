/* In a bounded queue one push too many returns EAGAIN and leaves the descriptor with the caller. In
 * an unbounded queue a full socket costs nothing but memory.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS do not tell what the peer has not taken. */
#include "queue.h"

static void bounded(void)
{
    fdpasser *p[2];
    int fd = numbered(3);

    make_passers(p);
    EQUAL(fdpasser_set_max_queued(p[0], 3), 0);
    for (int i = 0; i < 3; i++)
        push_numbered(p[0], i);
    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_push_send_fd(p[0], fd), EAGAIN);
        EQUAL(fdpasser_queued(p[0]), 3);
        EQUAL(number_of(fd), 3);
    }
    send_all(p[0]);
    EQUAL(fdpasser_push_send_fd(p[0], fd), 1);
    EQUAL(fdpasser_push_recv(p[1], 4), 0);
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            send_all(p[0]);
        expect(p[1], i);
    }

    /* A bound below the number of queued descriptors drops none of them. */
    for (int i = 0; i < 3; i++)
        push_numbered(p[0], i);
    EQUAL(fdpasser_set_max_queued(p[0], 1), 0);
    fd = numbered(3);
    ERRNO(fdpasser_push_send_fd(p[0], fd), EAGAIN);
    EQUAL(fdpasser_queued(p[0]), 3);
    EQUAL(fdpasser_set_max_queued(p[0], 0), 0);
    EQUAL(fdpasser_push_send_fd(p[0], fd), 1);
    send_all(p[0]);
    EQUAL(fdpasser_push_recv(p[1], 4), 0);
    for (int i = 0; i < 4; i++)
        expect(p[1], i);
    free_passers(p);
}

/* The peer takes nothing, so the loop waits for POLLOUT and does not wake up. */
static void full_socket(unsigned per_message)
{
    enum { TOTAL = 900 };
    fdpasser *p[2];
    int queued, sent;

    make_passers(p);
    EQUAL(fdpasser_set_per_message(p[0], per_message), 0);
    EQUAL(setsockopt(fdpasser_fileno(p[0]), SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)), 0);
    for (int i = 0; i < TOTAL; i++)
        push_numbered(p[0], i);
    do {
        queued = fdpasser_queued(p[0]);
        EQUAL(fdpasser_process(p[0], POLLOUT), 1);
    } while (fdpasser_queued(p[0]) < queued);
    sent = TOTAL - queued;
    CHECK(queued > 0 && sent > 0);
    for (int i = 0; i < 10; i++) {
        struct pollfd f = {fdpasser_fileno(p[0]), (short)fdpasser_events(p[0]), 0};

        EQUAL(f.events, POLLOUT);
        CHECK(fdpasser_timeout_ms(p[0]) > 0);
        EQUAL(poll(&f, 1, 0), 0);
        check_idle(p[0]);
        EQUAL(fdpasser_queued(p[0]), queued);
    }
    EQUAL(fdpasser_push_recv(p[1], TOTAL), 0);
    for (int i = 0; i < TOTAL; i++) {
        int fd;

        while ((fd = fdpasser_next_fd(p[1])) == -1) {
            EQUAL(fdpasser_process(p[1], POLLIN), 1);
            EQUAL(fdpasser_process(p[0], POLLOUT), 1);
        }
        RECEIVED(fd, i);
    }
    EQUAL(fdpasser_drained(p[0]), 1);
    free_passers(p);
}

static void test(void)
{
    IN_CHILD(bounded());
    IN_CHILD(full_socket(1));
    IN_CHILD(full_socket(50));
}
