/* A server uses connld and fattach. It mounts on free, left-over and live paths, leaves other nodes
 * alone, and leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

int fattach(int fd, const char *path);
int fdetach(const char *path);

static int is_fifo(const char *path)
{
    struct stat node;

    EQUAL(lstat(path, &node), 0);
    return S_ISFIFO(node.st_mode);
}

static void refused(const char *path, int error)
{
    struct stat before, after;
    int there = lstat(path, &before) == 0, count = entries("."), open_now = open_descriptors();

    ERRNO(fdpasser_server(path, 5), error);
    EQUAL(entries("."), count);
    EQUAL(open_descriptors(), open_now);
    EQUAL(lstat(path, &after) == 0, there);
    if (there) {
        EQUAL(after.st_ino, before.st_ino);
        EQUAL(after.st_mode, before.st_mode);
        EQUAL(after.st_size, before.st_size);
    }
}

static void serves(int listener)
{
    int client = fdpasser_connect("s");

    check_serves(listener, client);
    close(client);
}

static void permissions(mode_t mask)
{
    struct stat node;
    mode_t old = umask(mask);

    close(fdpasser_server("s", 0));
    EQUAL(lstat("s", &node), 0);
    EQUAL(node.st_mode & 0777, 0666 & ~mask);
    EQUAL(fdetach("s"), 0);
    EQUAL(unlink("s"), 0);
    umask(old);
}

static void options(void)
{
    fdpasser_node node = {0, 0}, old;
    struct stat found;
    int listener, other;
    mode_t mask = umask(077);

    for (int left_over = 0; left_over < 2; left_over++) {
        listener = fdpasser_server_with("s", 1, 5, 0620, FDPASSER_EXCLUSIVE, &node);
        OURS(listener);
        EQUAL(lstat("s", &found), 0);
        EQUAL(found.st_mode & 0777, 0620);
        EQUAL(node.inode, found.st_ino);
        EQUAL(node.device, found.st_dev);
        ERRNO(fdpasser_server_with("s", 1, 5, -1, FDPASSER_EXCLUSIVE, NULL), EADDRINUSE);
        close(fdpasser_accept(listener)); /* the probe was a connection that ended at once */
        EQUAL(entries("."), 1); /* no lock file is left */
        serves(listener);
        if (left_over == 0)
            close(listener);
    }
    old = node;
    other = fdpasser_server_with("s", 1, 5, 0604, 0, NULL);
    OURS(other);
    EQUAL(lstat("s", &found), 0);
    EQUAL(found.st_mode & 0777, 0604);
    serves(other);
    close(listener);
    EQUAL(fdpasser_unlink("nowhere", 7, &old), 0);
    close(other);
    listener = fdpasser_server_with("s", 1, 5, -1, 0, &node);
    EQUAL(fdpasser_unlink("s", 1, &node), 1);
    EQUAL(entries("."), 0);
    EQUAL(fdpasser_unlink("s", 1, &node), 0);
    close(listener);
    ERRNO(fdpasser_server_with("s", 1, 5, 01777, 0, NULL), EINVAL);
    EQUAL(entries("."), 0);
    umask(mask);
}

static void full_table(void)
{
    int listener = fdpasser_server("s", 0);

    set_soft_limit(32);
    fill_table();
    for (size_t left = 0; left < 2; left++) {
        ERRNO(fdpasser_server("fresh", 0), EMFILE);
        ERRNO(fdpasser_server("s", 0), EMFILE);
        if (left == 0)
            ERRNO(fdpasser_connect("s"), EMFILE);
        free_slots(1);
    }
    empty_table();
    EQUAL(access("fresh", F_OK), -1);
    serves(listener);
    close(listener);
}

static void test(void)
{
    char name[PATH_MAX];
    int listener, second, fd, ends[2];

    enter_directory(name);
    options();
    listener = fdpasser_server("s", 0);
    OURS(listener);
    CHECK(is_fifo("s"));
    serves(listener);
    ERRNO(fattach(listener, "s"), EBUSY);

    /* A live server is taken over. */
    second = fdpasser_server("s", 0);
    OURS(second);
    serves(second);
    close(listener);
    serves(second);
    /* A left-over path is taken over. First the server ended, then its mount went as well. */
    close(second);
    CHECK(is_fifo("s"));
    ERRNO(fdpasser_connect("s"), ECONNREFUSED);
    listener = fdpasser_server("s", 0);
    serves(listener);
    EQUAL(fdetach("s"), 0);
    CHECK(!is_fifo("s"));
    ERRNO(fdetach("s"), EINVAL);
    ERRNO(fdpasser_connect("s"), ECONNREFUSED);
    close(listener);
    listener = fdpasser_server("s", 0);
    serves(listener);
    close(listener);
    IN_CHILD(full_table());

    /* What is not a mount of ours is left alone. */
    fd = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EQUAL(write(fd, "hello", 5), 5);
    close(fd);
    EQUAL(mkdir("directory", 0700), 0);
    EQUAL(mkfifo("fifo", 0600), 0);
    EQUAL(symlink("s", "link"), 0);
    refused("file", EEXIST);
    refused("directory", EEXIST);
    refused("fifo", EEXIST);
    refused("link", EEXIST);
    refused(".", EEXIST);
    refused("", ENOENT);
    refused("nowhere/s", ENOENT);
    refused("file/s", ENOTDIR);
    ERRNO(fdpasser_server_n("a\0b", 3, 0), EINVAL);
    ERRNO(fdpasser_server_n("\0a", 2, 0), EINVAL);
    ERRNO(fdpasser_connect("nowhere"), ENOENT);
    ERRNO(fdpasser_connect(""), ENOENT);
    ERRNO(fdpasser_connect("file"), ECONNREFUSED);
    ERRNO(fdpasser_connect_n("a\0b", 3), EINVAL);

    /* A passer is not a listener, and a pipe that is not mounted has no connections. */
    make_pair(ends);
    set_nonblocking(ends[0], 1);
    ERRNO(fdpasser_accept(ends[0]), EAGAIN);
    EQUAL(write(ends[1], "x", 1), 1);
    ERRNO(fdpasser_accept(ends[0]), EBADMSG);
    close_pair(ends);

    EQUAL(fdetach("s"), 0);
    EQUAL(unlink("s"), 0);
    EQUAL(unlink("file"), 0);
    EQUAL(unlink("fifo"), 0);
    EQUAL(unlink("link"), 0);
    EQUAL(rmdir("directory"), 0);
    permissions(022);
    permissions(077);
    permissions(0);
    leave_directory(name);
}
