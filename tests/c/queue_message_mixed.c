/* Whatever per_message says, a descriptor with data is alone in its message, and those without data are joined only
 * with their neighbours. The receiver reads the messages as they are on the wire.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

/* Bit i of `pattern` says whether descriptor i has data. */
static void mixed(unsigned pattern, int n, unsigned per_message)
{
    unsigned char data[DATA];
    int pair[2], fds[MAX], run;
    size_t len;
    fdpasser *p;

    snprintf(round_name, sizeof round_name, "pattern %x, per_message %u: ", pattern, per_message);
    make_pair(pair);
    p = make_passer(pair[0]);
    EQUAL(fdpasser_set_per_message(p, per_message), 0);
    for (int i = 0; i < n; i++)
        push_with_data(p, 1 + i, pattern >> i & 1 ? 2 + (size_t)i * 111 : 0);
    send_all(p);
    for (int i = 0; i < n; i += run) {
        for (run = 1; !(pattern >> i & 1) && run < (int)per_message && i + run < n && !(pattern >> (i + run) & 1);)
            run++;
        EQUAL(fdpasser_recv_message(pair[1], fds, MAX, data, sizeof data, &len), run);
        for (int k = 0; k < run; k++)
            RECEIVED(fds[k], 1 + i + k);
        HAS_DATA(data, len, 1 + i, pattern >> i & 1 ? 2 + (size_t)i * 111 : 0);
    }
    check_nothing_waits(pair[1]);
    fdpasser_free(p);
    close(pair[1]);
}

static void test(void)
{
    for (unsigned pattern = 0; pattern < 1 << 10; pattern += on_valgrind() ? 37 : 1)
        mixed(pattern, 10, 7);
    for (unsigned per_message = 1; per_message <= MAX; per_message += 36)
        mixed(0x248, 20, per_message);
    mixed(0x10000, 25, 7);
}
