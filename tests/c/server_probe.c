/* An exclusive server that finds another one live takes no place in its backlog.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
/* Only on Linux: it tests what that kernel says to the probe. */
#include "check.h"

enum { PROBES = 50 };

static int listener, clients[64];

static int serve(void)
{
    return fdpasser_server_with("s", 1, 1, -1, FDPASSER_EXCLUSIVE, NULL);
}

static void probe(void)
{
    for (int i = 0; i < PROBES; i++)
        ERRNO(serve(), EADDRINUSE);
    EQUAL(entries("."), 1);
}

/* Checks that exactly `n` clients wait, in this order. Closes them. */
static void check_clients(size_t n)
{
    set_nonblocking(listener, 1);
    for (size_t i = 0; i < n; i++) {
        send_numbered(clients[i], (int)i, 1);
        close(clients[i]);
    }
    for (size_t i = 0; i < n; i++) {
        int server = fdpasser_accept(listener);

        OURS(server);
        RECEIVED(fdpasser_recv_fd(server), (int)i);
        EQUAL(fdpasser_recv_fd(server), 0);
        close(server);
    }
    ERRNO(fdpasser_accept(listener), EAGAIN);
}

static void test(void)
{
    struct pollfd p = {-1, POLLIN, 0};
    char name[PATH_MAX];
    size_t n = 0;

    enter_directory(name);
    listener = p.fd = serve();
    OURS(listener);
    probe();
    EQUAL(poll(&p, 1, 0), 0); /* the server does not even wake */
    clients[0] = fdpasser_connect("s");
    OURS(clients[0]);
    check_clients(1);

    /* Between clients. */
    clients[0] = knock("s");
    probe();
    clients[1] = knock("s");
    CHECK(clients[0] != -1 && clients[1] != -1);
    check_clients(2);

    /* The backlog is full. */
    while ((clients[n] = knock("s")) != -1)
        CHECK(++n < LENGTH(clients));
    probe();
    check_clients(n);

    close(listener);
    listener = serve();
    OURS(listener);
    check_serves_at(listener, "s");
    close(listener);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
