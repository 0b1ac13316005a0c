/* Descriptors that were handed down: how many, their numbers, their names; close-on-exec; and only for the process that is
 * meant.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "inherited.h"

static void check_name(size_t i, const char *want)
{
    char name[FDPASSER_MAX_NAME + 1];

    memset(name, 'x', sizeof name);
    EQUAL(fdpasser_inherited_name(i, name, sizeof name), strlen(want));
    CHECK(strcmp(name, want) == 0);
    for (size_t after = strlen(want) + 1; after < sizeof name; after++)
        EQUAL(name[after], 'x');
}

static void three(void)
{
    int fds[5] = {-7, -7, -7, -7, -7};

    announce("3", "http:admin:http");
    EQUAL(fdpasser_inherited(NULL, 0), 3);
    EQUAL(fdpasser_inherited(fds, 2), 3); /* how many there are, not how many fit */
    EQUAL(fds[0], 3);
    EQUAL(fds[1], 4);
    EQUAL(fds[2], -7);
    EQUAL(fdpasser_inherited(fds, 5), 3); /* a second call gives the same answer */
    EQUAL(fds[2], 5);
    EQUAL(fds[3], -7);
    for (int i = 0; i < 3; i++) {
        OURS(fds[i]);
        EQUAL(number_of(fds[i]), i);
    }
    check_name(0, "http");
    check_name(1, "admin");
    check_name(2, "http");
    CHECK(getenv("LISTEN_FDS") && getenv("LISTEN_PID") && getenv("LISTEN_FDNAMES")); /* they stay */
}

static void without_names(void)
{
    announce("2", NULL);
    EQUAL(fdpasser_inherited(NULL, 0), 2);
    check_name(0, "unknown");
    check_name(1, "unknown");
}

static void names(void)
{
    char name[FDPASSER_MAX_NAME + 1], longest[2 * FDPASSER_MAX_NAME + 2];

    announce("3", "::");
    EQUAL(fdpasser_inherited(NULL, 0), 3);
    check_name(0, "");
    check_name(2, "");
    EQUAL(fdpasser_inherited_name(0, name, 1), 0);
    ERRNO(fdpasser_inherited_name(0, name, 0), ERANGE);
    ERRNO(fdpasser_inherited_name(0, NULL, 5), EFAULT);
    ERRNO(fdpasser_inherited_name(3, name, sizeof name), ENOENT);
    ERRNO(fdpasser_inherited_name((size_t)-1, name, sizeof name), ENOENT);

    announce("1", "");
    EQUAL(fdpasser_inherited(NULL, 0), 1);
    check_name(0, "");

    announce("3", " !~:a b:abc");
    check_name(0, " !~");
    check_name(1, "a b");
    memset(name, 'x', sizeof name);
    ERRNO(fdpasser_inherited_name(2, name, 3), ERANGE);
    EQUAL(name[0], 'x');
    EQUAL(fdpasser_inherited_name(2, name, 4), 3);
    EQUAL(name[4], 'x');

    memset(longest, 'n', sizeof longest);
    longest[FDPASSER_MAX_NAME] = ':';
    longest[2 * FDPASSER_MAX_NAME + 1] = '\0';
    announce("2", longest);
    EQUAL(fdpasser_inherited(NULL, 0), 2);
    longest[FDPASSER_MAX_NAME] = '\0';
    check_name(0, longest);
    check_name(1, longest);
    ERRNO(fdpasser_inherited_name(1, name, FDPASSER_MAX_NAME), ERANGE);
}

/* The variables are for somebody else, or there are none. */
static void not_for_us(void)
{
    char name[FDPASSER_MAX_NAME + 1], parent[20];
    int fd = -7;
    const char *pids[] = {NULL, "1", "0", "4294967295", parent};

    snprintf(parent, sizeof parent, "%ld", (long)getppid());
    for (size_t i = 0; i < LENGTH(pids); i++) {
        announce("2", "a:b");
        variable("LISTEN_PID", pids[i]);
        EQUAL(fdpasser_inherited(&fd, 1), 0);
        ERRNO(fdpasser_inherited_name(0, name, sizeof name), ENOENT);
    }
    announce(NULL, "a:b");
    EQUAL(fdpasser_inherited(&fd, 1), 0);
    announce("0", "a:b");
    EQUAL(fdpasser_inherited(&fd, 1), 0);
    EQUAL(fd, -7);
    check_untouched(2);
    /* What is in the other variables does not matter to us then. */
    announce("nonsense", "a");
    variable("LISTEN_PID", "1");
    EQUAL(fdpasser_inherited(&fd, 1), 0);
}

/* A child has the variables of its parent, and its descriptors. */
static void after_fork(void)
{
    announce("2", "a:b");
    IN_CHILD({
        EQUAL(fdpasser_inherited(NULL, 0), 0);
        check_untouched(2);
    });
    EQUAL(fdpasser_inherited(NULL, 0), 2);
}

static void arguments(void)
{
    announce("1", NULL);
    ERRNO(fdpasser_inherited(NULL, 1), EFAULT);
    ERRNO(fdpasser_inherited(&(int){0}, (size_t)INT_MAX + 1), EINVAL);
    check_untouched(1);
}

/* However many it is told of, it writes no more than there is room for, and needs no memory. */
static void many(void)
{
    announce("16", NULL);
    EQUAL(fdpasser_inherited(NULL, 0), 16);
}

static void test(void)
{
    AS_SERVICE(3, three());
    AS_SERVICE(2, without_names());
    AS_SERVICE(3, names());
    AS_SERVICE(2, not_for_us());
    AS_SERVICE(2, after_fork());
    AS_SERVICE(1, arguments());
    AS_SERVICE(16, many());
}
