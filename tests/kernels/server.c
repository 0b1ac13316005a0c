/* An exclusive server leaves a live one alone, also one whose backlog is full, and replaces a dead one. Connecting to a full
 * backlog fails at once on the BSDs and macOS. What is received, accepted and connected is close-on-exec.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"

static int serve(int backlog)
{
    return fdpasser_server_with("s", 1, backlog, -1, FDPASSER_EXCLUSIVE, NULL);
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
    make_pair(ends);
    OURS(ends[0]);
    OURS(ends[1]);
    close_pair(ends);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
