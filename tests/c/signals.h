/* What the programs about interrupted calls share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "check.h"

static volatile sig_atomic_t signals_seen;

HELPER void see_signal(int signal)
{
    (void)signal;
    signals_seen++;
}

/* Starts a child that sends this process SIGUSR1 every `interval_ms`, so that a waiting call cannot
 * miss it. Returns the child. A timer would not do: alarm() uses the only one that all systems
 * have. */
HELPER pid_t start_signals(int interval_ms)
{
    pid_t parent = getpid(), child;
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = see_signal; /* without SA_RESTART */
    EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    if ((child = spawn()) == 0) {
        while (getppid() == parent) {
            poll(NULL, 0, interval_ms);
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    return child;
}

HELPER void stop_signals(pid_t child)
{
    EQUAL(kill(child, SIGKILL), 0);
    while (waitpid(child, NULL, 0) == -1)
        EQUAL(errno, EINTR);
}

#endif
