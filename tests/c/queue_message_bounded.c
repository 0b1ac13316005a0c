/* A hostile peer that sends 4096 bytes with each descriptor does not make a queue grow that does not want data. One that
 * wants data has it for no more descriptors than were asked for.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
/* Only on Linux: it reads /proc/self/statm. */
#include "queue_data.h"

enum { ROUNDS = 30, BATCH = 100 };

static long resident_kib(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "re");

    CHECK(file != NULL);
    EQUAL(fscanf(file, "%ld %ld", &size, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Returns by how much this process grew while so many descriptors came, each with 4096 bytes, and were not taken. */
static long growth(int want, int ask_for)
{
    static unsigned char data[DATA];
    int pair[2], size = 1 << 20;
    long before;
    fdpasser *p;
    pid_t pid;

    memset(data, 'x', sizeof data);
    make_pair(pair);
    set_send_buffer(pair[0], size);
    if ((pid = spawn()) == 0) {
        close(pair[1]);
        signal(SIGPIPE, SIG_IGN);
        for (int i = 0; i < ROUNDS * BATCH; i++)
            if (hostile_sendmsg(pair[0], data, sizeof data, pair, 1, 0) != DATA)
                break; /* the other end was freed */
        _exit(0);
    }
    close(pair[0]);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_want_data(p, want), 0);
    EQUAL(fdpasser_push_recv(p, ask_for), 0);
    before = resident_kib();
    for (int quiet = 0; quiet < 20;) {
        EQUAL(poll(&(struct pollfd){pair[1], POLLIN, 0}, 1, -1), 1);
        EQUAL(fdpasser_process(p, POLLIN), 1);
        quiet = fdpasser_events(p) & POLLIN ? 0 : quiet + 1;
    }
    before = resident_kib() - before;
    fdpasser_free(p);
    join(pid);
    return before;
}

static void test(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("sanitizers have memory of their own");
#endif
    if (on_valgrind())
        SKIP("valgrind has memory of its own");
    if (hard_limit() < 4096)
        SKIP("the hard limit is %ld descriptors", (long)hard_limit());
    set_soft_limit(4096);
    growth(0, ROUNDS * BATCH - 10); /* what grows once, such as the descriptors' own queue */
    CHECK(growth(0, ROUNDS * BATCH - 10) < 1024); /* the data is 12,000 KiB */
    /* The other way round, so that the measure is one. */
    CHECK(growth(1, ROUNDS * BATCH - 10) > 8000);
    CHECK(growth(1, 100) < 1024);
}
