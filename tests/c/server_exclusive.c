/* An exclusive server takes over a left-over path but not a live one. If several start at once,
 * exactly one gets the path.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
#include "check.h"

static int serve(void)
{
    return fdpasser_server_with("s", 1, 1, -1, FDPASSER_EXCLUSIVE, NULL);
}

static void one_after_the_other(void)
{
    int listener = serve(), other, client, sock;

    OURS(listener);
    EQUAL(entries("."), 1); /* no lock file is left */
    ERRNO(serve(), EADDRINUSE);
    ERRNO(serve(), EADDRINUSE);
    EQUAL(entries("."), 1);
    /* Each probe is a connection that ends at once, and nothing else. */
    set_nonblocking(listener, 1);
    while ((client = fdpasser_accept(listener)) != -1) {
        EQUAL(fdpasser_recv_fd(client), 0);
        close(client);
    }
    /* A server with a full backlog is live too. */
    while ((sock = knock("s")) != -1)
        close(sock);
    ERRNO(serve(), EADDRINUSE);
    while ((client = fdpasser_accept(listener)) != -1)
        close(client);

    /* A server that is not exclusive takes over as always. */
    other = fdpasser_server("s", 5);
    OURS(other);
    close(listener);
    ERRNO(serve(), EADDRINUSE);
    close(other);

    listener = serve(); /* from the left-over path */
    check_serves_at(listener, "s");
    close(listener);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);

    /* A live socket of another kind. */
    sock = socket(AF_UNIX, SOCK_DGRAM, 0);
    EQUAL(bind(sock, (struct sockaddr *)&(struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "s"},
               sizeof(struct sockaddr_un)), 0);
    ERRNO(serve(), EADDRINUSE);
    close(sock);
    EQUAL(unlink("s"), 0);

    listener = fdpasser_server_with("\0fdpasser-exclusive", 19, 5, -1, FDPASSER_EXCLUSIVE, NULL);
    if (listener != -1 || errno != EADDRINUSE) {
        OURS(listener);
        ERRNO(fdpasser_server_with("\0fdpasser-exclusive", 19, 5, -1, 0, NULL), EADDRINUSE);
        close(listener);
    }
}

enum { SERVERS = 6 };

/* Starts from a left-over path, or from a free one. */
static void at_once(int left_over)
{
    int go[2], done[2], stay[2], served = 0;
    pid_t children[SERVERS];

    if (left_over) {
        int listener = fdpasser_server("s", 5);

        OURS(listener);
        close(listener);
    }
    EQUAL(pipe(go), 0);
    EQUAL(pipe(done), 0);
    EQUAL(pipe(stay), 0);
    for (int i = 0; i < SERVERS; i++)
        if ((children[i] = spawn()) == 0) {
            int listener;

            wait_at_gate(go); /* all start at once */
            listener = serve();
            if (listener == -1)
                EQUAL(errno, EADDRINUSE);
            EQUAL(write(done[1], listener == -1 ? "-" : "+", 1), 1);
            wait_at_gate(stay); /* stay alive until all have tried */
            _exit(0);
        }
    close_pair(go);
    for (int i = 0; i < SERVERS; i++) {
        char byte;

        EQUAL(read(done[0], &byte, 1), 1);
        served += byte == '+';
    }
    close_pair(done);
    close_pair(stay);
    for (int i = 0; i < SERVERS; i++)
        join(children[i]);
    EQUAL(served, 1);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);
}

/* A server that died while it started leaves a lock file that nobody has locked. */
static void left_over_lock(void)
{
    int fd = open(".s.fdpasser-lock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), listener;

    CHECK(fd != -1);
    close(fd);
    listener = serve();
    OURS(listener);
    close(listener);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);
    EQUAL(symlink("elsewhere", ".s.fdpasser-lock"), 0); /* this must not be followed */
    ERRNO(serve(), ENOLCK);
    EQUAL(entries("."), 1);
    EQUAL(unlink(".s.fdpasser-lock"), 0);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    one_after_the_other();
    for (int i = 0; i < (on_valgrind() ? 6 : 60); i++)
        at_once(i % 2);
    left_over_lock();
    leave_directory(name);
}
