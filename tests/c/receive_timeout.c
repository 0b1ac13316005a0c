/* A blocking passer waits for as long as its SO_RCVTIMEO says: not less, and hardly more; and one that is
 * longer than poll(2) can be told is still long. */
/* Not in SysV mode: streams have no SO_RCVTIMEO. */
#include "check.h"
#include <sys/time.h>
#include <time.h>

static long long microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

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
    /* The kernel rounds up to its clock's ticks. */
    EQUAL(getsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length), 0);
    wanted = timeout.tv_sec * 1000000LL + timeout.tv_usec;
    CHECK(wanted >= us);
    /* A machine that is busy is late at times, but not each time. */
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
