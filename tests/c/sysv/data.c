/* STREAMS have no data. The functions for it are there: sending data is EOPNOTSUPP, and what comes has none.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "data.h"
#include "queue.h"

static unsigned char data[DATA];

static void single(void)
{
    int pair[2], fd = numbered(1), got;
    size_t len = 5;

    make_pair(pair);
    ERRNO(fdpasser_send_message(pair[0], &fd, 1, "data", 4), EOPNOTSUPP);
    ERRNO(fdpasser_try_send_message(pair[0], &fd, 1, "data", 4), EOPNOTSUPP);
    ERRNO(fdpasser_send_message(pair[0], (int[]){fd, fd}, 2, NULL, 0), EINVAL); /* a message carries one */
    ERRNO(fdpasser_try_recv_message(pair[1], &got, 1, data, DATA, &len), EAGAIN);
    EQUAL(fdpasser_send_message(pair[0], &fd, 1, NULL, 0), 1);
    EQUAL(fdpasser_try_send_message(pair[0], &fd, 1, "", 1), 1);
    for (int i = 0; i < 2; i++) {
        len = 5;
        EQUAL(fdpasser_recv_message(pair[1], &got, 1, data, DATA, &len), 1);
        EQUAL(len, 0);
        RECEIVED(got, 1);
    }
    len = 5;
    hostile_send(pair[0], "alone", 5, NULL, 0);
    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    ERRNO(fdpasser_recv_message(pair[1], &got, 1, data, DATA, &len), EBADMSG);
    EQUAL(len, 0);
    EQUAL(fdpasser_recv_message(pair[1], &got, 1, data, DATA, &len), 1);
    RECEIVED(got, 1);
    close(fd);
    close(pair[0]);
    EQUAL(fdpasser_recv_message(pair[1], &got, 1, data, DATA, &len), 0);
    close(pair[1]);
}

static void queues(void)
{
    fdpasser *p[2];
    int fd = numbered(2), got;
    size_t len = 5;

    make_passers(p);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], 3), 0);
    push_numbered(p[0], 1);
    EQUAL(fdpasser_push_send_message(p[0], fd, "data", 4), 1);
    push_numbered(p[0], 3);
    /* It is refused alone, as a descriptor that cannot be sent is. */
    ERRNO(turn(p[0]), EOPNOTSUPP);
    EQUAL(fdpasser_refused(p[0]), fd);
    close(fd);
    send_all(p[0]);
    for (int i = 1; i <= 3; i += 2) {
        while ((got = fdpasser_next_message(p[1], data, DATA, &len)) == -1)
            EQUAL(turn(p[1]), 1);
        EQUAL(len, 0);
        RECEIVED(got, i);
    }
    /* Bytes alone are an error, and nobody's data. */
    hostile_send(fdpasser_fileno(p[0]), "alone", 5, NULL, 0);
    push_numbered(p[0], 4);
    send_all(p[0]);
    ERRNO(end_of(p[1]), EBADMSG);
    check_over(p[1], EBADMSG);
    free_passers(p);
}

static void test(void)
{
    IN_CHILD(single());
    IN_CHILD(queues());
}
