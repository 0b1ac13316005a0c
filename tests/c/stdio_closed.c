/* With 0, 1 and 2 closed, the library never uses these numbers, and they are free afterwards.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void all_kinds(unsigned closed)
{
    int pair[2], fds[16], listener, client, server, fd = numbered(3);

    for (int i = 0; i < 3; i++)
        if (closed & 1U << i)
            close(i);
    EQUAL(fdpasser_socketpair(pair), 0);
    OURS(pair[0]);
    OURS(pair[1]);
    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3);
    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    EQUAL(fdpasser_recv_fds(pair[1], fds, 16), 1);
    RECEIVED(fds[0], 3);
    send_numbered(pair[0], 50, 2);
    receive_numbered(pair[1], 50, 2);
    send_numbered(pair[0], 50, 16);
    receive_numbered(pair[1], 50, 16);
    send_numbered(pair[0], 50, MAX);
    receive_numbered(pair[1], 50, MAX);
    if (!SYSV) {
        send_numbered(pair[0], 50, 4);
        ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
    }
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);

    listener = fdpasser_server("s", 0);
    OURS(listener);
    close(listener);
    listener = fdpasser_server("s", 0); /* this one takes over */
    OURS(listener);
    client = fdpasser_connect("s");
    OURS(client);
    server = fdpasser_accept(listener);
    OURS(server);
    close(server);
    close(client);
    close(listener);
    EQUAL(unlink("s"), 0);

    for (int i = 0; i < 3; i++)
        EQUAL(fcntl(i, F_GETFD) == -1, closed >> i & 1U);
    close_pair(pair);
    close(fd);
}

/* These numbers can be passed, and can be passers. */
static void passed(void)
{
    int pair[2], stdio[3];

    make_pair(pair);
    for (int i = 0; i < 3; i++) {
        int copy = fcntl(i, F_DUPFD_CLOEXEC, 3), fd = numbered(i);

        stdio[i] = copy;
        EQUAL(dup2(fd, i), i);
        close(fd);
        EQUAL(fdpasser_send_fd(pair[0], i), 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), i);
        EQUAL(dup2(pair[1], i), i);
        send_numbered(pair[0], 9, 1);
        RECEIVED(fdpasser_recv_fd(i), 9);
        EQUAL(fdpasser_send_fd(i, pair[0]), 1);
        close(fdpasser_recv_fd(pair[0]));
    }
    for (int i = 0; i < 3; i++) {
        EQUAL(dup2(stdio[i], i), i);
        close(stdio[i]);
    }
    close_pair(pair);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    for (unsigned closed = 0; closed < 8; closed++) {
        pid_t pid = spawn();

        if (pid == 0) {
            all_kinds(closed);
            _exit(0);
        }
        join(pid);
    }
    IN_CHILD(passed());
    leave_directory(name);
}
