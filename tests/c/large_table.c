/* With a thousand to sixty-five thousand descriptors open, messages of every size are received, and
 * a full table is still reported.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void exchange(const int pair[2])
{
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    send_numbered(pair[0], 1, 16);
    receive_numbered(pair[1], 1, 16);
    send_numbered(pair[0], 1, MAX);
    receive_numbered(pair[1], 1, MAX);
    if (SYSV)
        return;
    send_numbered(pair[0], 1, MAX);
    ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
}

static void grow_to(int open_now)
{
    int last = n_fillers ? fillers[n_fillers - 1] : 0;

    for (; last < open_now; last = fillers[n_fillers++]) {
        fillers[n_fillers] = fcntl(0, F_DUPFD_CLOEXEC, 3);
        CHECK(fillers[n_fillers] != -1);
    }
}

static void with_limit(rlim_t limit)
{
    static const int sizes[] = {700, 1000, 1030, 1100, 4000, 9000, 16000, 17000, 33000, 65300, 65600};
    int pair[2];

    set_soft_limit(limit);
    make_pair(pair);
    exchange(pair);
    for (size_t i = 0; i < LENGTH(sizes) && sizes[i] + 600 < (int)limit; i++) {
        grow_to(sizes[i]);
        exchange(pair);
    }
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 200);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    close(fillers[500]);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    fillers[500] = fcntl(0, F_DUPFD_CLOEXEC, 3);
    free_slots(199);
    if (!SYSV)
        ERRNO(fdpasser_recv_fds(pair[1], &(int){0}, 1), EMFILE);
    free_slots(1);
    receive_numbered(pair[1], 2, 200);
    empty_table();
    /* The table never becomes smaller again. */
    exchange(pair);
    close_pair(pair);
}

static void beyond_hard_limit(rlim_t limit)
{
    struct rlimit both = {limit, limit};

    if (setrlimit(RLIMIT_NOFILE, &both) == 0)
        with_limit(limit);
}

static void test(void)
{
    rlim_t hard = hard_limit();

    if (hard < 10000)
        SKIP("the hard limit is %lu descriptors; this needs 10000", (unsigned long)hard);
    if (on_valgrind() && hard > 20000)
        hard = 20000; /* valgrind searches a list for each descriptor */
    IN_CHILD(with_limit(hard < 100000 ? hard : 100000));
    IN_CHILD(with_limit(9700));
    if (!on_valgrind())
        IN_CHILD(beyond_hard_limit(70000)); /* if we have the right to */
}
