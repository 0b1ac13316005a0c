/* Whatever a peer sends, and however the socket is set up, a call that has to wait does not burn the
 * processor.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
#include "check.h"
#include <sys/time.h>

/* In milliseconds: how long the calls have to wait, all at the same time, and how much of the processor all of
 * them together may take for that. A single one that spins takes as much as the machine has. */
enum { WAIT = 3000, CPU = 1000 };

static int pair[2];
static long long *all_used; /* shared by all processes */

static long long cpu_used(void)
{
    struct rusage usage;

    EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

/* --- what a peer can do ---------------------------------------------------------------------- */

static void nothing(void)
{
}

static void send_plain(void)
{
    hostile_send(pair[0], "xyz", 3, NULL, 0);
}

static void send_out_of_band(void)
{
    if (hostile_sendmsg(pair[0], "!", 1, NULL, 0, MSG_OOB) == -1)
        CHECK(errno == EOPNOTSUPP || errno == EINVAL); /* there are none here */
}

static void send_descriptor_out_of_band(void)
{
    int fd = numbered(1);

    if (hostile_sendmsg(pair[0], "!", 1, &fd, 1, MSG_OOB) == -1)
        CHECK(errno == EOPNOTSUPP || errno == EINVAL); /* there are none here */
    close(fd);
}

static void send_plain_and_out_of_band(void)
{
    send_plain();
    send_out_of_band();
    send_out_of_band();
}

static void send_nothing(void)
{
    hostile_sendmsg(pair[0], NULL, 0, NULL, 0, 0);
    hostile_sendmsg(pair[0], NULL, 0, pair, 1, 0);
}

/* A look at it moved what SO_PEEK_OFF counts. */
static void send_what_does_not_fit(void)
{
    send_numbered(pair[0], 1, 1);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){-1}, 1), EMFILE);
    ERRNO(fdpasser_try_recv_fds(pair[1], &(int){-1}, 1), EMFILE);
    empty_table();
}

static void read_no_more(void)
{
    EQUAL(shutdown(pair[0], SHUT_RD), 0);
}

static void write_no_more_here(void)
{
    EQUAL(shutdown(pair[1], SHUT_WR), 0);
}

static const struct {
    const char *name;
    void (*act)(void);
} acts[] = {
    {"nothing", nothing},
    {"plain bytes", send_plain},
    {"out-of-band byte", send_out_of_band},
    {"out-of-band descriptor", send_descriptor_out_of_band},
    {"both kinds of bytes", send_plain_and_out_of_band},
    {"empty messages", send_nothing},
    {"a message that did not fit", send_what_does_not_fit},
    {"peer reads no more", read_no_more},
    {"we write no more", write_no_more_here},
};

/* --- how the socket is set up ---------------------------------------------------------------- */

static void option(int name, int value)
{
    if (setsockopt(pair[1], SOL_SOCKET, name, &value, sizeof value) != 0)
        printf("option %d: %s\n", name, strerror(errno));
}

static void as_it_is(void)
{
}

static void not_in_line(void)
{
    option(SO_OOBINLINE, 0);
}

static void peek_off(void)
{
#ifdef SO_PEEK_OFF
    option(SO_PEEK_OFF, 0);
#endif
}

static void low_mark(void)
{
    option(SO_RCVLOWAT, 1000);
}

static void credentials(void)
{
#ifdef SO_PASSCRED
    option(SO_PASSCRED, 1);
#endif
#ifdef SO_PASSSEC
    option(SO_PASSSEC, 1);
#endif
}

static void (*const set_ups[])(void) = {as_it_is, not_in_line, peek_off, low_mark, credentials};

/* --------------------------------------------------------------------------------------------- */

/* Receives until the last message, for which it has to wait. What comes before it may have no descriptor. */
static void waits(size_t act, size_t set_up, int timed)
{
    enum { LAST = 99 };
    long long before;
    int fd;
    pid_t child;

    make_pair(pair);
    set_ups[set_up]();
    acts[act].act();
    if ((child = spawn()) == 0) {
        poll(NULL, 0, WAIT);
        send_numbered(pair[0], LAST, 1);
        _exit(0);
    }
    before = cpu_used();
    for (;;) {
        fd = timed ? fdpasser_recv_fd_timed(pair[1], 1000 * DEADLINE) : fdpasser_recv_fd(pair[1]);
        if (fd == -1) {
            EQUAL(errno, EBADMSG);
            continue;
        }
        OURS(fd);
        if (number_of(fd) == LAST)
            break;
        close(fd);
    }
    __atomic_fetch_add(all_used, cpu_used() - before, __ATOMIC_SEQ_CST);
    RECEIVED(fd, LAST);
    join(child);
    close_pair(pair);
}

static void with(rlim_t limit, int timed)
{
    pid_t children[LENGTH(acts) * LENGTH(set_ups)];
    size_t n = 0;

    set_soft_limit(limit);
    *all_used = 0;
    for (size_t act = 0; act < LENGTH(acts); act++)
        for (size_t set_up = 0; set_up < LENGTH(set_ups); set_up++) {
            if ((children[n++] = spawn()) == 0) {
                snprintf(round_name, sizeof round_name, "%s, set-up %zu, limit %ld: ", acts[act].name, set_up,
                         (long)limit);
                waits(act, set_up, timed);
                _exit(0);
            }
        }
    while (n > 0)
        join(children[--n]);
    printf("limit %ld: %lld us\n", (long)limit, *all_used);
    CHECK(*all_used / 1000 < CPU);
}

static void test(void)
{
    if (on_valgrind())
        SKIP("valgrind itself takes more of the processor than is allowed here");
    all_used = mmap(NULL, sizeof *all_used, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(all_used != MAP_FAILED);
    for (int timed = 0; timed < 2; timed++) {
        IN_CHILD(with(1024, timed));
        IN_CHILD(with(64, timed)); /* each message is looked at before it is taken */
    }
}
