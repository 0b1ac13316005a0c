/* While the table is full, fdpasser_accept() returns EMFILE and leaves the connection in the
 * backlog. The same connection is accepted when a slot is free.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void with_limit(rlim_t limit, int no_stdin)
{
    int listener, client, other;

    set_soft_limit(limit);
    if (no_stdin)
        close(0);
    listener = fdpasser_server("s", 5);
    client = fdpasser_connect("s");
    OURS(listener);
    OURS(client);
    fill_table_with(listener);
    for (int i = 0; i < 5; i++)
        ERRNO(fdpasser_accept(listener), EMFILE);
    CHECK(fdpasser_retry_ms(EMFILE) > 0);
    ERRNO(fdpasser_connect("s"), EMFILE);
    free_slots(3); /* two of them are for the descriptors that check_serves() passes */
    check_serves(listener, client); /* the same connection as before */
    fill_table_with(listener);
    ERRNO(fdpasser_accept(listener), EMFILE); /* at once, although the backlog is empty */
    empty_table();
    if (no_stdin)
        EQUAL(fcntl(0, F_GETFD), -1);

    set_nonblocking(listener, 1);
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_accept(listener), EAGAIN);
    EQUAL(fdpasser_retry_ms(EAGAIN), 0);
    other = fdpasser_connect("s");
    check_serves(listener, other);
    close(other);
    close(client);
    close(listener);
    EQUAL(unlink("s"), 0);
    if (no_stdin)
        EQUAL(open("/dev/null", O_RDWR), 0);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    IN_CHILD(with_limit(32, 0));
    IN_CHILD(with_limit(32, 1));
    IN_CHILD(with_limit(1024, 0));
    leave_directory(name);
}
