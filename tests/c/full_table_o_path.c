/* O_PATH descriptors take slots like all others, although poll(2) reports them as not open.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

#ifdef O_PATH
static void full_of_o_path(rlim_t limit, size_t on_top)
{
    int pair[2], path = open("/", O_PATH | O_CLOEXEC);

    CHECK(path >= 0);
    set_soft_limit(limit);
    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 2);
    if (on_top > 0) {
        fill_table();
        free_slots(on_top);
    }
    fill_table_with(path);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    if (!SYSV)
        ERRNO(fdpasser_recv_fds(pair[1], &(int){0}, 1), EMFILE);
    free_slots(1);
    receive_numbered(pair[1], 2, 2);
    empty_table();
    close_pair(pair);

    /* O_PATH descriptors can be passed too. */
    make_pair(pair);
    EQUAL(fdpasser_send_fd(pair[0], path), 1);
    close(path);
    path = fdpasser_recv_fd(pair[1]);
    OURS(path);
    CHECK(status_flags(path) & O_PATH);
    close(path);
    close_pair(pair);
}

static void test(void)
{
    static const rlim_t limits[] = {64, 512, 1024, 1088, 4096};

    for (size_t i = 0; i < LENGTH(limits); i++)
        for (size_t on_top = 0; on_top <= 300; on_top += 150)
            if ((rlim_t)on_top + 20 <= limits[i])
                IN_CHILD(full_of_o_path(limits[i], on_top));
}
#else
static void test(void)
{
    SKIP("this system has no O_PATH");
}
#endif
