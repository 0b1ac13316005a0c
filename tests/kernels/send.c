/* Calls that may not wait do not wait. A full socket is EAGAIN, and waited for where that is asked for. Nothing is lost that
 * was sent. Too many descriptors in flight is an error that passes with time.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"
#include <pthread.h>

static int ends[2];

static int full; /* what is said of a full socket */

/* Sends until the socket is full, though it is in blocking mode. kernel.c aborts if it would wait. */
static int fill(unsigned per_message, size_t n)
{
    int fds[MAX], sent = 0, count;

    for (size_t i = 0; i < n; i++)
        fds[i] = ends[0];
    while ((count = (int)fdpasser_try_send_fds(ends[0], fds, n, per_message)) > 0)
        sent += count;
    EQUAL(errno, full);
    return n == 1 ? sent : sent + fill(1, 1);
}

/* Receives until there is nothing more. */
static int drain(void)
{
    int fds[MAX], got = 0, count;

    while ((count = (int)fdpasser_try_recv_fds(ends[1], fds, MAX)) > 0)
        while (count-- > 0)
            close(fds[count]), got++;
    EQUAL(errno, EAGAIN);
    return got;
}

static void never_waits(unsigned per_message, size_t n)
{
    struct pollfd p = {-1, POLLOUT, 0};

    make_pair(ends);
    p.fd = ends[0];
    for (int round = 0; round < 3; round++) {
        int sent = fill(per_message, n);

        CHECK(sent > 0);
        if (played != OPENBSD)
            EQUAL(poll(&p, 1, 0), 0);
        ERRNO(fdpasser_try_send_fds(ends[0], ends, 1, 1), full);
        EQUAL(status_flags(ends[0]) & O_NONBLOCK, 0); /* it is as it was */
        EQUAL(drain(), sent);                         /* nothing that was sent is lost */
        EQUAL(poll(&p, 1, 0), 1);
    }
    /* A deadline holds as well. */
    fill(per_message, n);
    ERRNO(fdpasser_send_fd_timed(ends[0], 0, 20), full == EAGAIN ? ETIMEDOUT : full);
    drain();
    set_nonblocking(ends[0], 1);
    fill(per_message, n);
    ERRNO(fdpasser_send_fd(ends[0], 0), full);
    CHECK(status_flags(ends[0]) & O_NONBLOCK);
    drain();
    close_pair(ends);
}

/* Receives so many, and so waits until they were sent. It begins when the sender sleeps, which one that tries again and
 * again never does. */
static void *receive_many(void *arg)
{
    int fds[MAX];

    wait_until_asleep(getpid());
    for (int left = *(int *)arg, count; left > 0; left -= count)
        for (int i = count = (int)fdpasser_recv_fds(ends[1], fds, MAX); i > 0; i--)
            close(fds[i - 1]);
    return NULL;
}

/* A blocking passer waits for room. */
static void waits(unsigned per_message, size_t n)
{
    int fds[MAX], total = 0;
    pthread_t thread;

    make_pair(ends);
    for (size_t i = 0; i < n; i++)
        fds[i] = ends[0];
    total = fill(per_message, n) + 3 * (int)n + 1;
    EQUAL(pthread_create(&thread, NULL, receive_many, &total), 0);
    for (int i = 0; i < 3; i++)
        EQUAL(fdpasser_send_fds(ends[0], fds, n, per_message), n);
    EQUAL(fdpasser_send_fd(ends[0], ends[0]), 1);
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(drain(), 0);
    close_pair(ends);
}

/* SO_SNDTIMEO bounds the wait. */
static void times_out(void)
{
    struct timeval time = {0, 30000};

    make_pair(ends);
    fill(1, 1);
    EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time), 0);
    ERRNO(fdpasser_send_fd(ends[0], 0), EAGAIN);
    drain();
    close_pair(ends);
}

