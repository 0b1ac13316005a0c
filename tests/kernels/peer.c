/* The peer of a connection: its user and group everywhere, and its process where the kernel knows it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"

static int knows_process(void)
{
    return played != DRAGONFLY && played != FREEBSD10;
}

static void check_peer(int passer)
{
    uid_t uid = (uid_t)-7;
    gid_t gid = (gid_t)-7;
    pid_t pid = -7;

    EQUAL(fdpasser_peer_cred(passer, &uid, &gid, &pid), 0);
    EQUAL(uid, geteuid());
    EQUAL(gid, getegid());
    EQUAL(pid, knows_process() ? getpid() : -1);
}

static void test(void)
{
    char name[PATH_MAX];
    int pair[2], listener, client, server, alone = socket(AF_UNIX, SOCK_STREAM, 0);

    enter_directory(name);
    listener = fdpasser_server("s", 5);
    client = fdpasser_connect("s");
    server = fdpasser_accept(listener);
    check_peer(client);
    check_peer(server);
    ERRNO(fdpasser_peer_cred(listener, NULL, NULL, NULL), EINVAL);
    ERRNO(fdpasser_peer_cred(alone, NULL, NULL, NULL), ENOTCONN);
    make_pair(pair);
    if (played == DRAGONFLY || played == FREEBSD10)
        ERRNO(fdpasser_peer_cred(pair[0], NULL, NULL, NULL), ENOTCONN);
    else
        check_peer(pair[0]);
    close_pair(pair);
    close(client);
    close(server);
    close(listener);
    close(alone);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
