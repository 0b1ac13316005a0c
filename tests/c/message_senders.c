/* Several processes send on one end, over a small buffer, so that they wait for each other. Each message's
 * descriptors and data belong together, and those of one sender come in order.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

enum { SENDERS = 4, MESSAGES = 500 };

static size_t length_of(int number)
{
    return 4 + (size_t)number * 97 % 2040;
}

static void test(void)
{
    unsigned char data[DATA];
    int pair[2], fds[MAX], next[SENDERS] = {0}, total = 0;
    ssize_t n;
    size_t len;
    pid_t children[SENDERS];

    make_pair(pair);
    set_send_buffer(pair[0], 1);
    for (int s = 0; s < SENDERS; s++)
        if ((children[s] = spawn()) == 0) {
            close(pair[1]);
            for (int i = 0; i < MESSAGES; i++) {
                int number = s * 100000 + i * 10;

                EQUAL(send_with_data(pair[0], number, 1 + (size_t)i % 3, length_of(number)), 1 + i % 3);
            }
            _exit(0);
        }
    close(pair[0]);
    while ((n = fdpasser_recv_message(pair[1], fds, MAX, data, sizeof data, &len)) > 0) {
        int number = number_of(fds[0]), sender = number / 100000;

        CHECK(sender >= 0 && sender < SENDERS);
        EQUAL(number, sender * 100000 + next[sender] * 10);
        EQUAL(n, 1 + next[sender] % 3);
        for (int i = 0; i < n; i++)
            RECEIVED(fds[i], number + i);
        HAS_DATA(data, len, number, length_of(number));
        next[sender]++;
        total++;
    }
    EQUAL(n, 0);
    EQUAL(total, SENDERS * MESSAGES);
    for (int s = 0; s < SENDERS; s++)
        join(children[s]);
    close(pair[1]);
}
