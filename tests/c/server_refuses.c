/* A server leaves alone what is not a socket, and a failure leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a mount needs another kind of node, see sysv/server.c. */
#include "check.h"

/* Checks that the server is refused and the node stays as it was. */
static void refused(const char *path, int error)
{
    struct stat before, after;
    int there = lstat(path, &before) == 0, count = entries(".");

    for (int backlog = 0; backlog < 2; backlog++) {
        ERRNO(fdpasser_server(path, backlog), error);
        ERRNO(fdpasser_server_n(path, strlen(path), backlog), error);
    }
    EQUAL(entries("."), count);
    EQUAL(lstat(path, &after) == 0, there);
    if (there) {
        EQUAL(after.st_ino, before.st_ino);
        EQUAL(after.st_mode, before.st_mode);
        EQUAL(after.st_size, before.st_size);
        EQUAL(after.st_ctime, before.st_ctime);
    }
}

static void full_table(void)
{
    int listener = fdpasser_server("live", 0);

    set_soft_limit(64);
    fill_table();
    ERRNO(fdpasser_server("fresh", 0), EMFILE);
    ERRNO(fdpasser_server("live", 0), EMFILE);
    ERRNO(fdpasser_connect("live"), EMFILE);
    ERRNO(fdpasser_server_n("\0fdpasser-fresh", 15, 0), EMFILE);
    empty_table();
    check_serves_at(listener, "live");
    close(listener);
}

static void as_nobody(const char *name)
{
    int root = geteuid() == 0;

    if (root) {
        EQUAL(chmod(name, 0755), 0);
        drop_privileges("may write anywhere");
    } else {
        EQUAL(chmod(name, 0555), 0);
    }
    ERRNO(fdpasser_server("fresh", 0), EACCES);
    ERRNO(fdpasser_server("live", 0), EACCES); /* the temporary name cannot be created */
    if (root) /* otherwise the node is ours */
        ERRNO(fdpasser_connect("live"), EACCES);
}

static void test(void)
{
    char name[PATH_MAX], content[6] = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "datagram"};
    int fd, listener;

    enter_directory(name);
    fd = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EQUAL(write(fd, "hello", 5), 5);
    close(fd);
    close(open("empty", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EQUAL(mkdir("directory", 0700), 0);
    EQUAL(mkfifo("fifo", 0600), 0);
    listener = fdpasser_server("live", 0);
    EQUAL(symlink("live", "to-socket"), 0);
    EQUAL(symlink("file", "to-file"), 0);
    EQUAL(symlink("nowhere", "to-nothing"), 0);

    refused("file", EEXIST);
    refused("empty", EEXIST);
    refused("directory", EEXIST);
    refused(".", EEXIST);
    refused("/", EEXIST);
    refused("fifo", EEXIST);
    refused("to-socket", EEXIST);
    refused("to-file", EEXIST);
    refused("to-nothing", EEXIST);
    refused("", ENOENT);
    refused("nowhere/s", ENOENT);
    refused("file/s", ENOTDIR);
    ERRNO(fdpasser_server("live/", 0), ENOTDIR);
    fd = open("file", O_RDONLY | O_CLOEXEC);
    EQUAL(read(fd, content, sizeof content), 5);
    EQUAL(memcmp(content, "hello", 6), 0);
    close(fd);

    ERRNO(fdpasser_connect(""), ENOENT);
    ERRNO(fdpasser_connect("nowhere"), ENOENT);
    ERRNO(fdpasser_connect("file"), ECONNREFUSED);
    ERRNO(fdpasser_connect("file/s"), ENOTDIR);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    EQUAL(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ERRNO(fdpasser_connect("datagram"), EPROTOTYPE);
    close(fd);
    /* A client may follow a symlink. */
    fd = fdpasser_connect("to-socket");
    check_serves(listener, fd);
    close(fd);
    close(listener);

    IN_CHILD(full_table());
    IN_CHILD(as_nobody(name));
    EQUAL(chmod(name, 0700), 0);

    EQUAL(rmdir("directory"), 0);
    {
        static const char *const nodes[] = {"file", "empty", "fifo", "live", "to-socket", "to-file",
                                            "to-nothing", "datagram"};

        for (size_t i = 0; i < LENGTH(nodes); i++)
            EQUAL(unlink(nodes[i]), 0);
    }
    leave_directory(name);
}
