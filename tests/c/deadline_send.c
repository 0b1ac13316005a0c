/* SO_SNDTIMEO bounds a whole call of fdpasser_send_fds(), which sends several messages to a peer that drains
 * the socket slowly.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no SO_SNDTIMEO. */
#include "check.h"
#include <sys/time.h>

/* How long the call may wait, how long the peer drains, and what is in time, in milliseconds. */
enum { TIME = 1000, DRAINING = 30000, IN_TIME = 10000 };

static int many[20000];

/* The peer takes a message every few milliseconds, so that no single message waits for as long as the call
 * may. */
static void with(unsigned per_message, int full)
{
    struct timeval timeout = {TIME / 1000, 0};
    int pair[2], least = 0;
    long long start, took;
    ssize_t sent;
    pid_t child;

    make_pair(pair);
    EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);
    for (size_t i = 0; i < LENGTH(many); i++)
        many[i] = pair[0];
    if (full)
        fill_socket(pair[0]);
    if ((child = spawn()) == 0) {
        char byte;

        close(pair[0]);
        for (int i = 0; i < DRAINING / 30; i++) {
            EQUAL(recv(pair[1], &byte, 1, 0), 1);
            poll(NULL, 0, 30);
        }
        _exit(0);
    }
    close(pair[1]);
    start = microseconds();
    sent = fdpasser_send_fds(pair[0], many, LENGTH(many), per_message);
    took = (microseconds() - start) / 1000;
    printf("%lld ms, %zd sent\n", took, sent);
    CHECK(sent > 0);
    CHECK(sent < (ssize_t)LENGTH(many));
    CHECK(took >= TIME);
    CHECK(took < IN_TIME);
    EQUAL(kill(child, SIGKILL), 0);
    EQUAL(waitpid(child, NULL, 0), child);
    close(pair[0]);
}

/* Nobody drains. */
static void nothing_sent(unsigned per_message)
{
    struct timeval timeout = {TIME / 1000, 0};
    int pair[2];
    long long start, took;

    make_pair(pair);
    EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);
    fill_socket(pair[0]);
    for (size_t i = 0; i < LENGTH(many); i++)
        many[i] = pair[0];
    start = microseconds();
    ERRNO(fdpasser_send_fds(pair[0], many, LENGTH(many), per_message), EAGAIN);
    took = (microseconds() - start) / 1000;
    CHECK(took >= BY_TICKS(TIME));
    CHECK(took < IN_TIME);
    close_pair(pair);
}

static void test(void)
{
    with(1, 0);
    with(1, 1);
    with(3, 0);
    nothing_sent(1);
    nothing_sent(MAX);
}
