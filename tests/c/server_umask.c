/* The node gets its mode under a narrow umask also where there is no /proc, as in many a chroot. Old C
 * libraries need /proc for that.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
#include "check.h"

static void modes(void)
{
    static const mode_t umasks[] = {077, 0777, 022};
    static const int wanted[] = {0666, 0660, 0777, 0600};

    for (size_t i = 0; i < LENGTH(umasks); i++)
        for (size_t j = 0; j < LENGTH(wanted); j++)
            for (unsigned flags = 0; flags <= FDPASSER_EXCLUSIVE; flags++) {
                struct stat node;
                int listener;

                umask(umasks[i]);
                listener = fdpasser_server_with("s", 1, 0, wanted[j], flags, NULL);
                OURS(listener);
                EQUAL(umask(022), umasks[i]);
                EQUAL(lstat("s", &node), 0);
                EQUAL(node.st_mode & 07777, wanted[j]);
                EQUAL(entries("."), 1);
                check_serves_at(listener, "s");
                close(listener);
                EQUAL(unlink("s"), 0);
            }
}

static void in_chroot(mode_t directory)
{
    EQUAL(chmod(".", directory), 0);
    if (chroot(".") != 0)
        SKIP("chroot: %s", strerror(errno));
    EQUAL(chdir("/"), 0);
    ERRNO(access("/proc", F_OK), ENOENT);
    modes();
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    modes();
    if (geteuid() == 0) {
        IN_CHILD(in_chroot(0700));
        IN_CHILD(in_chroot(0755));
        IN_CHILD(in_chroot(01777));
    }
    leave_directory(name);
    if (geteuid() != 0)
        SKIP("no chroot was tried: this is not root");
}
