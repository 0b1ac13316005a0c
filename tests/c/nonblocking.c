/* With nothing to receive, or a full socket, a non-blocking call returns EAGAIN, however often it
 * is made, and nothing is lost. The try_ functions never block, whatever the passer's mode.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void full_and_back(int pair[2], ssize_t (*send)(int, const int *, size_t, unsigned))
{
    int first = numbered(1), fds[16];
    size_t sent = 0, received = 0;
    ssize_t n;

    for (int i = 0; i < 16; i++)
        fds[i] = first;

    ERRNO(fdpasser_try_recv_fds(pair[1], fds + 1, 1), EAGAIN);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds + 1, 1), EAGAIN);
    fds[1] = first;
    while ((n = send(pair[0], fds, 16, 1)) == 16)
        sent += 16;
    if (n > 0) { /* the error came after some were sent, so the next call reports it */
        sent += (size_t)n;
        n = send(pair[0], fds, 16, 1);
    }
    EQUAL(n, -1);
    EQUAL(errno, EAGAIN);
    for (int i = 0; i < 3; i++) {
        ERRNO(send(pair[0], fds, 16, 1), EAGAIN);
        ERRNO(send(pair[0], fds, 16, 16), EAGAIN);
    }
    CHECK(sent > 16);

    while ((n = fdpasser_try_recv_fds(pair[1], fds, 16)) > 0) {
        EQUAL(n, 1);
        RECEIVED(fds[0], 1);
        received++;
    }
    EQUAL(n, -1);
    EQUAL(errno, EAGAIN);
    EQUAL(received, sent);

    /* The passer still works. */
    EQUAL(send(pair[0], &first, 1, 1), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close(first);
}

static void test(void)
{
    int pair[2];

    make_pair(pair);
    full_and_back(pair, fdpasser_try_send_fds);
    CHECK(!(status_flags(pair[0]) & O_NONBLOCK) && !(status_flags(pair[1]) & O_NONBLOCK));

    set_nonblocking(pair[0], 1);
    set_nonblocking(pair[1], 1);
    full_and_back(pair, fdpasser_send_fds);
    full_and_back(pair, fdpasser_try_send_fds);
    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_recv_fd(pair[1]), EAGAIN);
        ERRNO(recv_fd(pair[1]), EAGAIN);
        ERRNO(fdpasser_recv_fds(pair[1], (int[2]){0, 0}, 2), EAGAIN);
    }
    while (fdpasser_send_fd(pair[0], pair[0]) == 1)
        ;
    EQUAL(errno, EAGAIN);
    ERRNO(send_fd(pair[0], pair[0]), EAGAIN);
    EQUAL(fdpasser_retry_ms(EAGAIN), 0);
    close_pair(pair);
}
