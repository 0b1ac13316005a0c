/* Two processes receive from one end. Each message reaches exactly one of them, with its own data, also if a
 * receiver has slots for just one message.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

enum { TOTAL = 1000 };

static size_t length_of(int number)
{
    return 4 + (size_t)number * 89 % (DATA - 4);
}

/* Writes the number of each message's first descriptor to `report`. */
static void receive_all(int passer, int report, size_t per_message, int tight)
{
    unsigned char data[DATA];
    int fds[MAX];
    ssize_t n;
    size_t len;

    if (tight) {
        set_soft_limit(64);
        fill_table();
        free_slots(per_message);
    }
    while ((n = fdpasser_recv_message(passer, fds, MAX, data, sizeof data, &len)) > 0) {
        int number = number_of(fds[0]);

        EQUAL(n, (ssize_t)per_message);
        for (int i = 0; i < n; i++)
            RECEIVED(fds[i], number + i);
        HAS_DATA(data, len, number, length_of(number));
        EQUAL(write(report, &number, sizeof number), sizeof number);
    }
    EQUAL(n, 0);
}

static void run(size_t per_message, int tight)
{
    int pair[2], report[2], number, seen[TOTAL] = {0}, total = 0;
    pid_t children[2];

    make_pair(pair);
    EQUAL(pipe(report), 0);
    for (int i = 0; i < 2; i++)
        if ((children[i] = spawn()) == 0) {
            close(pair[0]);
            close(report[0]);
            receive_all(pair[1], report[1], per_message, tight);
            _exit(0);
        }
    close(pair[1]);
    close(report[1]);
    for (int i = 0; i < TOTAL; i += (int)per_message)
        EQUAL(send_with_data(pair[0], i, per_message, length_of(i)), (ssize_t)per_message);
    close(pair[0]);
    while (read(report[0], &number, sizeof number) == sizeof number) {
        CHECK(number >= 0 && number < TOTAL);
        EQUAL(seen[number]++, 0);
        total += (int)per_message;
    }
    EQUAL(total, TOTAL);
    join(children[0]);
    join(children[1]);
    close(report[0]);
}

static void test(void)
{
    run(1, 0);
    run(5, 0);
    run(1, 1);
    run(5, 1);
}
