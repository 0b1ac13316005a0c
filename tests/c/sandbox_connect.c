/* A sandbox that refuses select, getrlimit, getsockopt or setsockopt changes no answer of
 * fdpasser_connect_timed().
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: EOPNOTSUPP there. */
/* Only on Linux: seccomp exists there only. */
#include "sandbox.h"

static void connects(unsigned groups, int error)
{
    static const int times[] = {0, 60000, -1};
    int listener = fdpasser_server("s", 1), clients[64], client;
    size_t n = 0;
    long long start;
    pid_t parent = getpid(), child;

    OURS(listener);
    refuse(groups, error);
    for (size_t i = 0; i < LENGTH(times); i++) {
        client = fdpasser_connect_timed("s", 1, times[i]);
        OURS(client);
        check_serves(listener, client);
        close(client);
    }

    /* The backlog is full. */
    while ((clients[n] = knock("s")) != -1)
        CHECK(++n < LENGTH(clients));
    ERRNO(fdpasser_connect_timed("s", 1, 0), ETIMEDOUT);
    start = microseconds();
    ERRNO(fdpasser_connect_timed("s", 1, 200), ETIMEDOUT);
    CHECK(microseconds() - start >= 200000);
    CHECK(microseconds() - start < 20000000);
    if ((child = spawn()) == 0) {
        wait_until_asleep(parent);
        for (size_t i = 0; i < n; i++)
            close(fdpasser_accept(listener));
        _exit(0);
    }
    client = fdpasser_connect_timed("s", 1, 60000);
    OURS(client);
    join(child);
    check_serves(listener, client);

    close(client);
    while (n > 0)
        close(clients[--n]);
    close(listener);
    ERRNO(fdpasser_connect_timed("s", 1, 60000), ECONNREFUSED);
    EQUAL(unlink("s"), 0);
}

static void test(void)
{
    static const unsigned groups[] = {0, SELECT, GETRLIMIT, GETSOCKOPT, SETSOCKOPT, ALL};
    char name[PATH_MAX];

    enter_directory(name);
    for (size_t i = 0; i < LENGTH(groups); i++) {
        snprintf(round_name, sizeof round_name, "0x%x refused: ", groups[i]);
        IN_CHILD(connects(groups[i], EPERM));
    }
    leave_directory(name);
}
