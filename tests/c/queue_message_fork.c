/* A fork while a queue has data in both directions: the process that goes on has all of it, and the other one frees
 * its copy, which changes nothing. The two ends of a pair keep their data apart.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

static void queued(int child_goes_on)
{
    fdpasser *p[2];
    pid_t pid;

    make_passers(p);
    EQUAL(fdpasser_want_data(p[0], 1), 0);
    EQUAL(fdpasser_push_recv(p[0], 10), 0);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 10), 0);
    push_with_data(p[1], 11, DATA);
    push_with_data(p[1], 12, 20);
    send_all(p[1]);
    EQUAL(turn(p[0]), 1); /* received, and not taken */
    push_with_data(p[0], 1, 100);
    push_numbered(p[0], 2);
    push_with_data(p[0], 3, DATA);
    if ((pid = spawn()) == 0) {
        fdpasser_free(p[1]);
        if (child_goes_on) {
            next_with_data(p[0], 11, DATA);
            next_with_data(p[0], 12, 20);
            send_all(p[0]);
        }
        fdpasser_free(p[0]);
        _exit(0);
    }
    join(pid);
    if (!child_goes_on) {
        next_with_data(p[0], 11, DATA);
        next_with_data(p[0], 12, 20);
        send_all(p[0]);
    }
    expect_with_data(p[1], 1, 100);
    expect_with_data(p[1], 2, 0);
    expect_with_data(p[1], 3, DATA);
    free_passers(p);
}

static void pair_of_ends(void)
{
    fdpasser *p = fdpasser_new_pair();
    unsigned char data[DATA];
    size_t len;
    int fd = numbered(1);
    pid_t pid;

    CHECK(p != NULL);
    ERRNO(fdpasser_want_data(p, 1), EINVAL);
    ERRNO(fdpasser_push_send_message(p, fd, "x", 1), EINVAL);
    ERRNO(fdpasser_next_message(p, data, sizeof data, &len), EINVAL);
    close(fd);
    if ((pid = spawn()) == 0) {
        EQUAL(fdpasser_i_am_child(p), 0);
        EQUAL(fdpasser_want_data(p, 1), 0);
        EQUAL(fdpasser_push_recv(p, 1), 0);
        push_with_data(p, 1, 1000);
        send_all(p);
        expect_with_data(p, 2, 2000);
        fdpasser_free(p);
        _exit(0);
    }
    EQUAL(fdpasser_i_am_parent(p), 0);
    EQUAL(fdpasser_want_data(p, 1), 0);
    EQUAL(fdpasser_push_recv(p, 1), 0);
    push_with_data(p, 2, 2000);
    send_all(p);
    expect_with_data(p, 1, 1000);
    join(pid);
    fdpasser_free(p);
}

static void test(void)
{
    queued(0);
    queued(1);
    pair_of_ends();
}
