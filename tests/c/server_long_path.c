/* A path may have 107 bytes, also when it is taken over, however short its last part is. A path of
 * 108 bytes is refused and never cut.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests the length of a socket's address. */
#include "check.h"

enum { LONGEST = sizeof ((struct sockaddr_un *)0)->sun_path - 1 };

static void with_last_part(size_t last)
{
    char path[LONGEST + 2], directory[LONGEST + 1], inside[LONGEST + 1];
    size_t n = LONGEST - last - 1;
    int listener, second, client;

    memset(directory, 'd', n);
    directory[n] = '\0';
    EQUAL(mkdir(directory, 0700), 0);
    memset(path, 'p', LONGEST + 1);
    memcpy(path, directory, n);
    path[n] = '/';

    path[LONGEST] = '\0';
    EQUAL(strlen(path), LONGEST);
    listener = fdpasser_server(path, 0);
    OURS(listener);
    check_serves_at(listener, path);
    for (int i = 0; i < 40; i++) {
        second = fdpasser_server(path, 0);
        OURS(second);
        close(listener);
        listener = second;
    }
    check_serves_at(listener, path);
    close(listener);
    EQUAL(entries(directory), 1);

    path[LONGEST] = 'p';
    path[LONGEST + 1] = '\0';
    ERRNO(fdpasser_server(path, 0), ENAMETOOLONG);
    ERRNO(fdpasser_connect(path), ENAMETOOLONG);
    ERRNO(fdpasser_server_n(path, LONGEST + 1, 0), ENAMETOOLONG);
    ERRNO(fdpasser_connect_n(path, LONGEST + 1), ENAMETOOLONG);
    /* The length counts, not a NUL behind it. */
    listener = fdpasser_server_n(path, LONGEST, 0);
    OURS(listener);
    client = fdpasser_connect_n(path, LONGEST);
    check_serves(listener, client);
    close(client);
    close(listener);
    EQUAL(entries(directory), 1);

    path[LONGEST] = '\0';
    EQUAL(unlink(path), 0);
    snprintf(inside, sizeof inside, "%s", directory);
    EQUAL(rmdir(inside), 0);
}

static void test(void)
{
    static const size_t lasts[] = {1, 2, 11, 12, 13, 50};
    static char huge[70000];
    char name[PATH_MAX];

    enter_directory(name);
    for (size_t i = 0; i < LENGTH(lasts); i++)
        with_last_part(lasts[i]);
    memset(huge, 'x', sizeof huge - 1);
    ERRNO(fdpasser_server(huge, 0), ENAMETOOLONG);
    ERRNO(fdpasser_connect(huge), ENAMETOOLONG);
    EQUAL(entries("."), 0);
    leave_directory(name);
}
