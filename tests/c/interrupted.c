/* Wherever a call waits, a signal makes it return EINTR, and nothing is lost.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "signals.h"

static void test(void)
{
    char name[PATH_MAX];
    int pair[2], listener, clients[64], fds[16];
    size_t n = 0;
    ssize_t sent;
    pid_t sender;

    make_pair(pair);
    enter_directory(name);
    listener = fdpasser_server("s", 1);
    OURS(listener);

    sender = start_signals(5);
    for (int i = 0; i < 5; i++) {
        signals_seen = 0;
        ERRNO(fdpasser_recv_fd(pair[1]), EINTR);
        CHECK(signals_seen > 0);
        ERRNO(fdpasser_recv_fds(pair[1], fds, 16), EINTR);
        ERRNO(fdpasser_accept(listener), EINTR);
    }
    fill_socket(pair[0]);
    for (int i = 0; i < 5; i++) {
        ERRNO(fdpasser_send_fd(pair[0], pair[0]), EINTR);
        for (size_t k = 0; k < LENGTH(fds); k++)
            fds[k] = pair[0];
        ERRNO(fdpasser_send_fds(pair[0], fds, 16, 1), EINTR);
        ERRNO(fdpasser_send_fds(pair[0], fds, 16, 16), EINTR);
    }
    /* After the first descriptor was sent, an interruption shows as a smaller count. A socket polls
     * writable when a good part of it is free. */
    while (poll(&(struct pollfd){pair[0], POLLOUT, 0}, 1, 0) != 1)
        close(fdpasser_recv_fd(pair[1]));
    do {
        int many[1000];

        for (size_t k = 0; k < LENGTH(many); k++)
            many[k] = pair[0];
        sent = fdpasser_send_fds(pair[0], many, LENGTH(many), 1);
    } while (sent == -1 && errno == EINTR);
    CHECK(sent > 0 && sent < 1000);

    /* The kernel queues one connection more than the backlog says. Then connecting waits. */
    while (n < LENGTH(clients) && (clients[n] = fdpasser_connect("s")) != -1)
        n++;
    if (!SYSV) { /* there connecting never waits */
        EQUAL(errno, EINTR);
        CHECK(n < LENGTH(clients));
    }
    CHECK(n >= 1);
    stop_signals(sender);
    EQUAL(fdpasser_retry_ms(EINTR), 0);

    /* All of them still work. */
    check_serves(listener, clients[0]);
    while (n > 0)
        close(clients[--n]);
    close(listener);
    close_pair(pair);
    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
