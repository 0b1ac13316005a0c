/* The functions of this library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <fdpasser.h>

#include <errno.h>
#include <poll.h>

#include "peer.h"

#define MESSAGES 16
static int got[MESSAGES * MOST];

static void send_each(void)
{
    for (long left = n; left > 0; left--)
        if (send_fd(PASSER, fds[0]) != 1)
            err(1, "send_fd");
}

static void recv_each(void)
{
    for (long left = n; left > 0; left--) {
        int fd = recv_fd(PASSER);

        if (fd <= 0)
            err(1, "recv_fd");
        close(fd);
    }
}

/* The same with 100 bytes of data. */
static char data[FDPASSER_MAX_DATA];

static void prepare_data(void)
{
    memset(data, 'x', DATA);
}

static void send_each_data(void)
{
    for (long left = n; left > 0; left--)
        if (fdpasser_send_message(PASSER, fds, 1, data, DATA) != 1)
            err(1, "fdpasser_send_message");
}

static void recv_each_data(void)
{
    for (long left = n; left > 0; left--) {
        size_t len;
        int fd;

        if (fdpasser_recv_message(PASSER, &fd, 1, data, sizeof data, &len) != 1 || len != DATA)
            err(1, "fdpasser_recv_message");
        close(fd);
    }
}

/* Many in one call, `per` in each message. */
static int *many;

static void prepare_many(void)
{
    many = malloc((size_t)n * sizeof *many);
    if (many == NULL)
        err(1, "malloc");
    for (long i = 0; i < n; i++)
        many[i] = fds[0];
}

static void send_many(void)
{
    if (fdpasser_send_fds(PASSER, many, (size_t)n, (unsigned)per) != n)
        err(1, "fdpasser_send_fds");
}

static void recv_many(void)
{
    for (long left = n; left > 0;) {
        ssize_t count = fdpasser_recv_fds(PASSER, got, MOST);

        if (count <= 0)
            err(1, "fdpasser_recv_fds");
        left -= count;
        while (count > 0)
            close(got[--count]);
    }
}

/* Several messages in one call, and poll() between the calls. */
static void recv_messages(void)
{
    struct pollfd wait = {PASSER, POLLIN, 0};

    for (long left = n; left > 0;) {
        int status;
        ssize_t count =
            fdpasser_try_recv_messages(PASSER, got, MESSAGES * MOST, MESSAGES, &status);

        if (count < 0 || (count == 0 && status != -EAGAIN))
            errx(1, "fdpasser_try_recv_messages: %d", status);
        left -= count;
        while (count > 0)
            close(got[--count]);
        if (status == -EAGAIN && left > 0)
            poll(&wait, 1, -1);
    }
}

/* The queue, in a poll() loop. */
enum { QUEUED = 100 };
static fdpasser *queue;

static void prepare_queue(void)
{
    if ((queue = fdpasser_new(PASSER)) == NULL || fdpasser_set_per_message(queue, (unsigned)per) != 0)
        err(1, "fdpasser_new");
}

static int with_data;

static void prepare_queue_data(void)
{
    prepare_data();
    prepare_queue();
    with_data = 1;
    if (fdpasser_want_data(queue, 1) != 0)
        err(1, "fdpasser_want_data");
}

static int push(int fd)
{
    return with_data ? fdpasser_push_send_message(queue, fd, data, DATA) : fdpasser_push_send_fd(queue, fd);
}

static int next_fd(void)
{
    size_t len;
    int fd = with_data ? fdpasser_next_message(queue, data, sizeof data, &len) : fdpasser_next_fd(queue);

    if (with_data && fd > 0 && len != DATA)
        errx(1, "fdpasser_next_message: %zu bytes", len);
    return fd;
}

static int queue_turn(void)
{
    int events = fdpasser_events(queue);
    struct pollfd wait = {events != 0 ? PASSER : -1, (short)events, 0};

    poll(&wait, 1, fdpasser_timeout_ms(queue));
    return fdpasser_process(queue, wait.revents);
}

/* The queue closes what it has sent, so it is given duplicates. */
static void send_queue(void)
{
    for (long left = n; left > 0 || fdpasser_queued(queue) > 0;) {
        for (; left > 0 && fdpasser_queued(queue) < QUEUED; left--)
            if (push(dup(fds[0])) != 1)
                err(1, "push");
        if (queue_turn() != 1)
            err(1, "fdpasser_process");
    }
}

static void recv_queue(void)
{
    if (fdpasser_push_recv(queue, QUEUED) != 0)
        err(1, "fdpasser_push_recv");
    for (long left = n; left > 0;) {
        int fd, taken = 0;

        if (queue_turn() != 1)
            err(1, "fdpasser_process");
        for (; (fd = next_fd()) > 0; taken++)
            close(fd);
        if (taken > 0)
            fdpasser_push_recv(queue, taken);
        left -= taken;
    }
}

static void ping(void)
{
    for (long left = n; left > 0; left--) {
        int fd;

        if (send_fd(PASSER, fds[0]) != 1 || (fd = recv_fd(PASSER)) <= 0)
            err(1, "ping");
        close(fd);
    }
}

static void pong(void)
{
    for (long left = n; left > 0; left--) {
        int fd = recv_fd(PASSER);

        if (fd <= 0 || send_fd(PASSER, fd) != 1)
            err(1, "pong");
        close(fd);
    }
}

const struct role roles[] = {
    {"send_fd", NULL, send_each},
    {"recv_fd", NULL, recv_each},
    {"send_message", prepare_data, send_each_data},
    {"recv_message", NULL, recv_each_data},
    {"send_fds", prepare_many, send_many},
    {"recv_fds", NULL, recv_many},
    {"recv_messages", NULL, recv_messages},
    {"send_queue", prepare_queue, send_queue},
    {"recv_queue", prepare_queue, recv_queue},
    {"send_queue_data", prepare_queue_data, send_queue},
    {"recv_queue_data", prepare_queue_data, recv_queue},
    {"ping", NULL, ping},
    {"pong", NULL, pong},
    {NULL, NULL, NULL},
};
