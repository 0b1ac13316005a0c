/* The calls with data wait as the passer says, and no longer: SO_RCVTIMEO, SO_SNDTIMEO, a signal. Nothing is lost by
 * that, also if what wakes the caller is a full table.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it waits until a process sleeps, as /proc shows it. */
#include "data.h"
#include "timed.h"

static unsigned char data[DATA];
static int fds[MAX];
static size_t len;

static ssize_t receive(int passer)
{
    return fdpasser_recv_message(passer, fds, MAX, data, sizeof data, &len);
}

static void set_timeout(int sock, int option, int ms)
{
    struct timeval time = {ms / 1000, ms % 1000 * 1000};

    EQUAL(setsockopt(sock, SOL_SOCKET, option, &time, sizeof time), 0);
}

/* Checks that `call` ends with EAGAIN after about so many milliseconds. */
#define GIVES_UP(call, ms)                                                                         \
    do {                                                                                           \
        long long start_ = microseconds();                                                         \
                                                                                                   \
        ERRNO((call), EAGAIN);                                                                     \
        CHECK(microseconds() - start_ >= BY_TICKS((ms) * 1000LL));                                 \
        CHECK(microseconds() - start_ < (ms) * 1000LL + 20000000);                                 \
    } while (0)

static void deadlines(int *pair, int flags)
{
    int sent = 0;

    (void)flags;
    set_nonblocking(pair[1], 1);
    GIVES_UP(receive(pair[1]), 0);
    set_nonblocking(pair[1], 0);
    set_timeout(pair[1], SO_RCVTIMEO, 100);
    GIVES_UP(receive(pair[1]), 100);
    /* What comes in time is received. */
    WHEN_ASLEEP(EQUAL(send_with_data(pair[0], 1, 2, 3000), 2));
    set_timeout(pair[1], SO_RCVTIMEO, LONG);
    receive_with_data(pair[1], 1, 2, 3000);
    join(helper);

    set_send_buffer(pair[0], 4160);
    set_timeout(pair[0], SO_SNDTIMEO, 100);
    while (send_with_data(pair[0], 1, 1, DATA) == 1)
        sent++;
    EQUAL(errno, EAGAIN);
    CHECK(sent > 0);
    GIVES_UP(send_with_data(pair[0], 1, 1, DATA), 100);
    while (sent-- > 0)
        receive_with_data(pair[1], 1, 1, DATA);
    check_nothing_waits(pair[1]);
}

static void signals(int *pair, int flags)
{
    pid_t sender = start_signals_with(flags);
    int sent = 0;

    for (int i = 0; i < 5; i++)
        ERRNO(receive(pair[1]), EINTR);
    if (flags == 0) {
        set_send_buffer(pair[0], 4160);
        /* Until the socket is full. A signal may come while it is not. */
        set_nonblocking(pair[0], 1);
        while (fdpasser_send_message(pair[0], pair, 1, data, DATA) == 1)
            sent++;
        EQUAL(errno, EAGAIN);
        set_nonblocking(pair[0], 0);
        CHECK(sent > 0);
        for (int i = 0; i < 5; i++)
            ERRNO(fdpasser_send_message(pair[0], pair, 1, data, DATA), EINTR);
    }
    stop_signals(sender);
    while (sent-- > 0) {
        EQUAL(receive(pair[1]), 1);
        close(fds[0]);
        EQUAL(len, DATA);
    }
    check_nothing_waits(pair[1]);
}

/* The caller has no slot when the message comes. */
static void wakes_in_full_table(int *pair, int flags)
{
    int gate[2];

    (void)flags;
    EQUAL(pipe(gate), 0);
    WHEN_ASLEEP((wait_at_gate(gate), wait_until_asleep(parent_), EQUAL(send_with_data(pair[0], 1, 3, 3000), 3)));
    close(gate[0]);
    set_soft_limit(64);
    fill_table();
    free_slots(1);
    close(gate[1]); /* and this is the second slot */
    ERRNO(receive(pair[1]), EMFILE);
    free_slots(1);
    receive_with_data(pair[1], 1, 3, 3000);
    join(helper);
    empty_table();
}

static void with_pair(void (*part)(int *, int), int flags)
{
    int pair[2];

    memset(data, 'x', sizeof data);
    make_pair(pair);
    part(pair, flags);
    close_pair(pair);
}

static void test(void)
{
    IN_CHILD(with_pair(deadlines, 0));
    IN_CHILD(with_pair(signals, 0));
    IN_CHILD(with_pair(signals, SA_RESTART));
    IN_CHILD(with_pair(wakes_in_full_table, 0));
}
