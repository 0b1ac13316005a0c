/* A blocking passer waits as long as its SO_RCVTIMEO says: never less, and hardly more. A timeout
 * that is too long for poll(2) is still long.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no SO_RCVTIMEO. */
#include "check.h"
#include <sys/time.h>

static void set_timeout(int sock, time_t seconds, long us)
{
    struct timeval timeout = {seconds, us};

    EQUAL(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
}

static void takes(int sock, long us)
{
    struct timeval timeout;
    socklen_t length = sizeof timeout;
    long long shortest = LLONG_MAX, wanted;

    set_timeout(sock, 0, us);
    /* The kernel rounds up to the ticks of its clock. */
    EQUAL(getsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length), 0);
    wanted = timeout.tv_sec * 1000000LL + timeout.tv_usec;
    CHECK(wanted >= us);
    /* A busy machine is late at times, but not every time. */
    for (int i = 0; i < 20 && shortest > wanted + 200000; i++) {
        long long start = microseconds(), took;

        ERRNO(fdpasser_recv_fd(sock), EAGAIN);
        took = microseconds() - start;
        CHECK(took >= wanted);
        if (took < shortest)
            shortest = took;
    }
    CHECK(shortest <= wanted + 200000);
}

static void test(void)
{
    int pair[2];
    pid_t child;

    make_pair(pair);
    takes(pair[1], 1);
    takes(pair[1], 4000);
    takes(pair[1], 60000);
    takes(pair[1], 123456);

    /* A hundred days. */
    set_timeout(pair[1], 100 * 86400, 0);
    child = spawn();
    if (child == 0) {
        poll(NULL, 0, 50);
        send_numbered(pair[0], 5, 1);
        _exit(0);
    }
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);
    join(child);
    close_pair(pair);
}
