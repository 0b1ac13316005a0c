/* Arguments that no caller should pass to a function of the queue: each has its errno, none
 * crashes, and no descriptor of the caller's is closed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

static void no_object(fdpasser *p)
{
    int fd = numbered(1);

    ERRNO(fdpasser_fileno(p), EINVAL);
    ERRNO(fdpasser_set_per_message(p, 1), EINVAL);
    ERRNO(fdpasser_set_max_queued(p, 1), EINVAL);
    ERRNO(fdpasser_push_send_fd(p, fd), EINVAL);
    ERRNO(fdpasser_push_recv(p, 1), EINVAL);
    ERRNO(fdpasser_events(p), EINVAL);
    ERRNO(fdpasser_timeout_ms(p), EINVAL);
    ERRNO(fdpasser_process(p, POLLIN), EINVAL);
    ERRNO(fdpasser_next_fd(p), EINVAL);
    ERRNO(fdpasser_queued(p), EINVAL);
    ERRNO(fdpasser_drained(p), EINVAL);
    EQUAL(number_of(fd), 1); /* it is still ours */
    close(fd);
}

static void fails(int fd, int error)
{
    errno = 0;
    CHECK(fdpasser_new(fd) == NULL);
    EQUAL(errno, error);
}

static void no_descriptor(void)
{
    static const int bad[] = {-1, -2, INT_MIN, INT_MAX, 1 << 20};
    fdpasser *p[2];

    make_passers(p);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        fails(bad[i], EBADF);
        ERRNO(fdpasser_push_send_fd(p[0], bad[i]), EBADF);
    }
    ERRNO(fdpasser_push_send_fd(p[0], fdpasser_fileno(p[0])), EINVAL);
    EQUAL(fdpasser_queued(p[0]), 0);
    check_idle(p[0]);
    free_passers(p);
}

static void bad_numbers(void)
{
    fdpasser *p[2];

    make_passers(p);
    ERRNO(fdpasser_push_recv(p[0], 0), EINVAL);
    ERRNO(fdpasser_push_recv(p[0], -1), EINVAL);
    ERRNO(fdpasser_push_recv(p[0], INT_MIN), EINVAL);
    EQUAL(fdpasser_events(p[0]), 0);
    for (int i = 0; i < 5; i++)
        EQUAL(fdpasser_push_recv(p[0], INT_MAX), 0);
    ERRNO(fdpasser_set_per_message(p[0], 0), EINVAL);
    ERRNO(fdpasser_set_per_message(p[0], MAX + 1), EINVAL);
    ERRNO(fdpasser_set_per_message(p[0], UINT_MAX), EINVAL);
    EQUAL(fdpasser_set_per_message(p[0], MAX), 0);
    EQUAL(fdpasser_set_max_queued(p[0], UINT_MAX), 0);
    EQUAL(fdpasser_refused(p[0]), -1);

    /* Any value of revents is accepted. */
    for (int bit = 0; bit < 32; bit++)
        EQUAL(fdpasser_process(p[0], (int)(1u << bit)), 1);
    EQUAL(fdpasser_process(p[0], -1), 1);
    push_numbered(p[1], 5);
    send_all(p[1]);
    expect(p[0], 5);
    free_passers(p);
}

static void pair(void)
{
    fdpasser *p = fdpasser_new_pair();
    int before, ours[2];

    CHECK(p != NULL);
    no_object(p); /* no end has been chosen yet */
    before = open_descriptors();
    EQUAL(fdpasser_i_am_child(p), 0);
    EQUAL(open_descriptors(), before - 1);
    ERRNO(fdpasser_i_am_child(p), EINVAL);
    ERRNO(fdpasser_i_am_parent(p), EINVAL);
    OURS(fdpasser_fileno(p));
    CHECK(status_flags(fdpasser_fileno(p)) & O_NONBLOCK);
    /* Nobody has the other end open. */
    push_numbered(p, 1);
    ERRNO(fdpasser_process(p, POLLOUT), EPIPE);
    fdpasser_free(p);

    p = fdpasser_new_pair(); /* freed before an end is chosen */
    CHECK(p != NULL);
    fdpasser_free(p);

    make_pair(ours);
    p = make_passer(ours[0]);
    ERRNO(fdpasser_i_am_parent(p), EINVAL);
    CHECK(status_flags(ours[0]) & O_NONBLOCK);
    CHECK(!(status_flags(ours[1]) & O_NONBLOCK));
    fdpasser_free(p);
    close(ours[1]);
}

/* A descriptor that is not a connected local socket (in SysV mode, not a stream) has its errno for
 * sending and for receiving, and is closed with the passer. */
static void no_socket(void)
{
    struct {
        int fd, sending, receiving;
    } cases[] = {{socket(AF_UNIX, SOCK_STREAM, 0), ENOTCONN, EINVAL},
                 {socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT, ENOTCONN},
                 {numbered(0), ENOTSOCK, ENOTSOCK}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        int again = dup(cases[i].fd);
        int sending = SYSV ? ENOSTR : cases[i].sending, receiving = SYSV ? ENOSTR : cases[i].receiving;
        fdpasser *p = make_passer(cases[i].fd);

        if (cases[i].sending == ENOTSOCK)
            ERRNO(fdpasser_drained(p), SYSV ? EOPNOTSUPP : ENOTSOCK);
        push_numbered(p, 1);
        ERRNO(fdpasser_process(p, POLLOUT), sending);
        ERRNO(fdpasser_process(p, POLLOUT), sending);
        EQUAL(fdpasser_refused(p), -1);
        EQUAL(fdpasser_queued(p), 1);
        fdpasser_free(p);
        p = make_passer(again);
        EQUAL(fdpasser_push_recv(p, 1), 0);
        ERRNO(fdpasser_process(p, POLLIN), receiving);
        fdpasser_free(p);
    }
}

static void no_room(void)
{
    set_soft_limit(32);
    fill_table();
    for (size_t left = 0; left < 2; left++) {
        errno = 0;
        CHECK(fdpasser_new_pair() == NULL);
        EQUAL(errno, EMFILE);
        free_slots(1);
    }
    empty_table();
}

static void test(void)
{
    int before = open_descriptors();

    no_object(NULL);
    ERRNO(fdpasser_i_am_parent(NULL), EINVAL);
    ERRNO(fdpasser_i_am_child(NULL), EINVAL);
    ERRNO(fdpasser_refused(NULL), EINVAL);
    fdpasser_free(NULL);
    no_descriptor();
    bad_numbers();
    pair();
    no_socket();
    EQUAL(open_descriptors(), before);
    IN_CHILD(no_room());
}
