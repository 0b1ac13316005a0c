/* A socket that is a mount point of its own cannot be replaced: EBUSY, and nothing is left behind.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
/* Only on Linux: bind mounts exist there only. */
#include "check.h"
#include <sched.h>
#include <sys/mount.h>

/* Makes mounts ours alone, as root or in a user namespace. */
static void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        SKIP("unshare: %s", strerror(errno));
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        SKIP("mounts cannot be made private: %s", strerror(errno));
}

static void busy(void)
{
    fdpasser_node node = {7, 8};
    int live;

    own_mounts();
    if (mount("outside/s", "inside/s", "none", MS_BIND, NULL) != 0)
        SKIP("a socket cannot be mounted: %s", strerror(errno));
    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_server("inside/s", 0), EBUSY);
        ERRNO(fdpasser_server_with("inside/s", 8, 0, 0600, 0, &node), EBUSY);
        ERRNO(fdpasser_server_with("inside/s", 8, 0, -1, FDPASSER_EXCLUSIVE, &node), EBUSY);
    }
    CHECK(node.device == 7 && node.inode == 8);
    EQUAL(entries("inside"), 1);
    EQUAL(entries("outside"), 1);

    /* The server outside starts anew. Clients of the mounted socket do not see that. */
    live = fdpasser_server("outside/s", 0);
    OURS(live);
    check_serves_at(live, "outside/s");
    ERRNO(fdpasser_connect("inside/s"), ECONNREFUSED);
    close(live);
    EQUAL(umount("inside/s"), 0);
}

static void test(void)
{
    char name[PATH_MAX];
    pid_t child;

    enter_directory(name);
    EQUAL(mkdir("outside", 0700), 0);
    EQUAL(mkdir("inside", 0700), 0);
    close(fdpasser_server("outside/s", 0));
    close(fdpasser_server("inside/s", 0));
    child = spawn();
    if (child == 0) {
        int before = open_descriptors();

        busy();
        EQUAL(open_descriptors(), before);
        _exit(0);
    }
    {
        int status;

        EQUAL(waitpid(child, &status, 0), child);
        EQUAL(unlink("outside/s"), 0);
        EQUAL(unlink("inside/s"), 0);
        EQUAL(rmdir("outside"), 0);
        EQUAL(rmdir("inside"), 0);
        leave_directory(name);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            _exit(77);
        EQUAL(status, 0);
    }
}
