/* An exclusive server leaves a live one alone, also one whose backlog is full, and replaces a dead one. Connecting to a full
 * backlog fails at once on the BSDs and macOS. What is received, accepted and connected is close-on-exec, and
 * what is accepted is in blocking mode.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"

static int serve(int backlog)
{
    return fdpasser_server_with("s", 1, backlog, -1, FDPASSER_EXCLUSIVE, NULL);
}

/* Connections are in blocking mode, whatever mode the listener is in. */
static void mode(void)
{
    int listener, client, passer;

    OURS(listener = fdpasser_server("s", 1));
    OURS(client = fdpasser_connect("s"));
    OURS(passer = fdpasser_accept_timed(listener, 10000)); /* makes the listener non-blocking */
    CHECK(status_flags(listener) & O_NONBLOCK);
    EQUAL(status_flags(passer) & O_NONBLOCK, 0);
    close(passer);
    close(client);
    close(listener);
}

/* Shutting down a listener ends a wait. */
static void shut_down(void)
{
    int listener = fdpasser_server("s", 1);
    pid_t parent = getpid(), child;

    OURS(listener);
    if ((child = spawn()) == 0) {
        wait_until_asleep(parent);
        EQUAL(shutdown(listener, SHUT_RDWR), 0);
        _exit(0);
    }
    ERRNO(fdpasser_accept_timed(listener, 60000), EINVAL);
    join(child);
    close(listener);
}

static void test(void)
{
    char name[PATH_MAX];
    int clients[64], n = 0, listener, ends[2];

    enter_directory(name);
    OURS(listener = serve(1));
    check_serves_at(listener, "s"); /* with OURS and RECEIVED */
    ERRNO(serve(1), EADDRINUSE);
    if (played != ILLUMOS) {
        while ((clients[n] = fdpasser_connect("s")) != -1)
            CHECK(++n < (int)LENGTH(clients));
        EQUAL(errno, ECONNREFUSED);
        ERRNO(fdpasser_connect_timed("s", 1, 10), ECONNREFUSED);
        for (int i = 0; i < 5; i++)
            ERRNO(serve(1), EADDRINUSE);
        while (n-- > 0)
            close(clients[n]);
    }
    EQUAL(entries("."), 1);
    close(listener);
    OURS(listener = serve(1));
    check_serves_at(listener, "s");
    close(listener);
    mode();
    shut_down();
    make_pair(ends);
    OURS(ends[0]);
    OURS(ends[1]);
    close_pair(ends);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
