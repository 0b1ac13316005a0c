/* Room is proven by what the kernel goes by: by its limit, if that is lower than what getrlimit() says. In a roomy table one
 * proof is enough.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"

static int ends[2];

/* No slot is free, and getrlimit() says that there are many. */
static void lower_limit(void)
{
    int limited = played == MACOS || played == NETBSD || played == FREEBSD10 || played == FREEBSD14 || played == FREEBSD15;

    set_soft_limit(64);
    make_pair(ends);
    send_numbered(ends[0], 1, 1);
    fill_table();
    if (limited) {
        play_getrlimit = 4096;
        play_max_files = 64;
    }
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fd(ends[1]), EMFILE);
    empty_table();
    RECEIVED(fdpasser_recv_fd(ends[1]), 1);
    close_pair(ends);
}

/* The proof does without a duplicate, also for the largest message. */
static void roomy(void)
{
    make_pair(ends);
    for (size_t n = 1; n <= 126; n *= 2) {
        send_numbered(ends[0], 1, n);
        play_dups = 0;
        receive_numbered(ends[1], 1, n);
        EQUAL(play_dups, 0);
    }
    close_pair(ends);
}

/* The proof sees a single descriptor among the last numbers. */
static void one_in_the_way(void)
{
    int fd, limit = (int)soft_limit(), window = played == OPENBSD ? 128 : 254;

    for (int above = 1; above <= window; above += window / 2 - 1) {
        make_pair(ends);
        send_numbered(ends[0], 1, 1);
        EQUAL(fd = fcntl(ends[0], F_DUPFD_CLOEXEC, limit - above), limit - above);
        play_dups = 0;
        RECEIVED(fdpasser_recv_fd(ends[1]), 1);
        CHECK(play_dups > 0 || play_looks > 0);
        close(fd);
        close_pair(ends);
    }
}

static void test(void)
{
    IN_CHILD(lower_limit());
    IN_CHILD((set_soft_limit(1024), roomy()));
    IN_CHILD((set_soft_limit(1024), one_in_the_way()));
}
