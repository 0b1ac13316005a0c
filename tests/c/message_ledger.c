/* A ledger of many messages: several senders and several receivers on one socket, by single calls and by queues, with full
 * tables in between and a storm of SIGALRM. Each message comes exactly once, its descriptor and its data belong together,
 * and what one receiver gets of one sender is in order.
 *
 * FDPASSER_LEDGER=N is how many messages there are. `make soak` has a million.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it has no data. */
#include "queue_data.h"
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/time.h>

/* One of each kind: calls that wait, try_ calls with poll(2), a queue. With more than one descriptor in a message several
 * receivers could lose some in a table that is nearly full: THE ONE RACE in fdpasser(7). */
enum { KINDS = 3, SLOTS = 100, STORM = 1000 /* microseconds from one signal to the next */ };

/* A queue puts the socket into non-blocking mode for everybody who shares it. So there are two rounds: in one of them
 * calls that wait take the place of the queues. */
static int total, pair[2], with_queues, gate[2];

/* Shared by all processes. */
static struct ledger {
    long long interrupted, signals, full, again, by_kind[KINDS];
    unsigned char came[]; /* how often, for each message */
} *ledger;

static void count(long long *what)
{
    __atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

/* Most are short, some are as long as can be, and some have none. */
static size_t length_of(int number)
{
    return number % 16 == 7 ? 0 : number % 1000 == 1 ? DATA : 4 + (size_t)number * 31 % 300;
}

static void on_alarm(int sig)
{
    (void)sig;
    count(&ledger->signals);
}

/* A child that signals interrupt all the time, and that does not outlive its parent, which has the deadline. */
static pid_t start(void (*job)(int), int which)
{
    struct itimerval storm = {{0, STORM}, {0, STORM}};
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    pid_t pid = spawn();

    if (pid > 0)
        return pid;
#ifdef __linux__
    EQUAL(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
#endif
    set_soft_limit(SLOTS); /* before the first signal, which would interrupt it */
    wait_at_gate(gate);
    close(gate[0]);
    EQUAL(sigaction(SIGALRM, &action, NULL), 0);
    EQUAL(setitimer(ITIMER_REAL, &storm, NULL), 0);
    job(which);
    _exit(0);
}

/* After a call that failed: waits as long as that error asks for. */
static void wait_for(short event)
{
    int pause;

    if (errno == EINTR) {
        count(&ledger->interrupted);
        return;
    }
    if (errno == EAGAIN)
        count(&ledger->again);
    pause = fdpasser_retry_ms(errno);
    CHECK(pause >= 0);
    poll(&(struct pollfd){pair[event == POLLIN], event, 0}, pause == 0, pause == 0 ? -1 : pause);
}

/* --- senders: the numbers of sender s are s, s + KINDS, s + 2 KINDS and so on -------------------- */

static void send_singly(int which)
{
    unsigned char data[DATA];

    for (int number = which; number < total; number += KINDS) {
        int fd = numbered(number);
        size_t len = length_of(number);

        make_data(data, number, len);
        while ((which != 1 ? fdpasser_send_message(pair[0], &fd, 1, data, len)
                           : fdpasser_try_send_message(pair[0], &fd, 1, data, len)) != 1)
            wait_for(POLLOUT);
        close(fd);
    }
}

/* A turn that a signal may cut short. */
static int interrupted_turn(fdpasser *p)
{
    int events = fdpasser_events(p);
    struct pollfd f = {events != 0 ? fdpasser_fileno(p) : -1, (short)events, 0};

    if (poll(&f, 1, fdpasser_timeout_ms(p)) == -1) {
        EQUAL(errno, EINTR);
        count(&ledger->interrupted);
        f.revents = 0;
    }
    return fdpasser_process(p, f.revents);
}

static void send_by_queue(int which)
{
    fdpasser *p = make_passer(pair[0]);

    EQUAL(fdpasser_set_max_queued(p, 50), 0);
    for (int number = which; number < total; number += KINDS) {
        while (fdpasser_queued(p) == 50)
            EQUAL(interrupted_turn(p), 1);
        push_with_data(p, number, length_of(number));
    }
    while (fdpasser_queued(p) > 0)
        EQUAL(interrupted_turn(p), 1);
    fdpasser_free(p);
}

static void sender(int which)
{
    close(pair[1]);
    if (which == 2 && with_queues)
        send_by_queue(which);
    else
        send_singly(which);
}

/* --- receivers ----------------------------------------------------------------------------------- */

static void enter(int which, int fd, const unsigned char *data, size_t len)
{
    static int last[KINDS] = {-1, -1, -1};
    int number = number_of(fd);

    CHECK(number >= 0 && number < total);
    CHECK(number > last[number % KINDS]);
    last[number % KINDS] = number;
    HAS_DATA(data, len, number, length_of(number));
    RECEIVED(fd, number);
    __atomic_fetch_add(&ledger->came[number], 1, __ATOMIC_RELAXED);
    count(&ledger->by_kind[which]);
}

static void receive_singly(int which)
{
    unsigned char data[DATA];
    size_t len;
    ssize_t n;

    for (int turns = 0;; turns++) {
        int fd, full = turns % 500 == 499;

        if (full)
            fill_table();
        n = which != 1 && !full ? fdpasser_recv_message(pair[1], &fd, 1, data, sizeof data, &len)
                                : fdpasser_try_recv_message(pair[1], &fd, 1, data, sizeof data, &len);
        if (full) {
            int error = errno;

            CHECK(n <= 0);
            empty_table();
            if (n == -1 && error == EMFILE) {
                count(&ledger->full);
                continue;
            }
            errno = error;
        }
        if (n == 0)
            return;
        if (n == 1)
            enter(which, fd, data, len);
        else
            wait_for(POLLIN);
    }
}

static void receive_by_queue(int which)
{
    unsigned char data[DATA];
    size_t len;
    fdpasser *p = make_reader(pair[1], 30);
    int state = 1, taken, fd;

    for (int turns = 0; state == 1; turns++) {
        int full = turns % 50 == 49;

        if (full)
            fill_table();
        state = interrupted_turn(p);
        CHECK(state >= 0);
        for (taken = 0; (fd = fdpasser_next_message(p, data, sizeof data, &len)) != -1; taken++)
            enter(which, fd, data, len);
        if (full) {
            if (fdpasser_events(p) == 0)
                count(&ledger->full);
            empty_table();
        }
        if (taken > 0)
            EQUAL(fdpasser_push_recv(p, taken), 0);
    }
    fdpasser_free(p);
}

static void receiver(int which)
{
    close(pair[0]);
    if (which == 2 && with_queues)
        receive_by_queue(which);
    else
        receive_singly(which);
}

/* --------------------------------------------------------------------------------------------------- */

static void run(void)
{
    pid_t children[2 * KINDS];
    long long started = microseconds();
    size_t size = sizeof *ledger + (size_t)total;

    ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(ledger != MAP_FAILED);
    make_pair(pair);
    EQUAL(pipe(gate), 0);
    for (int i = 0; i < KINDS; i++) {
        children[i] = start(receiver, i);
        children[KINDS + i] = start(sender, i);
    }
    close_pair(gate);
    close_pair(pair);
    for (int i = 0; i < 2 * KINDS; i++)
        join(children[i]);
    for (int i = 0; i < total; i++)
        if (ledger->came[i] != 1)
            fail_equal(__FILE__, __LINE__, "how often a message came", ledger->came[i], 1);
    printf("%d messages in %lld ms: %lld by calls that wait, %lld by try_ calls, %lld by %s; %lld signals, %lld calls "
           "interrupted; %lld times the table was full, %lld times EAGAIN\n",
           total, (microseconds() - started) / 1000, ledger->by_kind[0], ledger->by_kind[1], ledger->by_kind[2],
           with_queues ? "a queue" : "calls that wait", ledger->signals, ledger->interrupted, ledger->full, ledger->again);
    CHECK(ledger->signals > 0);
    for (int i = 0; i < KINDS; i++) /* of a few messages the quickest may take all */
        CHECK(ledger->by_kind[i] > 0 || total < 100000);
    munmap(ledger, size);
}

static void test(void)
{
    const char *wanted = getenv("FDPASSER_LEDGER");

    total = (wanted ? atoi(wanted) : on_valgrind() ? 1500 : 30000) / 2;
    CHECK(total > 0);
    if (wanted)
        alarm((unsigned)(DEADLINE + total / 500));
    for (with_queues = 0; with_queues < 2; with_queues++)
        run();
}