/* All descriptors of a queue arrive, in order. */
static void queue(unsigned per_message)
{
    enum { N = 630 };
    fdpasser *p[2];
    int next = 1;

    make_passers(p);
    EQUAL(fdpasser_set_per_message(p[0], per_message), 0);
    fdpasser_push_recv(p[1], N);
    for (int i = 1; i <= N; i++)
        push_numbered(p[0], i);
    while (next <= N) {
        int fd;

        CHECK(fdpasser_process(p[0], POLLOUT) >= 0);
        CHECK(fdpasser_process(p[1], POLLIN) >= 0);
        for (; (fd = fdpasser_next_fd(p[1])) != -1; next++)
            RECEIVED(fd, next);
        EQUAL(errno, EAGAIN);
    }
    EQUAL(fdpasser_queued(p[0]), 0);
    free_passers(p);
}

/* Several in a message only where that is safe. */
static void several(void)
{
    int fds[5] = {0};
    char data[FDPASSER_MAX_DATA];
    size_t len;

    make_pair(ends);
    play_sent = 0;
    EQUAL(fdpasser_send_fds(ends[0], fds, 5, 5), 5);
    EQUAL(play_sent, several_are_lost() ? 5 : 1);
    EQUAL(drain(), 5);
    if (played == OPENBSD) { /* 127 and the rest */
        int many[190] = {0};

        play_sent = 0;
        EQUAL(fdpasser_send_fds(ends[0], many, 190, 190), 190);
        EQUAL(play_sent, 2);
        EQUAL(drain(), 190);
    }
    if (several_are_lost()) {
        ERRNO(fdpasser_send_message(ends[0], fds, 2, "two", 3), EINVAL);
        EQUAL(drain(), 0);
    } else {
        EQUAL(fdpasser_send_message(ends[0], fds, 2, "two", 3), 2);
        EQUAL(drain(), 2);
    }
    EQUAL(fdpasser_send_message(ends[0], fds, 1, "one", 3), 1);
    EQUAL(fdpasser_recv_message(ends[1], fds, 1, data, sizeof data, &len), 1);
    EQUAL(len, 3);
    close(fds[0]);
    close_pair(ends);
}

/* A message that the kernel calls too large is split. */
static void too_large(void)
{
    int fds[8];

    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = numbered(1 + (int)i);
    make_pair(ends);
    play_most = 5; /* E2BIG or EINVAL */
    EQUAL(fdpasser_send_fds(ends[0], fds, 8, 8), 8);
    for (int i = 1; i <= 8; i++)
        RECEIVED(fdpasser_recv_fd(ends[1]), i);
    play_most = 0;
    if (played == MACOS || played == FREEBSD15) { /* EMSGSIZE, while the socket is writable */
        play_buffer = 30;
        EQUAL(fdpasser_try_send_fds(ends[0], fds, 8, 8), 1);
        RECEIVED(fdpasser_recv_fd(ends[1]), 1);
        play_buffer = 0;
    }
    for (size_t i = 0; i < LENGTH(fds); i++)
        close(fds[i]);
    close_pair(ends);
}

/* EMSGSIZE of a socket that does not poll writable means full: for a message of one descriptor, too. */
static void full_by_size(void)
{
    int total = 12;
    pthread_t thread;

    if (played != NETBSD && played != MACOS)
        return;
    make_pair(ends);
    play_buffer = 100;
    EQUAL(fill(1, 1), 4);
    EQUAL(drain(), 4);
    EQUAL(fill(1, 1), 4);
    EQUAL(pthread_create(&thread, NULL, receive_many, &total), 0);
    for (int i = 0; i < 8; i++)
        EQUAL(fdpasser_send_fd(ends[0], 0), 1);
    EQUAL(pthread_join(thread, NULL), 0);
    play_buffer = 0;
    close_pair(ends);
}

