/* 100,000 messages over one connection, by single calls and with queues: each has the descriptor that its data
 * names, in order.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"

enum { FILES = 50 };

static int total, files[FILES];

static size_t length_of(int i)
{
    return 4 + (size_t)i * 31 % 300 + (i % 100 == 0 ? 3700 : 0);
}

/* The data has the number of the message. */
static void check(int fd, const unsigned char *data, size_t len, int i)
{
    HAS_DATA(data, len, i, length_of(i));
    RECEIVED(fd, i % FILES);
}

static void single(void)
{
    unsigned char data[DATA];
    int pair[2], fd;
    size_t len;
    pid_t pid;

    make_pair(pair);
    if ((pid = spawn()) == 0) {
        for (int i = 0; i < total; i++) {
            make_data(data, i, length_of(i));
            EQUAL(fdpasser_send_message(pair[0], &files[i % FILES], 1, data, length_of(i)), 1);
        }
        _exit(0);
    }
    for (int i = 0; i < total; i++) {
        EQUAL(fdpasser_recv_message(pair[1], &fd, 1, data, sizeof data, &len), 1);
        check(fd, data, len, i);
    }
    join(pid);
    close_pair(pair);
}

static void queues(void)
{
    unsigned char data[DATA];
    int pushed = 0, taken = 0, fd;
    size_t len;
    fdpasser *p[2];

    make_passers(p);
    EQUAL(fdpasser_want_data(p[1], 1), 0);
    EQUAL(fdpasser_push_recv(p[1], total), 0);
    EQUAL(fdpasser_set_max_queued(p[0], 150), 0);
    while (taken < total) {
        for (; pushed < total; pushed++) {
            int copy = fcntl(files[pushed % FILES], F_DUPFD_CLOEXEC, 3);

            CHECK(copy >= 0);
            make_data(data, pushed, length_of(pushed));
            if (fdpasser_push_send_message(p[0], copy, data, length_of(pushed)) == -1) {
                EQUAL(errno, EAGAIN);
                close(copy);
                break;
            }
        }
        EQUAL(fdpasser_process(p[0], POLLOUT), 1);
        EQUAL(fdpasser_process(p[1], POLLIN), 1);
        while ((fd = fdpasser_next_message(p[1], data, sizeof data, &len)) != -1)
            check(fd, data, len, taken++);
    }
    free_passers(p);
}

static void test(void)
{
    long long start = microseconds();

    total = on_valgrind() ? 2000 : 100000;
    for (int i = 0; i < FILES; i++)
        files[i] = numbered(i);
    single();
    queues();
    for (int i = 0; i < FILES; i++)
        close(files[i]);
    printf("%d messages twice in %lld ms\n", total, (microseconds() - start) / 1000);
}
