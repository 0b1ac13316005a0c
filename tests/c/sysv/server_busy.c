/* Somebody mounts between our look at the path and our fattach(). An exclusive server gives way. Any other one tries again.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"
#include <dlfcn.h>

static int busy, calls;

int fattach(int fd, const char *path);

int fattach(int fd, const char *path)
{
    int (*next)(int, const char *);

    calls++;
    if (busy-- > 0) {
        errno = EBUSY;
        return -1;
    }
    *(void **)&next = dlsym(RTLD_NEXT, "fattach");
    return next(fd, path);
}

static void test(void)
{
    char name[PATH_MAX];
    int listener;

    enter_directory(name);
    busy = 1;
    ERRNO(fdpasser_server_with("s", 1, 5, -1, FDPASSER_EXCLUSIVE, NULL), EADDRINUSE);
    EQUAL(calls, 1);
    calls = 0;
    busy = 2;
    OURS(listener = fdpasser_server("s", 5));
    EQUAL(calls, 3);
    calls = 0;
    busy = 1000;
    ERRNO(fdpasser_server("t", 5), EBUSY);
    CHECK(calls < 1000);
    close(listener);
    EQUAL(unlink("s"), 0);
    EQUAL(unlink("t"), 0);
    leave_directory(name);
}