/* A descriptor that cannot be sent is refused, and those behind it are sent. One that is closed is another matter. */
static void kqueue(void)
{
    int error = played == OPENBSD ? EINVAL : EOPNOTSUPP, many[] = {0, -1, 0};
    fdpasser *p[2];

    if (played == MACOS || played == ILLUMOS)
        return;
    many[1] = play_kqueue = numbered(2);
    make_pair(ends);
    ERRNO(fdpasser_send_fd(ends[0], play_kqueue), error);
    EQUAL(fdpasser_send_fds(ends[0], many, 3, 3), 1);
    ERRNO(fdpasser_send_fds(ends[0], many + 1, 2, 2), error);
    EQUAL(drain(), 1);
    close(play_kqueue);
    ERRNO(fdpasser_send_fd(ends[0], play_kqueue), played == NETBSD ? EBADF : error);
    close_pair(ends);

    make_passers(p);
    fdpasser_push_recv(p[1], 3);
    for (int i = 1; i <= 3; i++) {
        int fd = numbered(i);

        if (i == 2)
            play_kqueue = fd;
        EQUAL(fdpasser_push_send_fd(p[0], fd), 1);
    }
    ERRNO(turn(p[0]), error);
    EQUAL(fdpasser_refused(p[0]), play_kqueue);
    close(play_kqueue);
    EQUAL(turn(p[0]), 1);
    expect(p[1], 1);
    expect(p[1], 3);
    play_kqueue = -1;
    free_passers(p);
}

/* A single message that can never fit is not waited for. */
static void never_fits(void)
{
    if (played != NETBSD && played != MACOS && played != FREEBSD15)
        return;
    make_pair(ends);
    play_buffer = 10;
    ERRNO(fdpasser_send_fd(ends[0], 0), EMSGSIZE);
    ERRNO(fdpasser_try_send_fds(ends[0], ends, 1, 1), EMSGSIZE);
    play_buffer = 0;
    close_pair(ends);
}

/* A message that does not fit at first, while the peer makes room, is not refused. */
static void room_meanwhile(void)
{
    if (played != MACOS)
        return;
    make_pair(ends);
    fill(1, 1);
    drain();
    EQUAL(fdpasser_try_send_fds(ends[0], ends, 1, 1), 1);
    EQUAL(drain(), 1);
    close_pair(ends);
}

static void in_flight(void)
{
    int error = played == NETBSD ? ENOBUFS : ETOOMANYREFS;
    fdpasser *p[2];

    if (played != NETBSD && played != OPENBSD)
        return;
    make_pair(ends);
    play_in_flight = 1;
    ERRNO(fdpasser_send_fd(ends[0], 0), error);
    ERRNO(fdpasser_try_send_fds(ends[0], ends, 1, 1), error);
    CHECK(fdpasser_retry_ms(error) > 0);
    play_in_flight = 0;
    EQUAL(fdpasser_send_fd(ends[0], 0), 1);
    EQUAL(drain(), 1);
    close_pair(ends);

    /* A queue pauses by time, and goes on by itself. */
    make_passers(p);
    push_numbered(p[0], 1);
    fdpasser_push_recv(p[1], 1);
    play_in_flight = 1;
    EQUAL(fdpasser_process(p[0], POLLOUT), 1);
    EQUAL(fdpasser_events(p[0]), 0);
    CHECK(fdpasser_timeout_ms(p[0]) > 0);
    play_in_flight = 0;
    EQUAL(turn(p[0]), 1);
    EQUAL(fdpasser_queued(p[0]), 0);
    expect(p[1], 1);
    free_passers(p);
}

static void test(void)
{
    static const unsigned sizes[] = {1, 10, 126, 190};

    full = played == OPENBSD ? ENOBUFS : EAGAIN;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        never_waits(sizes[i], 1);
        never_waits(sizes[i], sizes[i]);
        if (played != OPENBSD)
            waits(sizes[i], sizes[i]);
        queue(sizes[i]);
    }
    if (played == NETBSD || played == MACOS)
        times_out();
    several();
    too_large();
    full_by_size();
    kqueue();
    never_fits();
    room_meanwhile();
    in_flight();
}
