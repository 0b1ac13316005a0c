/* The epoll loops of docs/queues.md, level-triggered and edge-triggered, work with many passers in
 * one loop, and each passer gets its turn.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS do not tell what the peer has not taken. */
/* Only on Linux: epoll exists there only. */
#include "queue.h"
#include <sys/epoll.h>

enum { PAIRS = 8, TOTAL = 500 };

static struct end {
    fdpasser *p;
    unsigned events; /* the events that epoll waits for */
    int sends, done, count;
} ends[2 * PAIRS];

static unsigned wakes;

static void arm(int epoll, struct end *end, int edge)
{
    struct epoll_event event = {0, {end}};

    event.events = edge ? EPOLLIN | EPOLLOUT | EPOLLET : (unsigned)fdpasser_events(end->p);
    if (end->done)
        event.events = 0;
    if (event.events == end->events)
        return;
    EQUAL(epoll_ctl(epoll,
                    end->events == 0   ? EPOLL_CTL_ADD
                    : event.events == 0 ? EPOLL_CTL_DEL
                                        : EPOLL_CTL_MOD,
                    fdpasser_fileno(end->p), &event),
          0);
    end->events = event.events;
}

static void go(struct end *end, unsigned revents)
{
    int state = fdpasser_process(end->p, (int)revents), fd;

    while ((fd = fdpasser_next_fd(end->p)) != -1)
        RECEIVED(fd, end->count++);
    if (end->sends && fdpasser_queued(end->p) == 0) {
        if (end->count < TOTAL) {
            for (int i = 0; i < 50; i++)
                push_numbered(end->p, end->count++);
        } else if (fdpasser_drained(end->p) == 1) {
            end->done = 1;
        }
    } else if (!end->sends) {
        end->done = state == 0;
    }
    EQUAL(state, end->done && !end->sends ? 0 : 1);
}

static void loop(int edge)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), left = 2 * PAIRS;

    CHECK(epoll != -1);
    for (size_t i = 0; i < PAIRS; i++) {
        fdpasser *p[2];

        make_passers(p);
        EQUAL(fdpasser_push_recv(p[1], INT_MAX), 0);
        ends[2 * i] = (struct end){p[0], 0, 1, 0, 0};
        ends[2 * i + 1] = (struct end){p[1], 0, 0, 0, 0};
    }
    while (left > 0) {
        struct epoll_event event[3];
        int timeout = -1, n;

        for (size_t i = 0; i < LENGTH(ends); i++) {
            struct end *end = &ends[i];
            int ms;

            if (end->p == NULL)
                continue;
            ms = fdpasser_timeout_ms(end->p);
            if (ms >= 0 && (timeout < 0 || ms < timeout))
                timeout = ms;
            if (end->sends && fdpasser_queued(end->p) == 0)
                timeout = 0; /* fdpasser_drained() has to be asked */
            arm(epoll, end, edge);
        }
        n = epoll_wait(epoll, event, LENGTH(event), timeout);
        wakes++;
        CHECK(n >= 0);
        for (int i = 0; i < n; i++)
            go(event[i].data.ptr, event[i].events);
        for (size_t i = 0; i < LENGTH(ends); i++)
            if (ends[i].p != NULL && !ends[i].done)
                go(&ends[i], 0);
        for (size_t i = 0; i < LENGTH(ends); i++)
            if (ends[i].p != NULL && ends[i].done) {
                arm(epoll, &ends[i], edge);
                fdpasser_free(ends[i].p);
                ends[i].p = NULL;
                EQUAL(ends[i].count, TOTAL);
                left--;
            }
    }
    close(epoll);
}

static void test(void)
{
    loop(0);
    loop(1);
}
