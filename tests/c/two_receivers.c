/* Two processes receive from one end, as a pre-forked pool does. Each of 1,000 descriptors reaches
 * exactly one of them, in blocking mode or not, and also if a receiver has slots for just one
 * message.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

enum { TOTAL = 1000 };

/* Writes the number of each descriptor that it receives to `report`. */
static void receive_all(int passer, int report, int wait, size_t slots)
{
    int fds[MAX];
    ssize_t n;

    if (slots > 0) {
        set_soft_limit(64);
        fill_table();
        free_slots(slots);
    }
    for (;;) {
        n = fdpasser_recv_fds(passer, fds, MAX);
        if (n == -1 && errno == EAGAIN && wait) {
            poll(&(struct pollfd){passer, POLLIN, 0}, 1, -1);
            continue;
        }
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            int number = number_of(fds[i]);

            RECEIVED(fds[i], number);
            EQUAL(write(report, &number, sizeof number), sizeof number);
        }
    }
    EQUAL(n, 0);
}

static void run(int nonblocking, size_t per_message, size_t slots)
{
    int pair[2], report[2], number, seen[TOTAL] = {0}, total = 0;
    pid_t children[2];

    make_pair(pair);
    EQUAL(pipe(report), 0);
    set_nonblocking(pair[1], nonblocking);
    for (int i = 0; i < 2; i++)
        if ((children[i] = spawn()) == 0) {
            close(pair[0]);
            close(report[0]);
            receive_all(pair[1], report[1], nonblocking, slots);
            _exit(0);
        }
    close(pair[1]);
    close(report[1]);
    for (int i = 0; i < TOTAL; i += (int)per_message)
        send_numbered(pair[0], i, per_message);
    close(pair[0]);
    while (read(report[0], &number, sizeof number) == sizeof number) {
        CHECK(number >= 0 && number < TOTAL);
        EQUAL(seen[number]++, 0);
        total++;
    }
    EQUAL(total, TOTAL);
    join(children[0]);
    join(children[1]);
    close(report[0]);
}

/* One of the two has a full table. What waits goes to the other. */
static void one_is_full(void)
{
    int pair[2];

    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    IN_CHILD((set_soft_limit(32), fill_table(), ERRNO(fdpasser_recv_fd(pair[1]), EMFILE),
              empty_table()));
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
}

static void test(void)
{
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        run(nonblocking, 1, 0);
        run(nonblocking, 20, 0);
        run(nonblocking, 1, 1);
        run(nonblocking, 20, 20);
    }
    one_is_full();
}
