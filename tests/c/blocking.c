/* A passer in blocking mode waits, for as long as SO_RCVTIMEO allows. After the wait it proves
 * again that there is room.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Only on Linux: it reads in /proc whether a thread sleeps. */
#include "check.h"
#include <pthread.h>
#include <sys/time.h>

/* Waits until the thread sleeps in a system call. It does no harm if the thread sleeps in another
 * one first. */
static void until_asleep(pid_t pid, pid_t tid)
{
    char path[64], line[512], *state;

    snprintf(path, sizeof path, "/proc/%ld/task/%ld/stat", (long)pid, (long)tid);
    do {
        FILE *stat = fopen(path, "re");

        CHECK(stat != NULL);
        CHECK(fgets(line, sizeof line, stat) != NULL);
        fclose(stat);
        state = strrchr(line, ')');
        CHECK(state != NULL);
        sched_yield();
    } while (state[2] != 'S');
}

static void waits_for_message(void)
{
    int pair[2];

    make_pair(pair);
    for (size_t n = 1; n <= 16; n += 15) {
        pid_t self = getpid(), child = spawn();

        if (child == 0) {
            until_asleep(self, self);
            send_numbered(pair[0], 50, n);
            _exit(0);
        }
        receive_numbered(pair[1], 50, n);
        join(child);
    }
    close_pair(pair);
}

static void waits_for_end(void)
{
    int pair[2];
    pid_t self = getpid(), child;

    make_pair(pair);
    if ((child = spawn()) == 0) {
        close(pair[1]);
        until_asleep(self, self);
        _exit(0); /* this closes pair[0] */
    }
    close(pair[0]);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    join(child);
    close(pair[1]);
}

/* A proof from before the sleep is stale after it. */
static int pair[2];
static pid_t main_thread;

static void *fill_then_send(void *unused)
{
    until_asleep(getpid(), main_thread);
    fill_table_with(pair[0]);
    EQUAL(fdpasser_send_fd(pair[0], pair[0]), 1);
    return unused;
}

static void fills_during_wait(rlim_t limit)
{
    pthread_t thread;
    int fd;

    set_soft_limit(limit);
    make_pair(pair);
    main_thread = (pid_t)syscall(SYS_gettid);
    EQUAL(pthread_create(&thread, NULL, fill_then_send, NULL), 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    EQUAL(pthread_join(thread, NULL), 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    fd = fdpasser_recv_fd(pair[1]);
    OURS(fd);
    close(fd);
    empty_table();
    close_pair(pair);
}

static void times_out(void)
{
    struct timeval timeout = {0, 60000};
    long long start;

    make_pair(pair);
    EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    start = microseconds();
    ERRNO(fdpasser_recv_fd(pair[1]), EAGAIN);
    CHECK((microseconds() - start) / 1000 >= 59);
    ERRNO(fdpasser_recv_fds(pair[1], (int[2]){0, 0}, 2), EAGAIN);

    /* Less than a millisecond must not become 0, which would mean no limit. */
    timeout.tv_usec = 1;
    EQUAL(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EAGAIN);

    send_numbered(pair[0], 3, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 3);

    /* The same for SO_SNDTIMEO. */
    EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);
    while (fdpasser_send_fd(pair[0], 0) == 1)
        ;
    EQUAL(errno, EAGAIN);
    close_pair(pair);
}

static void test(void)
{
    waits_for_message();
    waits_for_end();
    IN_CHILD(fills_during_wait(64));
    IN_CHILD(fills_during_wait(1024));
    if (!SYSV) /* STREAMS have no SO_RCVTIMEO */
        times_out();
}
