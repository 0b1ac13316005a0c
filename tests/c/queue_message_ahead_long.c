/* Bytes that come ahead and the data of the next message are too long together. That is the end: no later descriptor
 * comes, and none has data that belongs to another one.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void test(void)
{
    unsigned char data[DATA];
    int pair[2], fd, wrong = 0;
    size_t len;
    fdpasser *p;

    make_pair(pair);
    p = make_reader(pair[1], 10);
    make_data(data, 1, DATA);
    hostile_send(pair[0], data, 4000, NULL, 0);
    EQUAL(turn(p), 1); /* alone, so that they do not come joined */
    EQUAL(send_with_data(pair[0], 1, 1, 200), 1);
    EQUAL(send_with_data(pair[0], 2, 1, 10), 1);
    EQUAL(send_with_data(pair[0], 3, 1, 20), 1);
    for (int state = 1; state == 1;) {
        state = turn(p);
        while ((fd = fdpasser_next_message(p, data, sizeof data, &len)) != -1) {
            int number = number_of(fd);

            close(fd);
            printf("descriptor %d came with %zu bytes\n", number, len);
            /* Descriptor 1 may come, as long as it is not said to have no data. */
            if (number != 1 || len == 0)
                wrong++;
        }
    }
    ERRNO(fdpasser_process(p, POLLIN), EMSGSIZE);
    fdpasser_free(p);
    EQUAL(wrong, 0);
    close(pair[0]);
}
