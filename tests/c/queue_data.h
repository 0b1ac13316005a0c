/* What the programs about queues with data share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef QUEUE_DATA_H
#define QUEUE_DATA_H

#include "data.h"
#include "queue.h"

/* Queues the file with this number and its data. 0 is no data. */
HELPER void push_with_data(fdpasser *p, int number, size_t len)
{
    unsigned char data[DATA];

    make_data(data, number, len);
    EQUAL(fdpasser_push_send_message(p, numbered(number), data, len), 1);
}

/* Checks that the next descriptor is there already, with so much of its data. */
HELPER void next_with_data(fdpasser *p, int number, size_t len)
{
    unsigned char data[DATA];
    size_t got = 77777;
    int fd = fdpasser_next_message(p, data, sizeof data, &got);

    CHECK(fd != -1);
    RECEIVED(fd, number);
    HAS_DATA(data, got, number, len);
}

/* Turns until a descriptor arrives. It must be the file with `number`, with so much of its data. */
HELPER void expect_with_data(fdpasser *p, int number, size_t len)
{
    unsigned char data[DATA];
    size_t got = 77777;
    int fd;

    while ((fd = fdpasser_next_message(p, data, sizeof data, &got)) == -1) {
        EQUAL(errno, EAGAIN);
        EQUAL(turn(p), 1);
    }
    RECEIVED(fd, number);
    HAS_DATA(data, got, number, len);
}

/* Makes a passer that wants data, and `n` descriptors. */
HELPER fdpasser *make_reader(int fd, int n)
{
    fdpasser *p = make_passer(fd);

    EQUAL(fdpasser_want_data(p, 1), 0);
    EQUAL(fdpasser_push_recv(p, n), 0);
    return p;
}

#endif
