/* The functions that take a length can use Linux's abstract addresses. A NUL anywhere else in a
 * path is refused.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no abstract addresses. */
#include "check.h"

static void at(const char *address, size_t length)
{
    int listener = fdpasser_server_n(address, length, 5), client;

    OURS(listener);
    client = fdpasser_connect_n(address, length);
    check_serves(listener, client);
    close(client);
    ERRNO(fdpasser_server_n(address, length, 5), EADDRINUSE); /* never taken over */
    client = fdpasser_connect_n(address, length);
    check_serves(listener, client);
    close(client);
    close(listener);
    ERRNO(fdpasser_connect_n(address, length), ECONNREFUSED);
    close(fdpasser_server_n(address, length, 5)); /* the address is free at once */
}

static void test(void)
{
    char name[PATH_MAX], address[110] = {0};
    int length;

    enter_directory(name);
    length = 1 + snprintf(address + 1, sizeof address - 1, "fdpasser-test-%ld", (long)getpid());
    at(address, (size_t)length);
    /* A shorter name is another address, and a NUL in it counts. */
    at(address, (size_t)length - 1);
    at(address, (size_t)length + 1);
    address[3] = '\0';
    at(address, (size_t)length);
    address[3] = '\xff';
    at(address, (size_t)length);
    address[3] = '/';
    at(address, (size_t)length);
    memset(address + length, 'x', sizeof address - (size_t)length);
    at(address, 108);
    ERRNO(fdpasser_server_n(address, 109, 0), ENAMETOOLONG);
    ERRNO(fdpasser_connect_n(address, 109), ENAMETOOLONG);

    ERRNO(fdpasser_server_n("a\0b", 3, 0), EINVAL);
    ERRNO(fdpasser_server_n("a\0", 2, 0), EINVAL);
    ERRNO(fdpasser_connect_n("a\0b", 3), EINVAL);
    ERRNO(fdpasser_connect_n("a\0", 2), EINVAL);
    ERRNO(fdpasser_server_n("a", 0, 0), ENOENT);
    ERRNO(fdpasser_connect_n("a", 0), ENOENT);
    EQUAL(entries("."), 0);
    leave_directory(name);
}
