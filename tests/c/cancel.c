/* A cancellation of a thread that waits in a call takes effect after the call. The call goes on waiting,
 * and returns what it returns without the cancellation.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there nothing can shut a passer down, and connecting waits for the accept. */
/* Only on Linux: it looks in /proc whether a thread waits. */
#include "cancel.h"

/* What the call needs comes after the cancellation. */
static void given(const struct call *call)
{
    pthread_t thread;

    set_up(call->need);
    thread = start_call(call, 0);
    wait_until_inside();
    EQUAL(pthread_cancel(thread), 0);
    wait_until_inside();
    give(call->need);
    join_cancelled(thread);
    check_given(call->need, caller.result);
    tear_down();
}

/* A shutdown ends the wait. What waits in connect(2) notices only that the listener is closed. */
static void shut_down(const struct call *call)
{
    pthread_t thread;

    set_up(call->need);
    thread = start_call(call, 0);
    wait_until_inside();
    EQUAL(pthread_cancel(thread), 0);
    wait_until_inside();
    if (call->need == PLACE) {
        close(listener);
        listener = -1;
    } else {
        EQUAL(shutdown(call->need == CONNECTION ? listener : pair[call->need == MESSAGE], SHUT_RDWR), 0);
    }
    join_cancelled(thread);
    EQUAL(caller.result, call->error == 0 ? 0 : -1);
    if (call->error != 0)
        EQUAL(caller.error, call->error);
    tear_down();
}

/* The thread was cancelled before the call, which waits all the same. */
static void pending(const struct call *call)
{
    pthread_t thread;

    set_up(call->need);
    thread = start_call(call, 1);
    wait_until_inside();
    give(call->need);
    join_cancelled(thread);
    check_given(call->need, caller.result);
    tear_down();
}

static void test(void)
{
    for (size_t i = 0; i < LENGTH(calls); i++) {
        snprintf(round_name, sizeof round_name, "%s: ", calls[i].name);
        IN_CHILD(given(&calls[i]));
        if (calls[i].make != call_accept_timed) /* see accept_shut_down.c */
            IN_CHILD(shut_down(&calls[i]));
        IN_CHILD(pending(&calls[i]));
    }
}
