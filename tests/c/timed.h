/* What the programs about calls with a deadline share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef TIMED_H
#define TIMED_H

#include "signals.h"

enum { LONG = 1000 * DEADLINE }; /* in milliseconds */

/* Checks that `call` ends with ETIMEDOUT after so many milliseconds, and not before. */
#define TIMES_OUT(call, ms)                                                                        \
    do {                                                                                           \
        long long start_ = microseconds();                                                         \
                                                                                                   \
        ERRNO((call), ETIMEDOUT);                                                                  \
        CHECK(microseconds() - start_ >= (ms) * 1000LL);                                           \
        CHECK(microseconds() - start_ < (ms) * 1000LL + 20000000);                                 \
    } while (0)

/* Starts a child that runs `statement` once this process waits. */
#define WHEN_ASLEEP(statement)                                                                     \
    do {                                                                                           \
        pid_t parent_ = getpid();                                                                  \
                                                                                                   \
        if ((helper = spawn()) == 0) {                                                             \
            wait_until_asleep(parent_);                                                            \
            statement;                                                                             \
            _exit(0);                                                                              \
        }                                                                                          \
    } while (0)

static __attribute__((unused)) pid_t helper;

/* Signals interrupt calls from here on, with these flags of sigaction(2). */
HELPER pid_t start_signals_with(int flags)
{
    pid_t sender = start_signals(5);
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = see_signal;
    action.sa_flags = flags;
    EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    return sender;
}

#endif
