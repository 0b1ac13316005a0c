/* A process that was started as a service manager starts one: a child with descriptors from 3 up, and the four
 * variables.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef INHERITED_H
#define INHERITED_H

#include "check.h"

/* Sets a variable, or removes it if `value` is NULL. */
HELPER void variable(const char *name, const char *value)
{
    EQUAL(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* The number of this process, and of another one, as text. */
HELPER const char *own_pid(void)
{
    static char text[20];

    snprintf(text, sizeof text, "%ld", (long)getpid());
    return text;
}

/* Opens `n` numbered files at 3 and up, as after an exec: not close-on-exec. check.h has closed what was there. */
HELPER void hand_down(int n)
{
    for (int i = 0; i < n; i++) {
        int fd = numbered(i);

        EQUAL(fd, 3 + i);
        EQUAL(fcntl(fd, F_SETFD, 0), 0);
    }
}

/* The variables of a manager that hands down what `fds` says, with these names, to this process. */
HELPER void announce(const char *fds, const char *names)
{
    variable("LISTEN_PID", own_pid());
    variable("LISTEN_PIDFDID", NULL);
    variable("LISTEN_FDS", fds);
    variable("LISTEN_FDNAMES", names);
}

/* Runs `statement` in a process that was handed `n` descriptors, and closes them. On valgrind other inherited descriptors may
 * be in their place. */
#define AS_SERVICE(n, statement)                                                                   \
    do {                                                                                           \
        pid_t service_ = spawn();                                                                  \
                                                                                                   \
        if (service_ == 0) {                                                                       \
            for (int fd_ = 3; fd_ < 20; fd_++)                                                     \
                close(fd_);                                                                        \
            IN_CHILD({                                                                             \
                hand_down(n);                                                                      \
                statement;                                                                         \
                for (int fd_ = 3; fd_ < 3 + (n); fd_++)                                            \
                    close(fd_);                                                                    \
            });                                                                                    \
            _exit(0);                                                                              \
        }                                                                                          \
        join(service_);                                                                            \
    } while (0)

HELPER void check_untouched(int n)
{
    for (int fd = 3; fd < 3 + n; fd++) {
        EQUAL(is_close_on_exec(fd), 0);
        EQUAL(number_of(fd), fd - 3);
    }
}

#endif
