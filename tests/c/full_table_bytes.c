/* A byte without a descriptor that waits while the table is full is EMFILE, because it looks like one with
 * a descriptor. Once a slot is free it is EBADMSG and consumed, and the next message arrives.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there a byte is told from a descriptor without a slot, see sysv/wire.c. */
#include "queue.h"

static void single_calls(rlim_t limit)
{
    int pair[2], fds[2] = {-7, -8};

    set_soft_limit(limit);
    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    hostile_send(pair[0], "x", 1, NULL, 0);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    fill_table();
    for (int i = 0; i < 3; i++) {
        /* The passer is in blocking mode, and waiting would never end. */
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
        ERRNO(fdpasser_recv_fds(pair[1], fds, 2), EMFILE);
        ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EMFILE);
    }
    free_slots(1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EAGAIN);
    free_slots(1); /* for the file that is sent */
    send_numbered(pair[0], 2, 1);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    CHECK(fds[0] == -7 && fds[1] == -8);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 2), EAGAIN);

    /* The end of file needs no slot, and comes behind such a byte. */
    hostile_send(pair[0], "x", 1, NULL, 0);
    close(pair[0]);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    fill_table();
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    empty_table();
    close(pair[1]);
}

/* A queue pauses too. The byte is final, as it is with free slots. */
static void queue(rlim_t limit)
{
    int pair[2];
    fdpasser *p;

    set_soft_limit(limit);
    make_pair(pair);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    send_numbered(pair[0], 1, 1);
    expect(p, 1);
    fill_table();
    hostile_send(pair[0], "x", 1, NULL, 0);
    EQUAL(turn(p), 1);
    pauses(p, 3);
    empty_table();
    EQUAL(end_of(p), -1);
    check_over(p, EBADMSG);
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    static const rlim_t limits[] = {16, 64, 256, 1024};

    for (size_t i = 0; i < LENGTH(limits); i++) {
        IN_CHILD(single_calls(limits[i]));
        IN_CHILD(queue(limits[i]));
    }
}
