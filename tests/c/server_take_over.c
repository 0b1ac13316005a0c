/* While servers take a path over from each other, the path always exists and somebody always
 * listens there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a mount cannot be taken over in one step. */
#include "check.h"

enum { TAKE_OVERS = 300 };

struct progress {
    int stop;
    unsigned looks, connections;
};

static void look(struct progress *progress)
{
    struct stat node;

    while (!__atomic_load_n(&progress->stop, __ATOMIC_SEQ_CST)) {
        EQUAL(lstat("s", &node), 0);
        CHECK(S_ISSOCK(node.st_mode));
        __atomic_add_fetch(&progress->looks, 1, __ATOMIC_SEQ_CST);
    }
}

static void connect_often(struct progress *progress)
{
    while (!__atomic_load_n(&progress->stop, __ATOMIC_SEQ_CST)) {
        int sock = knock("s");

        if (sock == -1)
            continue;
        __atomic_add_fetch(&progress->connections, 1, __ATOMIC_SEQ_CST);
        close(sock);
    }
}

static void run(int left_over)
{
    static int listeners[TAKE_OVERS];
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t lookers[2];
    int take_overs = on_valgrind() ? 50 : TAKE_OVERS;

    CHECK(progress != MAP_FAILED);
    listeners[0] = fdpasser_server("s", 5);
    OURS(listeners[0]);
    for (int i = 0; i < 2; i++)
        if ((lookers[i] = spawn()) == 0) {
            close(listeners[0]); /* or the listener would stay alive as long as this process */
            if (i == 0)
                look(progress);
            else if (!left_over)
                connect_often(progress);
            _exit(0);
        }
    for (int i = 1; i < take_overs; i++) {
        unsigned looks = __atomic_load_n(&progress->looks, __ATOMIC_SEQ_CST);

        if (left_over)
            close(listeners[i - 1]);
        listeners[i] = fdpasser_server("s", 5);
        OURS(listeners[i]);
        /* Now and then wait until the other process has looked at the path. */
        while (i % 16 == 0 && looks == __atomic_load_n(&progress->looks, __ATOMIC_SEQ_CST))
            CHECK(waitpid(lookers[0], NULL, WNOHANG) == 0);
    }
    __atomic_store_n(&progress->stop, 1, __ATOMIC_SEQ_CST);
    join(lookers[0]);
    join(lookers[1]);
    CHECK(progress->looks > 0);
    for (int i = left_over ? take_overs - 1 : 0; i < take_overs; i++)
        close(listeners[i]);
    EQUAL(munmap(progress, sizeof *progress), 0);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);
}

/* Two servers start at once, again and again. Both succeed, and one of them has the path. */
static void race(void)
{
    for (int i = 0; i < 50; i++) {
        int go[2], listener;
        pid_t child;

        EQUAL(pipe(go), 0);
        if ((child = spawn()) == 0) {
            wait_at_gate(go);
            listener = fdpasser_server("s", 5);
            OURS(listener);
            close(listener);
            _exit(0);
        }
        close_pair(go);
        listener = fdpasser_server("s", 5);
        OURS(listener);
        join(child);
        close(listener);
        EQUAL(entries("."), 1);
        listener = fdpasser_server("s", 5);
        check_serves_at(listener, "s");
        close(listener);
        if (i % 2)
            EQUAL(unlink("s"), 0); /* every other time the first one finds the path free */
    }
    unlink("s");
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    run(0);
    run(1);
    race();
    leave_directory(name);
}
