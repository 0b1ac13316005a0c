/* More bytes without a descriptor than one message may have are EMSGSIZE for a queue that wants data. It does not drop
 * a byte and go on.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void test(void)
{
    static unsigned char text[DATA + 1];
    unsigned char data[DATA];
    int pair[2], one = numbered(1), fd;
    size_t len;
    fdpasser *p;

    memset(text, 'x', sizeof text);
    make_pair(pair);
    p = make_reader(pair[1], 10);
    hostile_send(pair[0], text, sizeof text, NULL, 0);
    hostile_send(pair[0], "", 1, &one, 1);
    close(one);
    for (int state = 1; state == 1;) {
        state = turn(p);
        if ((fd = fdpasser_next_message(p, data, sizeof data, &len)) != -1) {
            close(fd);
            EQUAL(len, DATA + 2); /* it cannot be right */
        }
    }
    ERRNO(fdpasser_process(p, POLLIN), EMSGSIZE);
    fdpasser_free(p);
    close(pair[0]);
}
