/* If a message carries more descriptors than there are free slots, the call returns EMFILE and
 * consumes nothing. This holds for every number of slots that is too small.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "check.h"

static void with(rlim_t limit, size_t n, size_t step)
{
    int pair[2], fds[MAX], open_now;
    size_t slots = 0;

    set_soft_limit(limit);
    make_pair(pair);
    send_numbered(pair[0], 100, n);
    fill_table();
    open_now = open_descriptors();

    while (slots < n) {
        memset(fds, -1, sizeof fds);
        ERRNO(fdpasser_recv_fds(pair[1], fds, n), EMFILE);
        EQUAL(fds[0], -1);
        /* The array is also too small. EMSGSIZE says so only when there is room. */
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
        EQUAL(open_descriptors(), open_now);

        size_t more = n - slots < step ? n - slots : step;
        free_slots(more);
        slots += more;
        open_now -= (int)more;
    }
    receive_numbered(pair[1], 100, n);

    /* A caller's array that is too small is reported once there is room. */
    send_numbered(pair[0], 1, 1);
    close(fdpasser_recv_fd(pair[1]));
    empty_table();
    send_numbered(pair[0], 100, n);
    send_numbered(pair[0], 7, 1);
    fill_table();
    free_slots(n - 1);
    ERRNO(fdpasser_recv_fds(pair[1], fds, n - 1), EMFILE);
    free_slots(1);
    ERRNO(fdpasser_recv_fds(pair[1], fds, n - 1), EMSGSIZE);
    RECEIVED(fdpasser_recv_fd(pair[1]), 7);
    empty_table();
    close_pair(pair);
}

/* The kernel's table doubles when it is full. Here its present size is all taken, and `room` slots
 * are left between that and the limit. */
static void beyond(int size, int room)
{
    int pair[2], fds[MAX], file = numbered(1);

    make_pair(pair);
    for (int i = 0; i < MAX; i++)
        fds[i] = file; /* the same file, because so many files would make the table grow */
    hostile_send(pair[0], "", 1, fds, MAX);
    send_numbered(pair[0], 2, 1);
    set_soft_limit((rlim_t)(size + room));
    do
        fillers[n_fillers] = fcntl(file, F_DUPFD_CLOEXEC, 3);
    while (fillers[n_fillers++] < size - 1);

    if (room < MAX) {
        ERRNO(fdpasser_recv_fds(pair[1], fds, MAX), EMFILE);
        if (n_fillers < (size_t)(MAX - room)) { /* there can never be room */
            empty_table();
            close(file);
            close_pair(pair);
            return;
        }
        free_slots((size_t)(MAX - room));
    }
    EQUAL(fdpasser_recv_fds(pair[1], fds, MAX), MAX);
    for (int i = 0; i < MAX; i++)
        RECEIVED(fds[i], 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    empty_table();
    close(file);
    close_pair(pair);
}

static void test(void)
{
    static const struct {
        rlim_t limit;
        size_t n, step;
    } cases[] = {{32, 16, 1},    {64, 16, 1},    {320, 16, 1},   {1024, 2, 1},
                 {300, 253, 13}, {512, 253, 13}, {576, 253, 51}, {1024, 253, 63}};
    static const int sizes[] = {64, 256, 512, 1024};
    static const int rooms[] = {1, 64, 128, 192, 250, 252, 253, 255, 256, 257, 320};

    for (size_t i = 0; i < LENGTH(cases); i++)
        IN_CHILD(with(cases[i].limit, cases[i].n, cases[i].step));
    /* Valgrind keeps descriptors with high numbers, so its table has the full size from the
     * start. */
    for (size_t i = 0; i < LENGTH(sizes) && !on_valgrind(); i++)
        for (size_t k = 0; k < LENGTH(rooms); k++)
            if ((rlim_t)(sizes[i] + rooms[k]) <= hard_limit())
                IN_CHILD(beyond(sizes[i], rooms[k]));
}
