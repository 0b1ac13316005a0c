/* fdpasser_peer_cred() returns the user, the group and the process that connected, or that
 * listened, as they were at that time.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: only the server's end knows its peer, see sysv/server.c. */
#include "check.h"

struct peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

static struct peer peer_of(int passer)
{
    struct peer peer = {(uid_t)-7, (gid_t)-7, -7};

    EQUAL(fdpasser_peer_cred(passer, &peer.uid, &peer.gid, &peer.pid), 0);
    return peer;
}

static void check_peer(int passer, uid_t uid, gid_t gid, pid_t pid)
{
    struct peer peer = peer_of(passer);

    EQUAL(peer.uid, uid);
    EQUAL(peer.gid, gid);
    EQUAL(peer.pid, pid);
}

/* The client is another process, and another user if we are root. */
static void connected(uid_t uid, gid_t gid)
{
    int listener = fdpasser_server("s", 5), server;
    uid_t our_uid = geteuid();
    gid_t our_gid = getegid();
    pid_t parent = getpid(), child;

    OURS(listener);
    EQUAL(chmod("s", 0777), 0);
    EQUAL(chmod(".", 0755), 0);
    if ((child = spawn()) == 0) {
        int client;

        close(listener);
        EQUAL(setgid(gid), 0);
        EQUAL(setuid(uid), 0);
        client = fdpasser_connect("s");
        OURS(client);
        check_peer(client, our_uid, our_gid, parent);
        EQUAL(fdpasser_recv_fd(client), 0);
        _exit(0);
    }
    server = fdpasser_accept(listener);
    OURS(server);
    check_peer(server, uid, gid, child);
    EQUAL(fdpasser_peer_cred(server, NULL, NULL, NULL), 0);
    close(server);
    join(child);
    close(listener);
    EQUAL(unlink("s"), 0);
}

static void others(void)
{
    struct peer peer = {1, 2, 3};
    int fds[] = {socket(AF_UNIX, SOCK_STREAM, 0),
                 socket(AF_INET, SOCK_STREAM, 0), numbered(1),
                 fdpasser_server("s", 5), -1, 1 << 20};
    static const int errors[] = {ENOTCONN, EAFNOSUPPORT, ENOTSOCK, EINVAL, EBADF, EBADF};

    for (size_t i = 0; i < LENGTH(fds); i++) {
        ERRNO(fdpasser_peer_cred(fds[i], &peer.uid, &peer.gid, &peer.pid), errors[i]);
        close(fds[i]);
    }
    CHECK(peer.uid == 1 && peer.gid == 2 && peer.pid == 3);
    EQUAL(unlink("s"), 0);
}

static void test(void)
{
    char name[PATH_MAX];
    int pair[2];
    pid_t child;

    enter_directory(name);
    connected(geteuid(), getegid());
    if (geteuid() == 0)
        connected(65534, 65533);
    others();
    leave_directory(name);

    /* For a pair it returns the process that made it, even in another process. */
    make_pair(pair);
    check_peer(pair[0], geteuid(), getegid(), getpid());
    if ((child = spawn()) == 0) {
        check_peer(pair[1], geteuid(), getegid(), getppid());
        _exit(0);
    }
    join(child);
    close_pair(pair);
}
