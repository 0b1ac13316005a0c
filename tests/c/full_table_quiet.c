/* The table is full up to the size at which the kernel has to enlarge it, with descriptors that
 * select(2) never reports as ready. Even then no more is taken than there is room for.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "check.h"

enum { SIZE = 512, MESSAGES = 3 };

static int fds[MESSAGES * MAX];
static int expected;

/* The slots from 3 to SIZE - 1 are taken. Those from SIZE to limit - 1 are free. */
static void with(rlim_t limit, unsigned messages, size_t each)
{
    int pair[2], quiet[2], status, first = n_fillers, free_now = (int)limit - SIZE;
    ssize_t n;

    set_soft_limit(limit);
    make_pair(pair);
    make_pair(quiet);
    for (unsigned i = 0; i < MESSAGES; i++)
        send_numbered(pair[0], (int)(i * each), each);
    for (int fd; (fd = fcntl(quiet[0], F_DUPFD_CLOEXEC, 3)) < SIZE;) {
        CHECK(fd >= 3);
        fillers[n_fillers++] = fd;
        if (fd == SIZE - 1)
            break;
    }
    EQUAL(first, 0);
    expected = 0;
    while (expected < (int)(MESSAGES * each)) {
        if (messages == 0) {
            n = fdpasser_try_recv_fds(pair[1], fds, MAX);
            status = n == -1 ? -errno : 1;
        } else {
            n = fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), messages, &status);
        }
        if (n > 0) {
            CHECK(n <= free_now);
            for (ssize_t i = 0; i < n; i++)
                EQUAL(number_of(fds[i]), expected++);
            for (ssize_t i = 0; i < n; i++)
                close(fds[i]);
        }
        if (status == -EMFILE) {
            CHECK(free_now - (n > 0 ? (int)n : 0) < (int)each);
            if (n > 0)
                continue;
            free_slots(10);
            free_now += 10;
        } else {
            CHECK(status == 1 || (status == -EAGAIN && expected == (int)(MESSAGES * each)));
        }
    }
    empty_table();
    close_pair(quiet);
    close_pair(pair);
}

static void test(void)
{
    static const size_t sizes[] = {1, 100, 200, MAX};

    rlim_t highest = hard_limit() < 1300 ? hard_limit() : 1300;

    for (rlim_t limit = SIZE + 1; limit <= highest; limit += on_valgrind() ? 205 : 41)
        for (size_t i = 0; i < LENGTH(sizes); i++)
            for (unsigned messages = 0; messages <= MESSAGES; messages += MESSAGES)
                IN_CHILD(with(limit, messages, sizes[i]));
}
