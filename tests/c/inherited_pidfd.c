/* Only on Linux: other systems have no pidfds. */
/* LISTEN_PIDFDID tells this process from an earlier one with the same number, where the kernel has such numbers.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "inherited.h"

#include <sys/vfs.h>

static void pidfd(void)
{
    static const char *const nonsense[] = {"", "-1", "x", "18446744073709551616"};
    char text[30];
    struct stat st;
    struct statfs fs;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), known, before;

    if (fd < 0)
        SKIP("pidfd_open: %s", strerror(errno));
    EQUAL(fstat(fd, &st), 0);
    EQUAL(fstatfs(fd, &fs), 0);
    close(fd);
    known = fs.f_type == 0x50494446; /* pidfs */

    before = open_descriptors();
    announce("2", "a:b");
    snprintf(text, sizeof text, "%llu", (unsigned long long)st.st_ino);
    variable("LISTEN_PIDFDID", text);
    EQUAL(fdpasser_inherited(NULL, 0), 2);
    EQUAL(open_descriptors(), before);
    /* Of another process. An older kernel cannot tell. */
    snprintf(text, sizeof text, "%llu", (unsigned long long)st.st_ino + 1);
    variable("LISTEN_PIDFDID", text);
    EQUAL(fdpasser_inherited(NULL, 0), known ? 0 : 2);
    for (size_t i = 0; i < LENGTH(nonsense); i++) {
        variable("LISTEN_PIDFDID", nonsense[i]);
        ERRNO(fdpasser_inherited(NULL, 0), EINVAL);
    }
    /* Without a free slot nobody can look: LISTEN_PID alone decides. */
    variable("LISTEN_PIDFDID", text);
    set_soft_limit(64);
    fill_table();
    EQUAL(fdpasser_inherited(NULL, 0), 2);
    empty_table();
}

static void test(void)
{
    AS_SERVICE(2, pidfd());
}
