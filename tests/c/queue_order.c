/* Two processes with poll loops send to each other at once, from queues. Every descriptor arrives
 * in order, and the end is orderly.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

enum { TOTAL = 3000 };

static void both_ways(fdpasser *p, unsigned per_message, int mine, int theirs)
{
    int pushed = 0, received = 0, asked = 0;

    EQUAL(fdpasser_set_per_message(p, per_message), 0);
    for (;;) {
        int fd;

        while ((fd = fdpasser_next_fd(p)) > 0)
            RECEIVED(fd, theirs + received++);
        EQUAL(errno, EAGAIN);
        /* Push some at a time and out of step with the loop, as a program does. */
        for (int i = 0; i < 37 && pushed < TOTAL && fdpasser_queued(p) < 200; i++)
            push_numbered(p, mine + pushed++);
        if (asked - received < 10 && asked < TOTAL) {
            int more = asked % 90 + 1;

            if (more > TOTAL - asked)
                more = TOTAL - asked;
            EQUAL(fdpasser_push_recv(p, more), 0);
            asked += more;
        }
        if (received == TOTAL && pushed == TOTAL && fdpasser_queued(p) == 0)
            break;
        EQUAL(turn(p), 1);
    }
    EQUAL(asked, TOTAL);
}

static void run(unsigned per_message)
{
    fdpasser *p = fdpasser_new_pair();
    pid_t child;

    CHECK(p != NULL);
    if ((child = spawn()) == 0) {
        EQUAL(fdpasser_i_am_child(p), 0);
        both_ways(p, 1, 100000, 200000);
        /* The parent may still be sending. The end comes when it has freed its passer. */
        EQUAL(fdpasser_push_recv(p, 1), 0);
        EQUAL(end_of(p), 0);
        ERRNO(fdpasser_next_fd(p), EAGAIN);
        fdpasser_free(p);
        _exit(0);
    }
    EQUAL(fdpasser_i_am_parent(p), 0);
    OURS(fdpasser_fileno(p));
    CHECK(status_flags(fdpasser_fileno(p)) & O_NONBLOCK);
    both_ways(p, per_message, 200000, 100000);
    EQUAL(fdpasser_queued(p), 0);
    fdpasser_free(p);
    join(child);
}

static void test(void)
{
    run(1);
    run(16);
    run(MAX);
}
