/* Packet sockets with data: every message arrives whole, and a message of no bytes with descriptors is descriptors
 * without data. One that is too long is EMSGSIZE for single calls and closes its descriptors, and the next one is good.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it tests what that kernel does. */
#include "queue_data.h"

static unsigned char data[DATA + 1000];
static int fds[MAX];

static ssize_t recv_all(int passer, size_t *len)
{
    return fdpasser_recv_message(passer, fds, MAX, data, sizeof data, len);
}

static void single(int kind)
{
    int pair[2], two[2];
    size_t len = 5;

    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
    for (size_t size = 1; size <= DATA; size += size < 4000 ? 131 : 1) {
        EQUAL(send_with_data(pair[0], 1, 1, size), 1);
        EQUAL(send_with_data(pair[0], 2, 3, 0), 3);
        receive_with_data(pair[1], 1, 1, size);
        receive_with_data(pair[1], 2, 3, 0);
    }
    two[0] = numbered(1);
    two[1] = numbered(2);
    for (size_t size = DATA + 1; size <= sizeof data; size += 333) {
        int before = open_descriptors();

        memset(data, 'x', sizeof data);
        hostile_send(pair[0], data, size, two, 2);
        hostile_send(pair[0], data, size, two, 2);
        EQUAL(send_with_data(pair[0], 3, 1, 77), 1);
        ERRNO(recv_all(pair[1], &len), EMSGSIZE);
        ERRNO(fdpasser_recv_fds(pair[1], fds, MAX), EMSGSIZE);
        EQUAL(open_descriptors(), before);
        receive_with_data(pair[1], 3, 1, 77);
    }
    hostile_send(pair[0], "", 0, two, 2);
    EQUAL(send_with_data(pair[0], 3, 1, 77), 1);
    EQUAL(recv_all(pair[1], &len), 2);
    EQUAL(len, 0);
    RECEIVED(fds[0], 1);
    RECEIVED(fds[1], 2);
    receive_with_data(pair[1], 3, 1, 77);

    /* Bytes alone never join. */
    hostile_send(pair[0], "alone", 5, NULL, 0);
    EQUAL(send_with_data(pair[0], 3, 1, 77), 1);
    ERRNO(recv_all(pair[1], &len), EBADMSG);
    EQUAL(len, 5);
    CHECK(memcmp(data, "alone", 5) == 0);
    receive_with_data(pair[1], 3, 1, 77);
    close_pair(two);
    close_pair(pair);
}

static void full_table(int kind)
{
    int pair[2], two[2] = {numbered(1), numbered(2)};
    size_t len = 0;

    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
    EQUAL(send_with_data(pair[0], 1, 2, DATA), 2);
    hostile_send(pair[0], "", 0, two, 2);
    close_pair(two);
    set_soft_limit(64);
    fill_table();
    for (int slots = 0; slots < 2; slots++) {
        ERRNO(recv_all(pair[1], &len), EMFILE);
        free_slots(1);
    }
    receive_with_data(pair[1], 1, 2, DATA);
    fill_table();
    for (int slots = 0; slots < 2; slots++) {
        ERRNO(recv_all(pair[1], &len), EMFILE);
        free_slots(1);
    }
    receive_with_data(pair[1], 1, 2, 0);
    empty_table();
    close_pair(pair);
}

static void queues(int kind)
{
    int pair[2], fd;
    fdpasser *p[2];

    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
    p[0] = make_passer(pair[0]);
    p[1] = make_reader(pair[1], 400);
    EQUAL(fdpasser_set_per_message(p[0], 7), 0);
    for (int i = 1; i <= 300; i++)
        push_with_data(p[0], i, i % 4 < 2 ? (size_t)i * 13 : 0);
    for (int i = 1; i <= 300; i++) {
        EQUAL(fdpasser_process(p[0], POLLOUT), 1);
        expect_with_data(p[1], i, i % 4 < 2 ? (size_t)i * 13 : 0);
    }
    fd = numbered(1);
    hostile_send(pair[0], "", 0, &fd, 1);
    close(fd);
    expect_with_data(p[1], 1, 0);
    free_passers(p);
}

static void test(void)
{
    for (int i = 0; i < 2; i++) {
        IN_CHILD(single(i ? SOCK_DGRAM : SOCK_SEQPACKET));
        IN_CHILD(full_table(i ? SOCK_DGRAM : SOCK_SEQPACKET));
        IN_CHILD(queues(i ? SOCK_DGRAM : SOCK_SEQPACKET));
    }
}
