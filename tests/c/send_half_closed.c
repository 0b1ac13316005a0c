/* The peer of a full socket shuts down its receiving side. Every call that waits for room ends, although poll(2)
 * reports nothing.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a pipe has no receiving side to be shut down. */
/* Only on Linux: elsewhere a socket polls writable then. */
#include "check.h"

static int pair[2];

static int one(void)
{
    return fdpasser_send_fd(pair[0], 1);
}

static int several(void)
{
    int fds[] = {1, 1, 1, 1};
    ssize_t sent;

    /* There is room for the first one, so that the call waits with the second. */
    close(fdpasser_recv_fd(pair[1]));
    sent = fdpasser_send_fds(pair[0], fds, LENGTH(fds), 1);
    CHECK(sent < (ssize_t)LENGTH(fds));
    return sent < 0 ? -1 : fdpasser_send_fd(pair[0], 1);
}

static int in_time(void)
{
    return fdpasser_send_fd_timed(pair[0], 1, 100000);
}

static int at_any_time(void)
{
    return fdpasser_send_fd_timed(pair[0], 1, -1);
}

static void half_closed(int (*call)(void), int with_timeout)
{
    struct timeval time = {100, 0};
    pid_t parent = getpid(), child;

    make_pair(pair);
    fill_socket(pair[0]);
    if (with_timeout)
        EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time), 0);
    if ((child = spawn()) == 0) {
        wait_until_asleep(parent);
        EQUAL(shutdown(pair[1], SHUT_RD), 0);
        _exit(0);
    }
    alarm(60);
    ERRNO(call(), EPIPE);
    join(child);
    close_pair(pair);
}

static void test(void)
{
    int (*calls[])(void) = {one, several, in_time, at_any_time};

    for (size_t i = 0; i < LENGTH(calls); i++)
        for (int with_timeout = 0; with_timeout < 2; with_timeout++) {
            snprintf(round_name, sizeof round_name, "call %zu, %s: ", i, with_timeout ? "SO_SNDTIMEO" : "no timeout");
            IN_CHILD(half_closed(calls[i], with_timeout));
        }
}
