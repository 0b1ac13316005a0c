/* fdpasser_unlink() removes the node that its server made and no other, even if another server
 * takes the path over at that moment.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
#include "check.h"

static int serve(fdpasser_node *node)
{
    int listener = fdpasser_server_with("s", 1, 5, -1, 0, node);
    struct stat found;

    OURS(listener);
    EQUAL(lstat("s", &found), 0);
    EQUAL(node->device, found.st_dev);
    EQUAL(node->inode, found.st_ino);
    return listener;
}

static void ours_or_not(void)
{
    fdpasser_node node, other;
    int listener = serve(&node), second, fd;

    EQUAL(fdpasser_unlink("s", 1, &node), 1);
    EQUAL(entries("."), 0);
    EQUAL(fdpasser_unlink("s", 1, &node), 0); /* it is gone */
    EQUAL(fdpasser_unlink("no/s", 4, &node), 0);

    close(listener);
    listener = serve(&node);
    second = serve(&other); /* this one takes over */
    EQUAL(fdpasser_unlink("s", 1, &node), 0);
    EQUAL(entries("."), 1);
    EQUAL(fdpasser_unlink("s", 1, &other), 1);
    EQUAL(entries("."), 0);
    close(second);

    fd = open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd != -1);
    EQUAL(fdpasser_unlink("s", 1, &node), 0);
    close(fd);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);
    close(listener);

    ERRNO(fdpasser_unlink("s", 1, NULL), EFAULT);
    ERRNO(fdpasser_unlink(NULL, 1, &node), EFAULT);
    ERRNO(fdpasser_unlink("s\0s", 3, &node), EINVAL);
    listener = fdpasser_server_with("\0fdpasser-unlink", 16, 5, -1, 0, &node);
    if (listener != -1) {
        CHECK(node.device == 0 && node.inode == 0);
        EQUAL(fdpasser_unlink("\0fdpasser-unlink", 16, &node), 0);
        close(listener);
    }
}

/* The old server removes its node while the new one takes over. In the end the new node is
 * there. */
static void race(void)
{
    unsigned removed = 0;

    for (int i = 0; i < (on_valgrind() ? 30 : 400); i++) {
        fdpasser_node old, new;
        int listener = serve(&old), go[2], successor, client;
        pid_t child;

        EQUAL(pipe(go), 0);
        if ((child = spawn()) == 0) {
            wait_at_gate(go);
            CHECK(fdpasser_unlink("s", 1, &old) >= 0);
            _exit(0);
        }
        close_pair(go);
        successor = fdpasser_server_with("s", 1, 5, -1, 0, &new);
        OURS(successor);
        join(child);
        client = fdpasser_connect("s");
        check_serves(successor, client);
        EQUAL(entries("."), 1);
        close(client);
        EQUAL(fdpasser_unlink("s", 1, &old), 0);
        removed += fdpasser_unlink("s", 1, &new) == 1;
        close(successor);
        close(listener);
        EQUAL(entries("."), 0);
        EQUAL(removed, i + 1);
    }
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    ours_or_not();
    race();
    leave_directory(name);
}
