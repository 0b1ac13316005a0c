/* A cancellation of a thread that waits in a call takes effect after the call. The call goes on waiting,
 * and returns what it returns without the cancellation.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there nothing can shut a passer down, and connecting waits for the accept. */
/* Only on Linux: it looks in /proc whether a thread waits. */
#include "cancel.h"

/* Ends the wait without giving the call what it needs. What waits in connect(2) notices only that the
 * listener is closed. */
static void shut_down(enum need need)
{
    if (need == PLACE) {
        close(listener);
        listener = -1;
    } else {
        EQUAL(shutdown(need == CONNECTION ? listener : pair[need == MESSAGE], SHUT_RDWR), 0);
    }
}

static void check_shut_down(int error)
{
    EQUAL(caller.result, error == 0 ? 0 : -1);
    if (error != 0)
        EQUAL(caller.error, error);
}

enum when { BEFORE, MEANWHILE };

static void cancelled(const struct call *call, enum when when, int given)
{
    pthread_t thread;

    set_up(call->need);
    thread = start_call(call, when == BEFORE);
    wait_until_inside();
    if (when == MEANWHILE) {
        EQUAL(pthread_cancel(thread), 0);
        wait_until_inside();
    }
    if (given)
        give(call->need);
    else
        shut_down(call->need);
    join_cancelled(thread);
    if (given)
        check_given(call->need, caller.result);
    else
        check_shut_down(call->error);
    tear_down();
}

static void test(void)
{
    for (size_t i = 0; i < LENGTH(calls); i++)
        for (int given = 0; given < 2; given++) {
            snprintf(round_name, sizeof round_name, "%s, %s: ", calls[i].name, given ? "given" : "shut down");
            IN_CHILD(cancelled(&calls[i], BEFORE, given));
            IN_CHILD(cancelled(&calls[i], MEANWHILE, given));
        }
}
