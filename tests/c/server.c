/* A server listens at a path that is free, left over or in use, with a name of any kind. It has the
 * backlog that was asked for and leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void at(const char *path)
{
    int listener, second, client;

    /* The path is free. */
    listener = fdpasser_server(path, 5);
    OURS(listener);
    check_serves_at(listener, path);

    /* The path is in use. The new server takes it over, and the old one keeps its connections. */
    client = fdpasser_connect(path);
    second = fdpasser_server(path, 5);
    OURS(second);
    check_serves(listener, client);
    close(client);
    client = fdpasser_connect(path);
    check_serves(second, client);
    set_nonblocking(listener, 1);
    ERRNO(fdpasser_accept(listener), SYSV ? ENXIO : EAGAIN); /* a mount that is undone hangs up */
    close(client);
    close(listener);
    check_serves_at(second, path);
    close(second);

    /* The path is left over. */
    ERRNO(fdpasser_connect(path), ECONNREFUSED);
    listener = fdpasser_server(path, 5);
    OURS(listener);
    client = fdpasser_connect_n(path, strlen(path));
    check_serves(listener, client);
    close(client);
    close(listener);
    listener = fdpasser_server_n(path, strlen(path), 5);
    check_serves_at(listener, path);
    close(listener);

    EQUAL(entries("."), 1);
    EQUAL(unlink(path), 0);
    ERRNO(fdpasser_connect(path), ENOENT);
}

/* Returns how many connections can wait to be accepted. */
static int queue(int backlog)
{
    int listener = fdpasser_server("s", backlog), clients[64], n = 0;

    OURS(listener);
    while (n < (int)LENGTH(clients) && (clients[n] = knock("s")) != -1)
        n++;
    for (int i = 0; i < n; i++)
        close(clients[i]);
    close(listener);
    EQUAL(unlink("s"), 0);
    return n;
}

static void permissions(mode_t mask)
{
    struct stat node;
    mode_t old = umask(mask);

    for (int take_over = 0; take_over < 2; take_over++) {
        close(fdpasser_server("s", 0));
        EQUAL(lstat("s", &node), 0);
        CHECK(S_ISSOCK(node.st_mode));
        EQUAL(node.st_mode & 0777, 0777 & ~mask);
    }
    EQUAL(unlink("s"), 0);
    umask(old);
}

static void test(void)
{
    char name[PATH_MAX], absolute[PATH_MAX + 16];

    enter_directory(name);
    at("s");
    at("a name with spaces");
    at("./s");
    snprintf(absolute, sizeof absolute, "%s/s", name);
    at(absolute);
    at("\xff\xfe not UTF-8 \x80");
    at("caf\xc3\xa9");
    at("new\nline");

    if (SYSV) { /* a mount is another kind of node and has no backlog, see sysv/server.c */
        leave_directory(name);
        return;
    }
    EQUAL(queue(10), 11); /* the kernel queues one more than the backlog */
    EQUAL(queue(0), 11);
    EQUAL(queue(-1), 11);
    EQUAL(queue(INT_MIN), 11);
    EQUAL(queue(1), 2);
    EQUAL(queue(20), 21);
    EQUAL(queue(INT_MAX), 64);

    permissions(022);
    permissions(077);
    permissions(0);
    leave_directory(name);
}
