/* Every descriptor that the library makes or receives is close-on-exec. New passers and listeners
 * are in blocking mode. A passed file keeps the flags that its owner set.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void ours_and_blocking(int fd)
{
    OURS(fd);
    CHECK(!(status_flags(fd) & O_NONBLOCK));
}

static void connections(void)
{
    int pair[2], listener, client, server;

    EQUAL(fdpasser_socketpair(pair), 0);
    ours_and_blocking(pair[0]);
    ours_and_blocking(pair[1]);
    close_pair(pair);

    for (int take_over = 0; take_over < 2; take_over++) {
        listener = fdpasser_server("s", 0);
        ours_and_blocking(listener);
        client = fdpasser_connect("s");
        ours_and_blocking(client);
        server = fdpasser_accept(listener);
        ours_and_blocking(server);
        close(client);
        close(server);

        /* An accepted descriptor does not inherit the listener's mode. */
        set_nonblocking(listener, 1);
        client = fdpasser_connect("s");
        server = fdpasser_accept(listener);
        ours_and_blocking(server);
        CHECK(status_flags(listener) & O_NONBLOCK);
        close(client);
        close(server);
        close(listener);
    }
    EQUAL(unlink("s"), 0);
}

static void files(void)
{
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_NONBLOCK, O_WRONLY | O_APPEND,
                                O_RDWR | O_APPEND | O_NONBLOCK};
    int pair[2];

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(flags); i++) {
        /* The sender's descriptor is not close-on-exec. That flag belongs to a descriptor, and the
         * receiver's has it. */
        int fd = open("f", O_CREAT | flags[i], 0600), got;

        CHECK(fd >= 0);
        EQUAL(fdpasser_send_fd(pair[0], fd), 1);
        CHECK(!is_close_on_exec(fd));
        got = fdpasser_recv_fd(pair[1]);
        OURS(got);
        EQUAL(status_flags(got), status_flags(fd));
        EQUAL(status_flags(got) & (O_ACCMODE | O_APPEND | O_NONBLOCK), flags[i]);
        close(got);
        EQUAL(fdpasser_send_fds(pair[0], (int[2]){fd, fd}, 2, 2), 2);
        {
            int both[2];

            receive_message(pair[1], both, 2);
            OURS(both[0]);
            OURS(both[1]);
            close_pair(both);
        }
        close(fd);
    }
    EQUAL(unlink("f"), 0);
    close_pair(pair);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    connections();
    files();
    leave_directory(name);
}
