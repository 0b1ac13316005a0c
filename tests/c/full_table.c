/* A full table is EMFILE and nothing is consumed, however often one tries. The same call succeeds
 * once a slot is free. An empty socket is still EAGAIN, and the end of file is still 0.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void with_limit(rlim_t limit)
{
    int pair[2], plain[2], none[2], eof[2];

    set_soft_limit(limit);
    make_pair(pair);
    make_pair(plain);
    make_pair(none);
    make_pair(eof);
    for (int i = 1; i <= 3; i++)
        send_numbered(pair[0], i, 1);
    hostile_send(pair[0], "x", 1, NULL, 0);
    send_numbered(pair[0], 4, 1);
    hostile_send(plain[0], "x", 1, NULL, 0);
    close(eof[0]);
    fill_table();

    for (int i = 0; i < 5; i++) {
        int fds[2] = {-7, -8};

        /* Both are in blocking mode, and waiting would never end. */
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
        ERRNO(fdpasser_recv_fds(pair[1], fds, 2), EMFILE);
        ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EMFILE);
        CHECK(fds[0] == -7 && fds[1] == -8);
        CHECK(fdpasser_retry_ms(EMFILE) > 0);
    }
    /* Sending takes no slot. */
    EQUAL(fdpasser_send_fd(pair[0], pair[0]), 1);
    /* A plain byte looks like one with a descriptor, except in SysV mode. */
    if (!SYSV)
        for (int i = 0; i < 3; i++)
            ERRNO(fdpasser_recv_fd(plain[1]), EMFILE);
    /* Nothing that waits in these needs a slot. */
    ERRNO(fdpasser_try_recv_fds(none[1], &(int){0}, 1), EAGAIN);
    EQUAL(fdpasser_recv_fd(eof[1]), 0);
    EQUAL(fdpasser_recv_fd(eof[1]), 0);

    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    /* A slot anywhere will do, not only the highest. */
    close(fillers[0]);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3);
    fillers[0] = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
    /* The byte waits for a slot as well, and is consumed when there is one. What stands behind it may come with it. */
    ERRNO(fdpasser_recv_fd(pair[1]), SYSV ? EBADMSG : EMFILE);
    free_slots(1);
    ERRNO(fdpasser_recv_fd(plain[1]), EBADMSG);
    ERRNO(fdpasser_try_recv_fds(plain[1], &(int){0}, 1), EAGAIN);
    RECEIVED(fdpasser_recv_fd(pair[1]), 4);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    empty_table();
    close(fdpasser_recv_fd(pair[1])); /* pair[0] itself */

    close_pair(pair);
    close_pair(plain);
    close_pair(none);
    close(eof[1]);
}

static void test(void)
{
    /* Limits around the sizes at which the kernel's table grows. */
    static const rlim_t limits[] = {16, 63, 64, 65, 255, 256, 257, 319, 320, 384, 512, 1000, 1024,
                                    1025, 1344, 2048, 4096};

    for (size_t i = 0; i < LENGTH(limits); i++)
        IN_CHILD(with_limit(limits[i]));
}
