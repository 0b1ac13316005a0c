/* If the only free slot is 3, the lowest that counts, a descriptor is received there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void only_three(rlim_t limit, int without_stdin)
{
    int pair[2], moved[2], fd, three;

    set_soft_limit(limit);
    three = fcntl(3, F_DUPFD_CLOEXEC, 10); /* valgrind has its report there */
    close(3);
    make_pair(pair);
    for (int i = 0; i < 2; i++) {
        moved[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, 10);
        CHECK(moved[i] >= 10);
        close(pair[i]);
    }
    send_numbered(moved[0], 1, 1);
    send_numbered(moved[0], 2, 1);
    fill_table();
    EQUAL(fillers[0], 3);
    ERRNO(fdpasser_recv_fd(moved[1]), EMFILE);
    close(3);
    if (without_stdin)
        close(0);
    fd = fdpasser_recv_fd(moved[1]);
    EQUAL(fd, 3);
    RECEIVED(fd, 1);
    if (without_stdin)
        EQUAL(fcntl(0, F_GETFD), -1);
    fd = fdpasser_recv_fd(moved[1]);
    EQUAL(fd, 3);
    RECEIVED(fd, 2);
    if (without_stdin)
        EQUAL(open("/dev/null", O_RDWR), 0);
    for (size_t i = 1; i < n_fillers; i++)
        close(fillers[i]);
    close_pair(moved);
    if (three != -1) {
        EQUAL(dup2(three, 3), 3);
        close(three);
    }
}

static void test(void)
{
    static const rlim_t limits[] = {64, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++)
        for (int without_stdin = 0; without_stdin < 2; without_stdin++)
            IN_CHILD(only_three(limits[i], without_stdin));
}
