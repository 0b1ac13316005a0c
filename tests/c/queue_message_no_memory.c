/* A shortage of memory never separates a descriptor from its data. Receiving pauses before anything is consumed, or the
 * queue fails. This program's malloc() says when there is none.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it stands in front of glibc's malloc(). */
#include "no_memory.h"
#include "queue_data.h"

static void test(void)
{
    unsigned char data[DATA];
    size_t len;
    int fd, next = 1;
    fdpasser *p[2];

    need_refusals();
    make_passers(p);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 10), 0);
    for (int i = 1; i <= 3; i++)
        push_with_data(p[0], i, 3000);
    send_all(p[0]);
    for (int turns = 0, state = 1; turns < 10 && state == 1 && next <= 3; turns++) {
        if (turns < 3)
            refuse_from = 2900, refuse_to = 3100;
        state = turn(p[1]);
        refuse_from = refuse_to = 0;
        if (state == -1)
            EQUAL(errno, ENOMEM);
        while ((fd = fdpasser_next_message(p[1], data, sizeof data, &len)) != -1) {
            RECEIVED(fd, next);
            HAS_DATA(data, len, next, 3000);
            next++;
        }
    }
    free_passers(p);
}
