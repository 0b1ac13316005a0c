/* No shortage of memory ends the process. Whatever allocation fails, the queue pauses, or it reports ENOMEM. This program's
 * malloc() says when there is none.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it stands in front of glibc's malloc(). */
#include "no_memory.h"
#include "queue_data.h"

static void test(void)
{
    need_refusals();
    for (size_t size = 8; size <= 8192; size *= 2) {
        fdpasser *p[2];
        int fd;
        pid_t pid = spawn();

        if (pid == 0) {
            make_passers(p);
            EQUAL(fdpasser_want_data(p[1], 1), 0);
            EQUAL(fdpasser_push_recv(p[1], 100), 0);
            for (int i = 1; i <= 40; i++)
                push_with_data(p[0], i, 200);
            send_all(p[0]);
            refuse_from = size, refuse_to = 2 * size;
            for (int i = 0; i < 3; i++)
                if (fdpasser_process(p[1], POLLIN) == -1)
                    EQUAL(errno, ENOMEM);
            refuse_from = refuse_to = 0;
            while ((fd = fdpasser_next_fd(p[1])) != -1)
                close(fd);
            free_passers(p);
            _exit(0);
        }
        printf("without %zu to %zu bytes\n", size, 2 * size - 1);
        join(pid);
    }
}
