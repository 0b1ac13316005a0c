/* Slots 0, 1 and 2 do not count. If only those are free, the table is full and nothing is consumed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void without_stdio(unsigned closed, size_t n)
{
    int pair[2], fds[16];

    set_soft_limit(64);
    make_pair(pair);
    send_numbered(pair[0], 100, n);
    for (int fd = 0; fd < 3; fd++)
        if (closed & 1U << fd)
            close(fd);
    fill_table();
    for (size_t slots = 0; slots < n; slots++) {
        ERRNO(fdpasser_recv_fds(pair[1], fds, 16), EMFILE);
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
        free_slots(1);
    }
    receive_numbered(pair[1], 100, n);
    for (int fd = 0; fd < 3; fd++)
        EQUAL(fcntl(fd, F_GETFD) == -1, closed >> fd & 1U);
    empty_table();
    close_pair(pair);
}

static void test(void)
{
    static const size_t sizes[] = {1, 2, 3, 16};

    for (unsigned closed = 1; closed < 8; closed++)
        for (size_t i = 0; i < (SYSV ? 1 : LENGTH(sizes)); i++) {
            pid_t pid = spawn();

            if (pid == 0) {
                without_stdio(closed, sizes[i]);
                _exit(0);
            }
            join(pid);
        }
}
