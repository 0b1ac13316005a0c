/* 10,000 passers in one process work, and each takes one descriptor.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

enum { PASSERS = 10000, BATCH = 100 };

static int passers[PASSERS];

/* Runs in another process, which has the other ends. It sends each descriptor back. */
static void echo(int count)
{
    for (int i = 0; i < count; i++) {
        passers[i] = fdpasser_connect("s");
        OURS(passers[i]);
    }
    for (int i = 0; i < count; i++) {
        int fd = fdpasser_recv_fd(passers[i]);

        OURS(fd);
        EQUAL(fdpasser_send_fd(passers[i], fd), 1);
        close(fd);
    }
    for (int i = 0; i < count; i++) {
        EQUAL(fdpasser_recv_fd(passers[i]), 0);
        close(passers[i]);
    }
}

static void test(void)
{
    char name[PATH_MAX];
    int listener, before, count = on_valgrind() ? 500 : PASSERS;
    struct rlimit limit;
    pid_t child;

    if (hard_limit() < PASSERS + 50)
        SKIP("the hard limit is %lu descriptors; this needs %d", (unsigned long)hard_limit(),
             PASSERS + 50);
    if (!on_valgrind()) {
        limit.rlim_cur = limit.rlim_max = PASSERS + 50; /* one for each, not two */
        EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    enter_directory(name);
    listener = fdpasser_server("s", BATCH);
    OURS(listener);
    before = open_descriptors();
    if ((child = spawn()) == 0) {
        close(listener);
        echo(count);
        _exit(0);
    }
    for (int i = 0; i < count; i++) {
        passers[i] = fdpasser_accept(listener);
        OURS(passers[i]);
    }
    EQUAL(open_descriptors(), before + count);
    for (int i = 0; i < count; i++) {
        int fd = numbered(i);

        EQUAL(fdpasser_send_fd(passers[i], fd), 1);
        close(fd);
        RECEIVED(fdpasser_recv_fd(passers[i]), i);
    }
    for (int i = 0; i < count; i++)
        close(passers[i]);
    join(child);
    close(listener);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
