/* A full or nearly full table is EMFILE, and the message stays whole: its descriptors and its data come once there is
 * room for all of them. SO_PEEK_OFF does not change that, nor do bytes that wait in front.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

static unsigned char data[DATA];
static int fds[MAX];
static size_t len;

static int recv_all(int passer)
{
    return (int)fdpasser_recv_message(passer, fds, MAX, data, sizeof data, &len);
}

/* Messages of `n` descriptors, with fewer slots than that. */
static void several(int peek_off, size_t n, size_t size)
{
    int pair[2];

    make_pair(pair);
#ifdef SO_PEEK_OFF
    if (peek_off >= 0)
        EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_PEEK_OFF, &peek_off, sizeof peek_off), 0);
#else
    (void)peek_off;
#endif
    for (int i = 0; i < 3; i++)
        EQUAL(send_with_data(pair[0], 100 * (i + 1), n, size), (ssize_t)n);
    set_soft_limit(64);
    fill_table();
    for (int i = 0; i < 3; i++) {
        for (size_t slots = 0; slots < n; slots++) {
            snprintf(round_name, sizeof round_name, "peek off %d, %zu bytes, %zu of %zu slots: ", peek_off, size, slots, n);
            ERRNO(recv_all(pair[1]), EMFILE);
            ERRNO(recv_all(pair[1]), EMFILE);
            free_slots(1);
        }
        receive_with_data(pair[1], 100 * (i + 1), n, size);
        fill_table();
    }
    check_nothing_waits(pair[1]);
    empty_table();
    close_pair(pair);
}

/* Bytes without a descriptor join the message, and the descriptors still need their slots. */
static void bytes_in_front(void)
{
    int pair[2], two[2] = {numbered(1), numbered(2)};

    make_pair(pair);
    hostile_send(pair[0], "hello", 5, NULL, 0);
    hostile_send(pair[0], "data", 4, two, 2);
    close_pair(two);
    set_soft_limit(64);
    fill_table();
    for (int slots = 0; slots < 2; slots++) {
        ERRNO(recv_all(pair[1]), EMFILE);
        ERRNO(recv_all(pair[1]), EMFILE);
        free_slots(1);
    }
    EQUAL(recv_all(pair[1]), 2);
    RECEIVED(fds[0], 1);
    RECEIVED(fds[1], 2);
    EQUAL(len, 9);
    CHECK(memcmp(data, "hellodata", 9) == 0);
    empty_table();
    close_pair(pair);
}

/* Nobody can tell that they come alone. Once a slot is free, all of them are there. */
static void bytes_alone(void)
{
    int pair[2];

    make_pair(pair);
    hostile_send(pair[0], "alone", 5, NULL, 0);
    set_soft_limit(64);
    fill_table();
    ERRNO(recv_all(pair[1]), EMFILE);
    ERRNO(recv_all(pair[1]), EMFILE);
    free_slots(1);
    ERRNO(recv_all(pair[1]), EBADMSG);
    EQUAL(len, 5);
    CHECK(memcmp(data, "alone", 5) == 0);
    empty_table();
    close_pair(pair);
}

static void test(void)
{
    static const size_t sizes[] = {0, 4, 300, DATA};

    for (size_t i = 0; i < LENGTH(sizes); i++)
        for (size_t n = 1; n <= 5; n += 2) {
            IN_CHILD(several(-1, n, sizes[i]));
            IN_CHILD(several(0, n, sizes[i]));
            IN_CHILD(several(2, n, sizes[i]));
        }
    IN_CHILD(bytes_in_front());
    IN_CHILD(bytes_alone());
}
