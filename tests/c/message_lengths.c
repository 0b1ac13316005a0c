/* No length makes a call read or write beyond what the caller has. The buffers here end where an inaccessible page
 * begins. Nothing is sent or consumed by a call that is refused.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

/* `size` bytes with an inaccessible page behind them. */
static unsigned char *at_the_end(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    unsigned char *all = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(all != MAP_FAILED);
    EQUAL(mprotect(all + whole, page, PROT_NONE), 0);
    return all + whole - size;
}

static void test(void)
{
    static const size_t too_long[] = {DATA + 1, INT_MAX, (size_t)INT_MAX + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 1, SIZE_MAX};
    unsigned char *one = at_the_end(1), *data = at_the_end(DATA);
    int *fds = (int *)(void *)at_the_end(MAX * sizeof *fds), pair[2], fd;
    size_t len = 5;
    fdpasser *p[2];

    make_pair(pair);
    make_passers(p);
    fd = numbered(1);
    for (size_t i = 0; i < LENGTH(too_long); i++) {
        ERRNO(fdpasser_send_message(pair[0], &fd, 1, one, too_long[i]), EMSGSIZE);
        ERRNO(fdpasser_send_message(pair[0], &fd, 1, NULL, too_long[i]), EFAULT);
        ERRNO(fdpasser_push_send_message(p[0], fd, one, too_long[i]), EMSGSIZE);
        ERRNO(fdpasser_push_send_message(p[0], fd, NULL, too_long[i]), EFAULT);
    }
    EQUAL(fdpasser_queued(p[0]), 0);
    for (size_t i = 0; i < LENGTH(too_long); i++)
        if (too_long[i] > INT_MAX) /* no array has so many descriptors */
            ERRNO(fdpasser_send_message(pair[0], fds, too_long[i], one, 1), EINVAL);
    check_nothing_waits(pair[1]);

    /* No data at all. */
    EQUAL(fdpasser_send_message(pair[0], &fd, 1, NULL, 0), 1);
    EQUAL(fdpasser_send_message(pair[0], &fd, 1, "", 1), 1);
    receive_with_data(pair[1], 1, 1, 0);
    receive_with_data(pair[1], 1, 1, 0);

    /* Arrays that end with the page, and more room than there is said to be. */
    make_data(data, 1, DATA);
    EQUAL(fdpasser_send_message(pair[0], &fd, 1, data, DATA), 1);
    for (size_t room = 0; room < DATA; room += room < DATA - 1 ? DATA - 1 : 1)
        ERRNO(fdpasser_recv_message(pair[1], fds, MAX, data, room, &len), EINVAL);
    for (size_t i = 1; i < LENGTH(too_long); i++)
        if (too_long[i] > INT_MAX)
            ERRNO(fdpasser_recv_message(pair[1], fds, too_long[i], data, DATA, &len), EINVAL);
    EQUAL(len, 5);
    memset(data, 0, DATA);
    EQUAL(fdpasser_recv_message(pair[1], fds, MAX, data, SIZE_MAX, &len), 1);
    RECEIVED(fds[0], 1);
    HAS_DATA(data, len, 1, DATA);

    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 1), 0);
    push_with_data(p[0], 2, DATA);
    send_all(p[0]);
    EQUAL(turn(p[1]), 1);
    ERRNO(fdpasser_next_message(p[1], data, 0, &len), EINVAL);
    ERRNO(fdpasser_next_message(p[1], NULL, SIZE_MAX, &len), EFAULT);
    close(fd);
    fd = fdpasser_next_message(p[1], data, SIZE_MAX, &len);
    RECEIVED(fd, 2);
    HAS_DATA(data, len, 2, DATA);
    ERRNO(fdpasser_next_message(p[1], data, DATA, &len), EAGAIN);
    EQUAL(len, DATA);
    free_passers(p);
    close_pair(pair);
}
