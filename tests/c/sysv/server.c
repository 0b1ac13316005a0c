/* A server uses connld and fattach. It mounts on free, left-over and live paths, leaves other nodes
 * alone, and leaves nothing behind. Connecting waits until the server accepts. A server that is closed has no mount.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"
#include <pthread.h>

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

static void *connect_to(void *path)
{
    int client = fdpasser_connect(path);

    return (void *)(intptr_t)(client == -1 ? -errno : client);
}

static int result_of(pthread_t thread)
{
    void *result;

    EQUAL(pthread_join(thread, &result), 0);
    return (int)(intptr_t)result;
}

static pthread_t connecting(void)
{
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, connect_to, "s"), 0);
    return thread;
}

/* The client waits in another thread until it is accepted. A descriptor passes in both directions. */
static void serves(int listener)
{
    pthread_t thread = connecting();
    int server = fdpasser_accept(listener), client = result_of(thread), fd = numbered(7);
    uid_t uid = (uid_t)-7;
    pid_t pid = -7;

    OURS(server);
    OURS(client);
    EQUAL(fdpasser_send_fd(client, fd), 1);
    RECEIVED(fdpasser_recv_fd(server), 7);
    EQUAL(fdpasser_send_fd(server, fd), 1);
    RECEIVED(fdpasser_recv_fd(client), 7);
    /* Only the server's end knows its peer. */
    EQUAL(fdpasser_peer_cred(server, &uid, NULL, &pid), 0);
    EQUAL(uid, geteuid());
    EQUAL(pid, getpid());
    ERRNO(fdpasser_peer_cred(client, NULL, NULL, NULL), EOPNOTSUPP);
    ERRNO(fdpasser_peer_cred(listener, NULL, NULL, NULL), EOPNOTSUPP);
    close(fd);
    close(client);
    close(server);
}

/* One client at a time has its turn, and none is lost. */
static void many_clients(int listener)
{
    pthread_t threads[5];
    int clients[5], servers[5];

    for (int i = 0; i < 5; i++)
        threads[i] = connecting();
    for (int i = 0; i < 5; i++)
        OURS(servers[i] = fdpasser_accept(listener));
    for (int i = 0; i < 5; i++) {
        OURS(clients[i] = result_of(threads[i]));
        close(clients[i]);
    }
    for (int i = 0; i < 5; i++) {
        EQUAL(fdpasser_recv_fd(servers[i]), 0);
        close(servers[i]);
    }
}

static void nothing(int signal)
{
    (void)signal;
}

static pid_t sleeping_child(void)
{
    pid_t child = spawn();

    if (child == 0) {
        struct sigaction action;

        memset(&action, 0, sizeof action);
        action.sa_handler = nothing;
        EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
        ERRNO(fdpasser_connect("s"), EINTR);
        _exit(0);
    }
    return child;
}

/* A signal ends a client's wait. The server then accepts a connection that is hung up. */
static void interrupted(int listener)
{
    struct pollfd p = {listener, POLLIN, 0};
    pid_t child = sleeping_child();
    int server;

    EQUAL(poll(&p, 1, -1), 1); /* it waits in open() */
    wait_until_asleep(child);
    EQUAL(kill(child, SIGUSR1), 0);
    join(child);
    OURS(server = fdpasser_accept(listener));
    EQUAL(fdpasser_recv_fd(server), 0);
    close(server);
}

/* The listener closes while a client waits. */
static void closed_meanwhile(void)
{
    int listener = fdpasser_server("s", 0);
    struct pollfd p = {listener, POLLIN, 0};
    pthread_t thread = connecting();

    EQUAL(poll(&p, 1, -1), 1);
    close(listener);
    EQUAL(result_of(thread), -ECONNREFUSED);
    CHECK(!is_fifo("s"));
    EQUAL(unlink("s"), 0);
}

/* The listener's mount is undone. The listener hangs up. */
static void hung_up(int by_unlink)
{
    int listener = fdpasser_server("s", 0);

    EQUAL(by_unlink ? unlink("s") : fdetach("s"), 0);
    ERRNO(fdpasser_accept(listener), ENXIO);
    ERRNO(fdpasser_accept(listener), ENXIO);
    EQUAL(poll(&(struct pollfd){listener, POLLIN, 0}, 1, 0), 1);
    close(listener);
    if (!by_unlink)
        EQUAL(unlink("s"), 0);
}

/* Somebody without privileges can mount only on a file that its mode lets them write to. */
static void unprivileged(void)
{
    char path[PATH_MAX];
    int listener;

    EQUAL(chmod(".", 0777), 0);
    drop_privileges("may mount on everything");
    snprintf(path, sizeof path, "unprivileged");
    ERRNO(fdpasser_server_with(path, strlen(path), 5, 0444, 0, NULL), EACCES);
    EQUAL(access(path, F_OK), -1);
    OURS(listener = fdpasser_server_with(path, strlen(path), 5, 0644, 0, NULL));
    EQUAL(unlink(path), 0);
    close(listener);
}

static void permissions(mode_t mask)
{
    struct stat node;
    mode_t old = umask(mask);

    int listener = fdpasser_server("s", 0);

    EQUAL(lstat("s", &node), 0);
    CHECK(S_ISFIFO(node.st_mode));
    EQUAL(node.st_mode & 0777, 0666 & ~mask);
    EQUAL(unlink("s"), 0);
    EQUAL(entries("."), 0);
    close(listener);
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
        EQUAL(poll(&(struct pollfd){listener, POLLIN, 0}, 1, 0), 0); /* the live server notices nothing */
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
    many_clients(second);
    interrupted(second);
    serves(second);
    /* With the server its mount went. The plain file is there again, and is taken over. */
    close(second);
    CHECK(!is_fifo("s"));
    ERRNO(fdetach("s"), EINVAL);
    ERRNO(fdpasser_connect("s"), ECONNREFUSED);
    listener = fdpasser_server("s", 0);
    serves(listener);
    close(listener);
    EQUAL(unlink("s"), 0);
    closed_meanwhile();
    hung_up(0);
    hung_up(1);
    IN_CHILD(unprivileged());
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
