/* A shutdown of the listener ends every call that accepts, and every later one, with EINVAL: at once, and
 * without spinning.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there nothing can shut a listener down. */
/* Only on Linux: elsewhere a listener cannot be shut down. */
#include "check.h"

static int listener;

static int accepted(void)
{
    return fdpasser_accept(listener);
}

static int accepted_in_time(void)
{
    return fdpasser_accept_timed(listener, 30000);
}

static int accepted_at_any_time(void)
{
    return fdpasser_accept_timed(listener, -1);
}

/* The call must not last as long as its own time, so it has none, or a long one. */
static void shut_down(int (*call)(void))
{
    pid_t parent = getpid(), child;
    long long start;

    listener = fdpasser_server("s", 1);
    OURS(listener);
    if ((child = spawn()) == 0) {
        wait_until_asleep(parent);
        EQUAL(shutdown(listener, SHUT_RDWR), 0);
        _exit(0);
    }
    alarm(20);
    start = microseconds();
    ERRNO(call(), EINVAL);
    ERRNO(call(), EINVAL);
    CHECK(microseconds() - start < 15000000);
    join(child);
    close(listener);
    EQUAL(unlink("s"), 0);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    IN_CHILD(shut_down(accepted));
    IN_CHILD(shut_down(accepted_in_time));
    IN_CHILD(shut_down(accepted_at_any_time));
    leave_directory(name);
}
