/* A passer with queues, in a poll loop.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"
#include <poll.h>

/* Waits until there is something to do, and does it. */
static int turn(fdpasser *p)
{
    int events = fdpasser_events(p), state;
    struct pollfd found = {events != 0 ? fdpasser_fileno(p) : -1, (short)events, 0};

    if (poll(&found, 1, fdpasser_timeout_ms(p)) < 0 && errno != EINTR)
        err(1, "poll");
    if ((state = fdpasser_process(p, found.revents)) < 0)
        err(1, "fdpasser_process");
    return state;
}

int main(int argc, char **argv)
{
    int count, passer, fd, role = arguments(argc, argv, &count, &passer);
    fdpasser *p = fdpasser_new(passer);

    if (p == NULL)
        err(1, "fdpasser_new");
    if (role == 's') {
        fdpasser_set_max_queued(p, 16);
        for (int number = 1; number <= count; number++) {
            fd = numbered(number);
            while (fdpasser_push_send_fd(p, fd) != 1) {
                if (errno != EAGAIN)
                    err(1, "fdpasser_push_send_fd");
                turn(p);
            }
        }
        while (fdpasser_queued(p) > 0)
            turn(p);
    } else {
        int number = 0, open;

        fdpasser_push_recv(p, 16);
        do {
            open = turn(p);
            while ((fd = fdpasser_next_fd(p)) != -1) {
                if (++number > count)
                    errx(1, "more than %d came", count);
                check_number(fd, number);
                fdpasser_push_recv(p, 1);
            }
        } while (open);
        if (number < count)
            errx(1, "the end came after %d", number);
    }
    fdpasser_free(p);
    return 0;
}
