/* A server that fails after its node exists leaves nothing behind, and a server that was there
 * still serves. This program has its own rename() and listen(), which fail.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests calls that only sockets need. */
/* Only on Linux: it makes the system calls itself. */
#include "check.h"
#include <sys/syscall.h>

static int rename_error, listen_error;

int rename(const char *from, const char *to)
{
    if (rename_error) {
        errno = rename_error;
        return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int listen(int sock, int backlog)
{
    if (listen_error) {
        errno = listen_error;
        return -1;
    }
    return (int)syscall(SYS_listen, sock, backlog);
}

static void fails(int error, int there)
{
    int before = open_descriptors();

    ERRNO(fdpasser_server("s", 5), error);
    ERRNO(fdpasser_server_n("s", 1, 0), error);
    EQUAL(entries("."), there);
    EQUAL(open_descriptors(), before);
}

static void test(void)
{
    char name[PATH_MAX];
    int listener, second;

    enter_directory(name);
    listen_error = ENOBUFS;
    fails(ENOBUFS, 0);
    ERRNO(fdpasser_server_n("\0fdpasser test", 14, 5), ENOBUFS);
    listen_error = 0;

    listener = fdpasser_server("s", 5);
    OURS(listener);
    rename_error = EACCES;
    fails(EACCES, 1);
    rename_error = 0;
    listen_error = ENOMEM;
    fails(ENOMEM, 1);
    listen_error = 0;
    check_serves_at(listener, "s");

    /* The test of the test: a server can take over here. */
    second = fdpasser_server("s", 5);
    OURS(second);
    check_serves_at(second, "s");
    close(second);
    close(listener);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
