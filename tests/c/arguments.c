/* Arguments that no caller should pass: each has its errno, and none crashes the library or changes
 * anything.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static const size_t too_many[] = {(size_t)INT_MAX + 1, SIZE_MAX / 4, SIZE_MAX / 2 + 1, SIZE_MAX};

/* The largest count that is still valid, on 32 and on 64 bits. */
enum { ENOUGH = SIZE_MAX / 2 / sizeof(int) < INT_MAX ? SIZE_MAX / 2 / sizeof(int) : INT_MAX };

static void sending(int passer, int peer)
{
    int fd = numbered(1), fds[2] = {fd, fd};
    static const unsigned sizes[] = {254, 255, 1000, INT_MAX, UINT_MAX};

    EQUAL(fdpasser_send_fds(passer, NULL, 0, 1), 0);
    EQUAL(fdpasser_send_fds(passer, fds, 0, 1), 0);
    EQUAL(fdpasser_try_send_fds(passer, NULL, 0, 0), 0);
    ERRNO(fdpasser_send_fds(passer, NULL, 1, 1), EFAULT);
    ERRNO(fdpasser_try_send_fds(passer, NULL, 1, 1), EFAULT);
    for (size_t i = 0; i < LENGTH(too_many); i++) {
        ERRNO(fdpasser_send_fds(passer, fds, too_many[i], 1), EINVAL);
        ERRNO(fdpasser_send_fds(passer, NULL, too_many[i], 1), EINVAL);
        ERRNO(fdpasser_try_send_fds(passer, fds, too_many[i], 1), EINVAL);
    }
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        ERRNO(fdpasser_send_fds(passer, fds, 1, sizes[i]), EINVAL);
        ERRNO(fdpasser_send_fds(passer, fds, 2, sizes[i]), EINVAL);
        ERRNO(fdpasser_try_send_fds(passer, fds, 2, sizes[i]), EINVAL);
    }
    ERRNO(fdpasser_try_recv_fds(peer, fds, 2), EAGAIN); /* nothing was sent */

    /* 0 means 1. */
    fds[0] = fds[1] = fd;
    EQUAL(fdpasser_send_fds(passer, fds, 2, 0), 2);
    RECEIVED(fdpasser_recv_fd(peer), 1);
    RECEIVED(fdpasser_recv_fd(peer), 1);
    /* It may be more than the number of descriptors. */
    EQUAL(fdpasser_send_fds(passer, fds, 2, MAX), 2);
    receive_message(peer, fds, 2);
    RECEIVED(fds[0], 1);
    RECEIVED(fds[1], 1);
    close(fd);
}

static void receiving(int passer, int peer)
{
    int fds[2] = {-7, -7};

    send_numbered(peer, 1, 1);
    ERRNO(fdpasser_recv_fds(passer, fds, 0), EINVAL);
    ERRNO(fdpasser_recv_fds(passer, NULL, 0), EINVAL);
    ERRNO(fdpasser_try_recv_fds(passer, fds, 0), EINVAL);
    ERRNO(fdpasser_recv_fds(passer, NULL, 1), EFAULT);
    ERRNO(fdpasser_try_recv_fds(passer, NULL, MAX), EFAULT);
    for (size_t i = 0; i < LENGTH(too_many); i++) {
        ERRNO(fdpasser_recv_fds(passer, fds, too_many[i]), EINVAL);
        ERRNO(fdpasser_try_recv_fds(passer, fds, too_many[i]), EINVAL);
        ERRNO(fdpasser_recv_fds(passer, NULL, too_many[i]), EINVAL);
    }
    CHECK(fds[0] == -7 && fds[1] == -7);
    /* Nothing was consumed. The array is as large as the message, and `n` may be larger than
     * both. */
    EQUAL(fdpasser_recv_fds(passer, fds, ENOUGH), 1);
    RECEIVED(fds[0], 1);
    EQUAL(fds[1], -7);
}

static void bad_descriptors(int passer, int peer)
{
    static const int bad[] = {-1, -2, -100, INT_MIN, INT_MAX, 1 << 20};

    for (size_t i = 0; i < LENGTH(bad); i++) {
        ERRNO(fdpasser_send_fd(passer, bad[i]), EBADF);
        ERRNO(send_fd(passer, bad[i]), EBADF);
        ERRNO(fdpasser_send_fds(passer, &bad[i], 1, 1), EBADF);
    }
    ERRNO(fdpasser_try_recv_fds(peer, &(int){0}, 1), EAGAIN);
    send_numbered(passer, 1, 1); /* the passer still works */
    RECEIVED(fdpasser_recv_fd(peer), 1);
}

static void paths(void)
{
    ERRNO(fdpasser_server(NULL, 10), EFAULT);
    ERRNO(fdpasser_server_n(NULL, 0, 10), EFAULT);
    ERRNO(fdpasser_server_n(NULL, 5, 10), EFAULT);
    ERRNO(fdpasser_connect(NULL), EFAULT);
    ERRNO(fdpasser_connect_n(NULL, 0), EFAULT);
    ERRNO(fdpasser_connect_n(NULL, 5), EFAULT);
    ERRNO(fdpasser_server_n("x", SIZE_MAX, 10), ENAMETOOLONG);
    ERRNO(fdpasser_connect_n("x", SIZE_MAX), ENAMETOOLONG);
    ERRNO(fdpasser_socketpair(NULL), EFAULT);
}

static void no_room(void)
{
    int pair[2] = {-7, -8}, real[2];

    make_pair(real);
    set_soft_limit(32);
    fill_table();
    for (size_t left = 0; left < 2; left++) {
        ERRNO(fdpasser_socketpair(pair), EMFILE);
        CHECK(pair[0] == -7 && pair[1] == -8);
        free_slots(1);
    }
    make_pair(pair);
    close_pair(pair);
    empty_table();
    close_pair(real);
}

static void test(void)
{
    int pair[2];

    make_pair(pair);
    sending(pair[0], pair[1]);
    receiving(pair[0], pair[1]);
    bad_descriptors(pair[0], pair[1]);
    close_pair(pair);
    paths();
    IN_CHILD(no_room());
}
