/* While servers take a path over from each other there is no moment in which it is missing, or in which
 * nobody listens there. */
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
            close(listeners[0]); /* or it would be alive for as long as we are */
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
        /* The other side must have had a look in between, every now and then. */
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

/* Two servers that start at once, time and again: both succeed, and one of them has the path. */
static void race(void)
{
    for (int i = 0; i < 50; i++) {
        int ready[2], listener, client;
        pid_t child;

        EQUAL(pipe(ready), 0);
        if ((child = spawn()) == 0) {
            char byte;

            close(ready[1]);
            EQUAL(read(ready[0], &byte, 1), 0);
            listener = fdpasser_server("s", 5);
            OURS(listener);
            close(listener);
            _exit(0);
        }
        close_pair(ready);
        listener = fdpasser_server("s", 5);
        OURS(listener);
        join(child);
        close(listener);
        EQUAL(entries("."), 1);
        listener = fdpasser_server("s", 5);
        client = fdpasser_connect("s");
        check_serves(listener, client);
        close(client);
        close(listener);
        if (i % 2)
            EQUAL(unlink("s"), 0); /* the first of them finds it free, every other time */
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
