/* A passer with queues, in a poll loop.
 *
 * Usage: queue data|plain send|recv COUNT PASSER
 *
 * With "plain" it neither sends data nor asks for it.
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
    int count, passer, fd, role = arguments(argc - 1, argv + 1, &count, &passer);
    int with_data = strcmp(argv[1], "data") == 0;
    fdpasser *p = fdpasser_new(passer);
    char *line, data[FDPASSER_MAX_DATA];
    size_t length;

    if (p == NULL)
        err(1, "fdpasser_new");
    if (role == 's') {
        fdpasser_set_max_queued(p, 16);
        for (int number = 1; number <= count; number++) {
            fd = numbered(number);
            length = with_data ? next_line(&line) : 0;
            while ((with_data ? fdpasser_push_send_message(p, fd, line, length) : fdpasser_push_send_fd(p, fd)) != 1) {
                if (errno != EAGAIN)
                    err(1, "push of %d", number);
                turn(p);
            }
        }
        while (fdpasser_queued(p) > 0)
            turn(p);
    } else {
        int number = 0, open;

        if (with_data && fdpasser_want_data(p, 1) != 0)
            err(1, "fdpasser_want_data");
        fdpasser_push_recv(p, 16);
        do {
            open = turn(p);
            while ((fd = with_data ? fdpasser_next_message(p, data, sizeof data, &length) : fdpasser_next_fd(p)) != -1) {
                if (++number > count)
                    errx(1, "more than %d came", count);
                check_number(fd, number);
                if (with_data)
                    print_data(number, data, length);
                fdpasser_push_recv(p, 1);
            }
        } while (open);
        if (number < count)
            errx(1, "the end came after %d", number);
    }
    fdpasser_free(p);
    return 0;
}
