/* A full table is reported under soft limits of 3 and less, and under a limit that was lowered
 * below the open descriptors.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void lowered(rlim_t limit)
{
    int pair[2];

    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 2);
    while (n_fillers == 0 || fillers[n_fillers - 1] < 600)
        fillers[n_fillers++] = fcntl(0, F_DUPFD_CLOEXEC, 3);
    set_soft_limit(limit);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    ERRNO(fdpasser_socketpair((int[2]){0, 0}), EMFILE);

    /* Free slots above the limit are of no use. */
    free_slots(5);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    close(fillers[2]);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    if (!SYSV)
        ERRNO(fdpasser_recv_fds(pair[1], (int[2]){0, 0}, 2), EMFILE);
    close(fillers[4]);
    receive_numbered(pair[1], 2, 2);
    fillers[2] = fillers[--n_fillers];
    fillers[4] = fillers[--n_fillers];
    empty_table();
    close_pair(pair);
}

static void tiny(rlim_t limit)
{
    int pair[2], eof[2];

    make_pair(pair);
    make_pair(eof);
    send_numbered(pair[0], 1, 1);
    close(eof[0]);
    set_soft_limit(limit);
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    EQUAL(fdpasser_recv_fd(eof[1]), 0);
    ERRNO(fdpasser_socketpair((int[2]){0, 0}), EMFILE);
    /* One descriptor is in flight already. An unprivileged user may have only as many as the
     * limit. */
    CHECK(fdpasser_send_fd(pair[1], 1) == 1 || errno == ETOOMANYREFS);
    close(eof[1]);
    close_pair(pair);
}

/* With a limit of 0 poll(2) fails instead of waiting. That passes with time, as every full table
 * does. */
static void waiting_with_none(int passer)
{
    set_soft_limit(0);
    ERRNO(fdpasser_recv_fd(passer), EMFILE);
    ERRNO(fdpasser_recv_fds(passer, (int[2]){0, 0}, 2), EMFILE);
    CHECK(fdpasser_retry_ms(EMFILE) > 0);
}

/* The three numbers within the limit do not count. */
static void tiny_without_stdin(void)
{
    close(0);
    tiny(3);
    EQUAL(open("/dev/null", O_RDWR), 0);
}

static void test(void)
{
    static const rlim_t limits[] = {16, 64, 100, 256, 321, 512};
    int pair[2];

    for (size_t i = 0; i < LENGTH(limits); i++)
        IN_CHILD(lowered(limits[i]));
    for (rlim_t limit = SYSV; limit <= 3; limit++) /* poll(2) needs a limit of 1 */
        IN_CHILD(tiny(limit));
    IN_CHILD(tiny_without_stdin());
    make_pair(pair);
    IN_CHILD(waiting_with_none(pair[1]));
    close_pair(pair);
}
