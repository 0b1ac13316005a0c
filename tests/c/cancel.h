/* What the programs about pthread_cancel(3) share: every call that waits, in a thread of its own, and what
 * it waits for.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CANCEL_H
#define CANCEL_H

#include "check.h"
#include <pthread.h>

enum need { MESSAGE, ROOM, CONNECTION, PLACE };

struct call {
    const char *name;
    int (*make)(void);
    enum need need;
    int error; /* what the call reports after a shutdown. 0 is the end of file. */
};

static int pair[2];            /* pair[0] sends, pair[1] receives */
static int listener;           /* at "s" */
static int clients[64];
static size_t n_clients;
static char directory[PATH_MAX];

static int call_recv_fd(void) { return fdpasser_recv_fd(pair[1]); }
static int call_recv_fd_timed(void) { return fdpasser_recv_fd_timed(pair[1], -1); }
static int call_send_fd(void) { return fdpasser_send_fd(pair[0], pair[0]); }
static int call_send_fd_timed(void) { return fdpasser_send_fd_timed(pair[0], pair[0], 1000 * DEADLINE); }
static int call_accept(void) { return fdpasser_accept(listener); }
static int call_accept_timed(void) { return fdpasser_accept_timed(listener, 1000 * DEADLINE); }
static int call_connect(void) { return fdpasser_connect("s"); }
static int call_connect_timed(void) { return fdpasser_connect_timed("s", 1, 1000 * DEADLINE); }

static int call_recv_fds(void)
{
    int fds[MAX];
    ssize_t n = fdpasser_recv_fds(pair[1], fds, MAX);

    return n == 1 ? fds[0] : (int)n;
}

static int call_send_fds(void)
{
    return (int)fdpasser_send_fds(pair[0], pair, 1, 1);
}

#ifndef FDPASSER_SYSV
static int call_recv_message(void)
{
    char data[FDPASSER_MAX_DATA];
    int fd;
    size_t len;
    ssize_t n = fdpasser_recv_message(pair[1], &fd, 1, data, sizeof data, &len);

    return n == 1 ? fd : (int)n;
}

static int call_send_message(void)
{
    return (int)fdpasser_send_message(pair[0], pair, 1, "data", 4);
}
#endif

static const struct call calls[] = {
    {"recv_fd", call_recv_fd, MESSAGE, 0},
    {"recv_fds", call_recv_fds, MESSAGE, 0},
#ifndef FDPASSER_SYSV
    {"recv_message", call_recv_message, MESSAGE, 0},
    {"send_message", call_send_message, ROOM, EPIPE},
#endif
    {"recv_fd_timed", call_recv_fd_timed, MESSAGE, 0},
    {"send_fd", call_send_fd, ROOM, EPIPE},
    {"send_fds", call_send_fds, ROOM, EPIPE},
    {"send_fd_timed", call_send_fd_timed, ROOM, EPIPE},
    {"accept", call_accept, CONNECTION, EINVAL},
    {"accept_timed", call_accept_timed, CONNECTION, EINVAL},
    {"connect", call_connect, PLACE, ECONNREFUSED},
    {"connect_timed", call_connect_timed, PLACE, ECONNREFUSED},
};

/* --- what the calls need --------------------------------------------------------------------- */

/* Makes everything, so that the call has to wait. */
HELPER void set_up(enum need need)
{
    enter_directory(directory);
    make_pair(pair);
    listener = fdpasser_server("s", 1);
    OURS(listener);
    n_clients = 0;
    if (need == ROOM)
        fill_socket(pair[0]);
    if (need == PLACE)
        while ((clients[n_clients] = knock("s")) != -1)
            CHECK(++n_clients < LENGTH(clients));
}

/* Gives what the call needs. */
HELPER void give(enum need need)
{
    int fd;

    switch (need) {
    case MESSAGE:
        send_numbered(pair[0], 5, 1);
        break;
    case ROOM: /* a socket has room when a good part of it is free */
        while (fdpasser_try_recv_fds(pair[1], &fd, 1) == 1)
            close(fd);
        break;
    case CONNECTION:
        CHECK((clients[n_clients++] = knock("s")) != -1);
        break;
    case PLACE:
        close(fdpasser_accept(listener));
        break;
    }
}

/* Checks what the call returned after give(). */
HELPER void check_given(enum need need, int result)
{
    if (need == ROOM) {
        EQUAL(result, 1);
        return;
    }
    OURS(result);
    if (need == MESSAGE)
        EQUAL(number_of(result), 5);
    else
        CHECK(fcntl(result, F_GETFL) != -1);
    close(result);
}

HELPER void tear_down(void)
{
    while (n_clients > 0)
        close(clients[--n_clients]);
    if (listener != -1)
        close(listener);
    close_pair(pair);
    EQUAL(unlink("s"), 0);
    leave_directory(directory);
}

/* --- the thread that calls ------------------------------------------------------------------- */

static struct {
    const struct call *call;
    int cancel_first; /* it cancels itself before the call */
    pid_t id;         /* 0 until it is about to call */
    int result, error;
} caller;

HELPER void *call_once(void *unused)
{
    if (caller.cancel_first)
        EQUAL(pthread_cancel(pthread_self()), 0);
    __atomic_store_n(&caller.id, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    /* musl tells the thread of the cancellation by a signal. */
    do
        caller.result = caller.call->make();
    while (caller.result == -1 && errno == EINTR);
    caller.error = errno;
    for (;;)
        pause(); /* until it is cancelled */
    return unused;
}

HELPER pthread_t start_call(const struct call *call, int cancel_first)
{
    pthread_t thread;

    caller.call = call;
    caller.cancel_first = cancel_first;
    caller.id = 0;
    EQUAL(pthread_create(&thread, NULL, call_once, NULL), 0);
    return thread;
}

/* Waits until the thread waits inside the call. */
HELPER void wait_until_inside(void)
{
    pid_t id;

    while ((id = __atomic_load_n(&caller.id, __ATOMIC_SEQ_CST)) == 0)
        poll(NULL, 0, 1);
    wait_until_asleep(id);
}

/* Waits for the end of the thread, which must be its cancellation. */
HELPER void join_cancelled(pthread_t thread)
{
    void *end;

    EQUAL(pthread_join(thread, &end), 0);
    CHECK(end == PTHREAD_CANCELED);
}

#endif
