/* Out-of-band bytes, which the library never sends, leave the stream in step and open nothing. The
 * passer does not poll readable while there is nothing to receive, because then every loop would
 * spin.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no out-of-band bytes of this kind. */
#include "check.h"

static void send_out_of_band(int sock, int fd)
{
    if (hostile_sendmsg(sock, "!", 1, &fd, fd >= 0, MSG_OOB) == -1) {
        EQUAL(errno, EOPNOTSUPP);
        SKIP("this kernel has no out-of-band data on local sockets");
    }
}

/* Receives until there is nothing more. */
static void drain(int passer, int full)
{
    struct pollfd p = {passer, POLLIN, 0};
    int fd;

    for (int i = 0; i < 10; i++) {
        while (fdpasser_try_recv_fds(passer, &fd, 1) == 1)
            RECEIVED(fd, 1);
        if (errno == EAGAIN)
            break;
        if (full && errno == EMFILE)
            free_slots(1); /* a byte in line, which waits for a slot */
        else
            EQUAL(errno, EBADMSG);
    }
    EQUAL(errno, EAGAIN);
    EQUAL(poll(&p, 1, 0), 0);
    if (full)
        fill_table();
}

static void with(rlim_t limit, int full)
{
    int pair[2], fd = numbered(1);

    set_soft_limit(limit);
    make_pair(pair);
    if (full)
        fill_table();
    for (int i = 0; i < 3; i++) {
        send_out_of_band(pair[0], -1);
        drain(pair[1], full);
    }
    empty_table();
    for (int i = 0; i < 3; i++) {
        send_out_of_band(pair[0], fd);
        drain(pair[1], 0);
        send_numbered(pair[0], 2, 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    }
    send_out_of_band(pair[0], -1);
    close(pair[0]);
    while (fdpasser_recv_fd(pair[1]) == -1)
        EQUAL(errno, EBADMSG);
    close(pair[1]);
    close(fd);
}

static void test(void)
{
    IN_CHILD(with(1024, 0)); /* there is room for the largest message */
    IN_CHILD(with(64, 0));   /* there is room, but it takes a peek to prove it */
    IN_CHILD(with(64, 1));
}
