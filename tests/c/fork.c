/* After a fork both processes can use the library, over the two ends of a pair and over the same
 * end.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

enum { ROUNDS = 50 };

static void ping_pong(int passer, int mine, int theirs)
{
    for (int i = 0; i < ROUNDS; i++) {
        send_numbered(passer, mine + i, 1);
        RECEIVED(fdpasser_recv_fd(passer), theirs + i);
    }
}

static void test(void)
{
    int pair[2], got = 0, fd;
    pid_t child;

    make_pair(pair);
    /* Use the pair before the fork too. */
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);

    if ((child = spawn()) == 0) {
        close(pair[0]);
        ping_pong(pair[1], 1000, 2000);
        _exit(0);
    }
    ping_pong(pair[0], 2000, 1000);
    join(child);

    /* What was sent before the fork goes to the process that asks first. */
    send_numbered(pair[0], 5, 1);
    send_numbered(pair[0], 6, 1);
    IN_CHILD(RECEIVED(fdpasser_recv_fd(pair[1]), 5));
    RECEIVED(fdpasser_recv_fd(pair[1]), 6);

    /* Both processes send over one end. */
    if ((child = spawn()) == 0) {
        for (int i = 0; i < ROUNDS; i++)
            send_numbered(pair[0], 100 + i, 1);
        _exit(0);
    }
    for (int i = 0; i < ROUNDS; i++)
        send_numbered(pair[0], 100 + i, 1);
    join(child);
    close(pair[0]);
    while ((fd = fdpasser_recv_fd(pair[1])) > 0) {
        int number = number_of(fd);

        CHECK(number >= 100 && number < 100 + ROUNDS);
        close(fd);
        got++;
    }
    EQUAL(fd, 0);
    EQUAL(got, 2 * ROUNDS);
    close(pair[1]);
}
