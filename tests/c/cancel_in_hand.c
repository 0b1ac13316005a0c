/* A cancellation that comes at any moment of a call loses nothing: what the call has in hand is there for
 * the thread. In a table that is nearly full a call makes more system calls, and each of them is such a
 * moment.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there connecting waits for the accept. */
/* Only on Linux: it looks in /proc whether a thread waits. */
#include "cancel.h"

static void rounds(const struct call *call, rlim_t limit, int closed)
{
    set_soft_limit(limit);
    if (closed)
        close(0);
    for (int i = 0; i < (on_valgrind() ? 10 : 100); i++) {
        pthread_t thread;

        set_up(call->need);
        thread = start_call(call, 0);
        if (i % 3 > 0)
            wait_until_inside();
        if (i % 2 == 0)
            EQUAL(pthread_cancel(thread), 0);
        give(call->need);
        if (i % 2 == 1)
            EQUAL(pthread_cancel(thread), 0);
        join_cancelled(thread);
        check_given(call->need, caller.result);
        tear_down();
    }
    if (closed)
        EQUAL(open("/dev/null", O_RDONLY), 0);
}

static void test(void)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        if (calls[i].need != MESSAGE && calls[i].need != CONNECTION)
            continue; /* it never has a descriptor in hand */
        snprintf(round_name, sizeof round_name, "%s: ", calls[i].name);
        IN_CHILD(rounds(&calls[i], 1024, 0));
        IN_CHILD(rounds(&calls[i], 64, 0));
        IN_CHILD(rounds(&calls[i], 64, 1));
    }
}
