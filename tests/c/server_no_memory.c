/* Servers, their clients and fdpasser_unlink() need no memory, whatever the length of the path, and one that is too long
 * is ENAMETOOLONG. This program's malloc() says when there is none.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it tests the length of a socket's address. */
/* Only on Linux: it stands in front of glibc's malloc(). */
#include "no_memory.h"

enum { LONGEST = sizeof ((struct sockaddr_un *)0)->sun_path - 1, LONGEST_TO_UNLINK = 383 };

static int result, error;

#define WITHOUT_MEMORY(call)                                                                       \
    do {                                                                                           \
        refuse_to = SIZE_MAX;                                                                      \
        result = (call);                                                                           \
        error = errno;                                                                             \
        refuse_to = 0;                                                                             \
        errno = error;                                                                             \
    } while (0)

static void check_server(const char *path)
{
    int listener = result, client;

    OURS(listener);
    WITHOUT_MEMORY(fdpasser_connect(path));
    client = result;
    check_serves(listener, client);
    close(client);
}

/* In a directory of this name, where a server has the path, or had it, or nobody. */
static void at(const char *directory, const char *last)
{
    char path[LONGEST + 1];
    size_t n = (size_t)snprintf(path, sizeof path, "%s%s%s", directory, *directory ? "/" : "", last);
    fdpasser_node node;
    int first, second;

    snprintf(round_name, sizeof round_name, "%zu bytes, %zu in the last part: ", n, strlen(last));
    if (*directory)
        EQUAL(mkdir(directory, 0700), 0);
    WITHOUT_MEMORY(fdpasser_server(path, 0));
    first = result;
    check_server(path);
    WITHOUT_MEMORY(fdpasser_server_n(path, n, 0));
    second = result;
    check_server(path);
    close(first);
    WITHOUT_MEMORY(fdpasser_server_with(path, n, 0, 0600, 0, &node));
    first = result;
    check_server(path);
    close(second);
    WITHOUT_MEMORY(fdpasser_server_with(path, n, 0, 0600, FDPASSER_EXCLUSIVE, &node));
    EQUAL(result, -1);
    EQUAL(error, EADDRINUSE);
    close(first);
    WITHOUT_MEMORY(fdpasser_server_with(path, n, 0, 0600, FDPASSER_EXCLUSIVE, &node));
    first = result;
    check_server(path);
    EQUAL(entries(*directory ? directory : "."), 1);
    WITHOUT_MEMORY(fdpasser_unlink(path, n, &node));
    EQUAL(result, 1);
    WITHOUT_MEMORY(fdpasser_unlink(path, n, &node));
    EQUAL(result, 0);
    close(first);
    EQUAL(entries(*directory ? directory : "."), 0);
    if (*directory)
        EQUAL(rmdir(directory), 0);
    round_name[0] = '\0';
}

/* Each server had a shorter path, from another current directory. */
static void unlink_at(size_t length)
{
    char path[LONGEST_TO_UNLINK + 1];
    fdpasser_node node;
    int listener;

    memset(path, '.', length);
    for (size_t i = 1; i < length - 1; i += 2)
        path[i] = '/';
    path[length - 2] = '/';
    path[length - 1] = 's';
    path[length] = '\0';
    /* "./././s" has an odd length, "././//s" an even one. */
    listener = fdpasser_server_with("s", 1, 0, -1, 0, &node);
    OURS(listener);
    WITHOUT_MEMORY(fdpasser_unlink(path, length, &node));
    EQUAL(result, 1);
    close(listener);
    EQUAL(entries("."), 0);
}

static void too_long(size_t length)
{
    static char path[70000];
    fdpasser_node node = {1, 2};

    CHECK(length < sizeof path);
    snprintf(round_name, sizeof round_name, "%zu bytes: ", length);
    memset(path, '/', length);
    path[length - 1] = 's';
    path[length] = '\0';
#define TOO_LONG(call)                                                                             \
    do {                                                                                           \
        WITHOUT_MEMORY(call);                                                                      \
        EQUAL(result, -1);                                                                         \
        EQUAL(error, ENAMETOOLONG);                                                                \
    } while (0)
    TOO_LONG(fdpasser_server(path, 0));
    TOO_LONG(fdpasser_server_n(path, length, 0));
    TOO_LONG(fdpasser_server_with(path, length, 0, -1, 0, &node));
    TOO_LONG(fdpasser_server_with(path, length, 0, -1, FDPASSER_EXCLUSIVE, &node));
    TOO_LONG(fdpasser_connect(path));
    TOO_LONG(fdpasser_connect_n(path, length));
    TOO_LONG(fdpasser_connect_timed(path, length, 0));
    if (length > LONGEST_TO_UNLINK)
        TOO_LONG(fdpasser_unlink(path, length, &node));
    CHECK(node.device == 1 && node.inode == 2);
    round_name[0] = '\0';
}

static void test(void)
{
    static const size_t lasts[] = {1, 12, 22, 40};
    static const size_t long_ones[] = {108, 383, 384, 1023, 1024, 4095, 4096, 69999};
    char name[PATH_MAX], directory[LONGEST + 1], last[LONGEST + 1];

    need_refusals();
    enter_directory(name);
    at("", "s");
    for (size_t i = 0; i < LENGTH(lasts); i++) {
        memset(directory, 'd', sizeof directory);
        directory[LONGEST - 1 - lasts[i]] = '\0';
        memset(last, 's', sizeof last);
        last[lasts[i]] = '\0';
        at(directory, last);
    }
    unlink_at(109);
    unlink_at(LONGEST_TO_UNLINK - 1);
    unlink_at(LONGEST_TO_UNLINK);
    for (size_t i = 0; i < LENGTH(long_ones); i++)
        too_long(long_ones[i]);
    leave_directory(name);
}
