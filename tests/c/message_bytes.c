/* Up to as many bytes as a message may have come without a descriptor: fdpasser_recv_message() hands out all of them,
 * with EBADMSG. More are EMSGSIZE, because nobody can say what belongs to which message.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "data.h"

/* Out-of-band bytes are put in line, where they are bytes like others: joined to the next message, or alone. */
static void out_of_band(void)
{
    unsigned char data[2 * DATA];
    int pair[2], fd, one = numbered(1);
    size_t at = 0, len;

    make_pair(pair);
    if (hostile_sendmsg(pair[0], "!", 1, NULL, 0, MSG_OOB) == -1) {
        CHECK(errno == EOPNOTSUPP || errno == EINVAL); /* there are none here */
    } else {
        hostile_send(pair[0], "data", 4, &one, 1);
        while (fdpasser_recv_message(pair[1], &fd, 1, data + at, DATA, &len) != 1) {
            EQUAL(errno, EBADMSG);
            at += len;
        }
        EQUAL(at + len, 5);
        CHECK(memcmp(data, "!data", 5) == 0);
        RECEIVED(fd, 1);
    }
    close(one);
    close_pair(pair);
}

/* Receives the message that has this descriptor, with exactly these bytes. */
static void expect_text(int passer, int number, const char *text)
{
    unsigned char data[DATA];
    int fd;
    size_t len;

    EQUAL(fdpasser_recv_message(passer, &fd, 1, data, DATA, &len), 1);
    RECEIVED(fd, number);
    EQUAL(len, strlen(text));
    CHECK(memcmp(data, text, len) == 0);
}

/* Receives these bytes, which have no descriptor. */
static void expect_alone(int passer, const char *text)
{
    unsigned char data[DATA];
    int fd;
    size_t len;

    ERRNO(fdpasser_recv_message(passer, &fd, 1, data, DATA, &len), EBADMSG);
    EQUAL(len, strlen(text));
    CHECK(memcmp(data, text, len) == 0);
}

/* Alone and joined, in front of messages, between them and behind them. */
static void everywhere(int alone)
{
    unsigned char data[DATA];
    int pair[2], fd;
    size_t len;

    make_pair(pair);
    for (int i = 1; i <= 3; i++) {
        hostile_send(pair[0], "ahead", 5, NULL, 0);
        if (alone)
            expect_alone(pair[1], "ahead");
        fd = numbered(i);
        hostile_send(pair[0], "data", 4, &fd, 1);
        close(fd);
        if (alone)
            expect_text(pair[1], i, "data");
    }
    for (int i = 1; i <= 3 && !alone; i++)
        expect_text(pair[1], i, "aheaddata");
    hostile_send(pair[0], "behind", 6, NULL, 0);
    close(pair[0]);
    expect_alone(pair[1], "behind");
    for (int i = 0; i < 2; i++) {
        EQUAL(fdpasser_recv_message(pair[1], &fd, 1, data, DATA, &len), 0);
        EQUAL(len, 0);
    }
    close(pair[1]);
}

static void test(void)
{
    static unsigned char sent[2 * DATA], got[DATA];
    int pair[2], fds[MAX];
    size_t len;

    out_of_band();
    for (int alone = 0; alone < 2; alone++)
        everywhere(alone);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    make_pair(pair);
    hostile_send(pair[0], sent, DATA, NULL, 0);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, DATA, &len), EBADMSG);
    EQUAL(len, DATA);
    CHECK(memcmp(got, sent, DATA) == 0);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
    hostile_send(pair[0], sent, DATA + 1, NULL, 0);
    ERRNO(fdpasser_recv_message(pair[1], fds, MAX, got, DATA, &len), EMSGSIZE);
    close_pair(pair);
}
