/* A descriptor that the kernel refuses to send comes back and is reported once. Those before it and
 * behind it are sent.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: I_SENDFD refuses no kind of descriptor. */
/* Only on Linux: io_uring exists there only. */
#include "queue.h"

static void refuse(unsigned per_message, int error)
{
    fdpasser *p[2];
    int ours = open_descriptors(), first = make_ring(), second = make_ring();

    CHECK(first > 0 && second > 0);
    make_passers(p);
    EQUAL(fdpasser_set_per_message(p[0], per_message), 0);
    EQUAL(fdpasser_push_recv(p[1], 6), 0);
    for (int i = 0; i < 3; i++)
        push_numbered(p[0], i);
    EQUAL(fdpasser_push_send_fd(p[0], first), 1);
    EQUAL(fdpasser_push_send_fd(p[0], second), 1);
    for (int i = 3; i < 6; i++)
        push_numbered(p[0], i);

    ERRNO(fdpasser_process(p[0], POLLOUT), error);
    EQUAL(fdpasser_queued(p[0]), 4);
    EQUAL(fdpasser_timeout_ms(p[0]), 0); /* there is more to do */
    EQUAL(fdpasser_refused(p[0]), first);
    EQUAL(fdpasser_refused(p[0]), -1); /* it is handed back once */
    close(first);                          /* it is ours again */
    EQUAL(open_descriptors(), ours + 2 + 1 + 3);

    ERRNO(fdpasser_process(p[0], 0), error);
    EQUAL(fdpasser_queued(p[0]), 3);
    EQUAL(fdpasser_process(p[0], 0), 1);
    EQUAL(fdpasser_refused(p[0]), -1);
    CHECK(fcntl(second, F_GETFD) == -1); /* closed, because it was not fetched */
    for (int i = 0; i < 6; i++)
        expect(p[1], i);
    check_idle(p[0]);
    check_idle(p[1]);

    /* A refused descriptor that is the last in the queue is not leaked. */
    EQUAL(fdpasser_push_send_fd(p[0], make_ring()), 1);
    ERRNO(fdpasser_process(p[0], 0), error);
    free_passers(p);
    EQUAL(open_descriptors(), ours);
}

/* One call finds a refusal and the end. It reports the refusal first. */
static void refused_at_the_end(int error)
{
    fdpasser *p[2];
    int fd = make_ring();

    make_passers(p);
    EQUAL(fdpasser_push_recv(p[0], 5), 0);
    push_numbered(p[1], 1);
    send_all(p[1]);
    EQUAL(fdpasser_push_send_fd(p[0], fd), 1);
    EQUAL(shutdown(fdpasser_fileno(p[1]), SHUT_WR), 0);
    ERRNO(fdpasser_process(p[0], POLLIN | POLLOUT | POLLHUP), error);
    EQUAL(fdpasser_refused(p[0]), fd);
    close(fd);
    expect(p[0], 1);
    EQUAL(fdpasser_timeout_ms(p[0]), 0);
    EQUAL(fdpasser_process(p[0], 0), 0);
    free_passers(p);
}

static void test(void)
{
    int error = ring_error();

    refuse(1, error);
    refuse(2, error);
    refuse(MAX, error);
    refused_at_the_end(error);
}
