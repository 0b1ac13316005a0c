/* What the programs that use a passer with a queue share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "check.h"

HELPER fdpasser *make_passer(int fd)
{
    fdpasser *p = fdpasser_new(fd);

    CHECK(p != NULL);
    EQUAL(fdpasser_fileno(p), fd);
    return p;
}

/* Makes both ends of a connection, each with a queue. */
HELPER void make_passers(fdpasser *p[2])
{
    int pair[2];

    make_pair(pair);
    p[0] = make_passer(pair[0]);
    p[1] = make_passer(pair[1]);
}

HELPER void free_passers(fdpasser *p[2])
{
    fdpasser_free(p[0]);
    fdpasser_free(p[1]);
}

HELPER void push_numbered(fdpasser *p, int number)
{
    EQUAL(fdpasser_push_send_fd(p, numbered(number)), 1);
}

/* Makes one turn of the poll loop that the manual recommends. Returns what fdpasser_process()
 * returned. */
HELPER int turn(fdpasser *p)
{
    int events = fdpasser_events(p), timeout = fdpasser_timeout_ms(p);
    struct pollfd f = {events != 0 ? fdpasser_fileno(p) : -1, (short)events, 0};

    CHECK(events >= 0);
    CHECK(timeout >= -1);
    CHECK(events != 0 || timeout >= 0); /* or poll() would never return */
    CHECK(poll(&f, 1, timeout) >= 0);
    return fdpasser_process(p, f.revents);
}

/* Turns until everything queued is sent. */
HELPER void send_all(fdpasser *p)
{
    while (fdpasser_queued(p) > 0)
        EQUAL(turn(p), 1);
}

/* Turns until a descriptor arrives. It must be the file with `number`. */
HELPER void expect(fdpasser *p, int number)
{
    int fd;

    while ((fd = fdpasser_next_fd(p)) == -1) {
        EQUAL(errno, EAGAIN);
        EQUAL(turn(p), 1);
    }
    RECEIVED(fd, number);
}

/* The same, in a few turns: a loop that spins would take more. */
HELPER void expect_soon(fdpasser *p, int number)
{
    int fd;

    for (int turns = 0; (fd = fdpasser_next_fd(p)) == -1; turns++) {
        EQUAL(errno, EAGAIN);
        CHECK(turns < 5);
        EQUAL(turn(p), 1);
    }
    RECEIVED(fd, number);
}

/* Turns for `n` pauses of a passer whose table is full, while its socket is readable all the time. */
HELPER void pauses(fdpasser *p, int n)
{
    long long start = microseconds();
    int pause = fdpasser_retry_ms(EMFILE);

    for (int i = 0; i < n; i++) {
        EQUAL(turn(p), 1);
        ERRNO(fdpasser_next_fd(p), EAGAIN);
        EQUAL(fdpasser_events(p), 0);
    }
    /* There were `n` turns, and each pause was as long as asked for, so nothing spins. */
    CHECK((microseconds() - start) / 1000 >= (n - 1) * (pause - 1));
}

/* Checks that a passer with nothing to do does nothing, whichever events are reported, and how
 * often. */
HELPER void check_idle(fdpasser *p)
{
    static const int all[] = {0, POLLIN, POLLOUT, POLLIN | POLLOUT};

    for (size_t i = 0; i < 3 * LENGTH(all); i++)
        EQUAL(fdpasser_process(p, all[i % LENGTH(all)]), 1);
    ERRNO(fdpasser_next_fd(p), EAGAIN);
}

/* Turns until the passer reports the end or an error. Returns that result. */
HELPER int end_of(fdpasser *p)
{
    int state;

    while ((state = turn(p)) == 1)
        ;
    return state;
}

/* Checks that `error` is final: every further call reports it. */
HELPER void check_over(fdpasser *p, int error)
{
    int fd = numbered(1);

    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_process(p, POLLIN | POLLOUT), error);
        EQUAL(fdpasser_refused(p), -1);
        EQUAL(fdpasser_events(p), 0);
        EQUAL(fdpasser_timeout_ms(p), -1); /* the error has been reported */
        ERRNO(fdpasser_push_send_fd(p, fd), error);
        EQUAL(number_of(fd), 1);
    }
    close(fd);
}

#endif
