/* One process of a soak run, which uses the C ABI. `soak` starts it with key=value arguments:
 *
 *   role=send|recv|serve   send numbered descriptors, receive them, or accept connections and receive
 *   role=pair              make a pair with queues and fork; one process sends, the other receives
 *   passers=3,4            the descriptors to use
 *   path=...               instead of passers: where to connect, or where to serve
 *   ledger=5               the descriptor of the ledger, to write to
 *   file=...               the path of the ledger, to open and pass
 *   id=1 seed=1            this process's number in the ledger, and where the dice start
 *   count=100 per=1        descriptors for each stream, and the most in one message
 *   threads=1              threads that share the passers, or the one passer
 *   block=1                passers in blocking mode
 *   bad=50                 one in 50 descriptors that are sent is not open
 *   small=1                the receiver's array is too small at times
 *   churn=1                a thread fills and empties the table all the time
 *   slow=20                a pause after one in 20 calls
 *   fork=1                 fork somewhere in the middle; both processes go on, one of them with new queues
 *   uid=1                  run without privileges
 *   stop=6                 serve until this descriptor is at end of file
 *   hostile=1              the peer may send anything
 *   queue=10               use the passer with a queue, with at most so many in each direction
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* numbers are offsets, and some are above 2^31 */
#define FDPASSER_NO_SHORT_NAMES
#include "fdpasser.h"
#include "ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

enum { MAX = FDPASSER_MAX_PER_MESSAGE, MAX_PASSERS = 4096, MAX_THREADS = 16, ONCE = 16 };

struct stream {
    int passer;
    uint16_t who; /* in the ledger; for a sender also the number of the stream */
    unsigned next, count;
    int held[MAX]; /* pushed but not accepted yet; with a queue these are serial numbers */
    unsigned n_held;
    fdpasser *p;
    int asked;
    double not_before;
    bool done, waits;
};

static const char *role = "", *passers = "", *path, *file;
static int ledger = -1, id, seed, count = 1, per = 1, threads = 1, block, bad, small, churn, slow, forks,
           uid, stop = -1, hostile, queue;
static struct stat ledger_stat;
static bool sends;

static _Thread_local uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 16) % sides);
}

static void reseed(unsigned salt)
{
    dice = ((uint64_t)(unsigned)seed << 20 ^ (uint64_t)(unsigned)id << 8 ^ salt) * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < 16; i++)
        roll(2);
}

static void die(const char *what)
{
    fprintf(stderr, "peer role=%s id=%d: %s: %s\n", role, id, what, strerror(errno));
    _exit(3);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void pause_for(int ms) { poll(NULL, 0, ms); }

static bool is_stdio_untouched(void)
{
    static struct stat was[3];
    static bool known;
    for (int fd = 0; fd < 3; fd++) {
        struct stat is;
        if (fstat(fd, &is))
            return false;
        if (!known)
            was[fd] = is;
        else if (was[fd].st_dev != is.st_dev || was[fd].st_ino != is.st_ino)
            return false;
    }
    known = true;
    return true;
}

static int open_descriptors(const char *path_of_table)
{
    DIR *dir = opendir(path_of_table);
    if (!dir)
        die(path_of_table);
    int n = -3; /* `.`, `..` and dir itself */
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static unsigned rss(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    unsigned pages = 0;
    return n > 0 && sscanf(text, "%*u %u", &pages) == 1 ? pages * 4 : 0;
}

/* --- sending ------------------------------------------------------------------------------------ */

/* Returns 1 if it made progress, 0 if not. */
static int hold(struct stream *s)
{
    unsigned want = 1 + roll((unsigned)per);
    while (s->n_held < want && s->next < s->count) {
        uint64_t number = (uint64_t)s->who << 24 | s->next;
        int fd = 1 << 20; /* no table is that large */
        if (!bad || roll((unsigned)bad)) {
            fd = open(file, O_RDONLY | O_CLOEXEC);
            if (fd < 0) {
                if (errno != EMFILE && errno != ENFILE)
                    die(file);
                break;
            }
            if (lseek(fd, (off_t)number, SEEK_SET) < 0)
                die("lseek");
        }
        ledger_number(ledger, 'P', s->who, 0, number);
        s->held[s->n_held++] = fd;
        s->next++;
    }
    return s->n_held > 0;
}

/* Records the fate of the first n that are held, and closes them. */
static void let_go(struct stream *s, unsigned n, char fate, int error)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t number = (uint64_t)s->who << 24 | (s->next - s->n_held + i);
        ledger_number(ledger, fate, s->who, (unsigned)error, number);
        if (s->held[i] < 1 << 20)
            close(s->held[i]);
    }
    s->n_held -= n;
    memmove(s->held, s->held + n, s->n_held * sizeof *s->held);
}

static ssize_t give(struct stream *s)
{
    switch (s->n_held == 1 ? roll(3) : 1 + roll(2)) {
    case 0: return fdpasser_send_fd(s->passer, s->held[0]);
    case 1: return fdpasser_send_fds(s->passer, s->held, s->n_held, 1 + roll((unsigned)per));
    default: return fdpasser_try_send_fds(s->passer, s->held, s->n_held, 1 + roll((unsigned)per));
    }
}

static int send_some(struct stream *s)
{
    if (s->n_held == 0 && s->next == s->count) {
        s->done = true;
        return 1;
    }
    if (s->n_held == 0 && !hold(s))
        return -EMFILE;
    ssize_t n = give(s);
    if (n > 0) {
        let_go(s, (unsigned)n, 'A', 0);
        return 1;
    }
    if (n == 0)
        die("sent no descriptor but reported success");
    if (fdpasser_retry_ms(errno) >= 0)
        return -errno;
    if (errno == EBADF && s->held[0] == 1 << 20) {
        let_go(s, 1, 'F', errno);
        return 1;
    }
    if (errno != EPIPE && errno != ECONNRESET)
        die("send");
    let_go(s, s->n_held, 'F', errno);
    s->done = true;
    return 1;
}

/* --- receiving ---------------------------------------------------------------------------------- */

static unsigned long others; /* how many unnumbered descriptors arrived */

static void take(struct stream *s, int fd)
{
    struct stat st;
    if (fd < 3 || fstat(fd, &st))
        die("received no descriptor");
    if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
        die("not close-on-exec");
    if (st.st_dev == ledger_stat.st_dev && st.st_ino == ledger_stat.st_ino)
        ledger_number(ledger, 'R', s->who, 0, (uint64_t)lseek(fd, 0, SEEK_CUR));
    else if (hostile)
        others++;
    else
        die("received a descriptor that was never sent");
    close(fd);
}

static int receive_some(struct stream *s)
{
    enum { BATCH = 4 };
    int fds[BATCH * MAX];
    ssize_t n;
    if (small || (per == 1 && roll(4)))
        switch (roll(3)) {
        case 0:
            n = fdpasser_recv_fd(s->passer);
            if (n > 0) {
                fds[0] = (int)n;
                n = 1;
            }
            break;
        case 1: n = fdpasser_recv_fds(s->passer, fds, 1 + roll((unsigned)per)); break;
        default: n = fdpasser_try_recv_fds(s->passer, fds, 1 + roll((unsigned)per)); break;
        }
    else if (roll(2)) {
        int status;
        n = fdpasser_try_recv_messages(s->passer, fds, BATCH * MAX, 1 + roll(BATCH), &status);
        for (ssize_t i = 0; i < n; i++)
            take(s, fds[i]);
        if (n < 0 || status > 0)
            return n < 0 ? -errno : 1;
        n = status < 0 ? -1 : 0;
        errno = -status;
    } else if (roll(2))
        n = fdpasser_recv_fds(s->passer, fds, MAX);
    else
        n = fdpasser_try_recv_fds(s->passer, fds, (size_t)per);

    if (n == 0)
        s->done = true;
    for (ssize_t i = 0; i < n; i++)
        take(s, fds[i]);
    if (n >= 0)
        return 1;
    if (fdpasser_retry_ms(errno) >= 0)
        return -errno;
    if (errno == ENOTRECOVERABLE)
        ledger_number(ledger, 'D', s->who, 0, 0);
    else if (errno == EMSGSIZE)
        ledger_number(ledger, 'M', s->who, 0, 0);
    else if (hostile && errno == ECONNRESET)
        s->done = true;
    else if (!hostile || errno != EBADMSG)
        die("receive");
    return 1;
}

/* --- the loop that the header recommends --------------------------------------------------------- */

static bool go_on(struct stream *s)
{
    for (int i = 0; i < ONCE && !s->done; i++) {
        int progress = sends ? send_some(s) : receive_some(s);
        if (slow && !roll((unsigned)slow)) {
            ledger_text(ledger, 'I', s->who, 0, "slow");
            pause_for((int)roll(5));
        }
        if (progress > 0)
            continue;
        if (progress == -EMFILE && !sends)
            ledger_text(ledger, 'S', s->who, EMFILE, "receive");
        /* The library says 50 ms. Asking again sooner lets more faults fit into a run. */
        int ms = fdpasser_retry_ms(-progress);
        if (ms > 2)
            ms = 2;
        s->waits = ms == 0;
        s->not_before = ms > 0 ? now() + ms : 0;
        return false;
    }
    s->waits = false;
    s->not_before = 0;
    return true;
}

static void run(struct stream *all, int first, int step, int n)
{
    for (;;) {
        struct pollfd p[MAX_PASSERS];
        int left = 0, polled = 0;
        double wait = 1e9, time = now();
        for (int i = first; i < n; i += step) {
            struct stream *s = &all[i];
            if (s->done)
                continue;
            left++;
            if (s->waits)
                p[polled++] = (struct pollfd){s->passer, sends ? POLLOUT : POLLIN, 0};
            else if (s->not_before <= time)
                wait = 0;
            else if (s->not_before - time < wait)
                wait = s->not_before - time;
        }
        if (left == 0)
            return;
        /* poll(2) returns EINVAL while the soft limit is lowered. Then take everything as ready. */
        if (poll(p, (nfds_t)polled, wait >= 1e9 ? -1 : (int)(wait + 0.999)) < 0)
            memset(p, -1, sizeof *p * (size_t)polled);
        time = now();
        for (int i = first, j = 0; i < n; i += step) {
            struct stream *s = &all[i];
            if (!s->done && (s->waits ? p[j++].revents : s->not_before <= time))
                go_on(s);
        }
    }
}

/* --- the same with queues -------------------------------------------------------------------------- */

static void set_up(struct stream *s)
{
    if (fdpasser_set_per_message(s->p, (unsigned)per))
        die("fdpasser_set_per_message");
    fdpasser_set_max_queued(s->p, (unsigned)queue);
    s->asked = 0;
}

static void begin(struct stream *s)
{
    if (s->p) /* made before the fork */
        return;
    int fd;
    do
        fd = fcntl(s->passer, F_DUPFD_CLOEXEC, 3);
    while (fd < 0 && fdpasser_retry_ms(errno) >= 0);
    if (fd < 0)
        die("fcntl");
    while (!(s->p = fdpasser_new(fd)))
        if (fdpasser_retry_ms(errno) < 0)
            die("fdpasser_new");
    set_up(s);
}

static void push(struct stream *s)
{
    while (s->next < s->count) {
        uint64_t number = (uint64_t)s->who << 24 | s->next;
        bool is_bad = bad && !roll((unsigned)bad);
        int fd = 1 << 20;
        if (!is_bad && (fd = open(file, O_RDONLY | O_CLOEXEC)) < 0) {
            if (errno != EMFILE && errno != ENFILE)
                die(file);
            return;
        }
        if (!is_bad && lseek(fd, (off_t)number, SEEK_SET) < 0)
            die("lseek");
        if (fdpasser_push_send_fd(s->p, fd) == 1) {
            ledger_number(ledger, 'P', s->who, 0, number);
            s->held[s->n_held++] = (int)s->next++;
            continue;
        }
        int error = errno;
        if (!is_bad)
            close(fd); /* it is still ours; without this the count would be wrong at the end */
        if (error == EAGAIN && s->n_held == (unsigned)queue)
            return;
        if (!is_bad && fdpasser_retry_ms(error) < 0)
            die("fdpasser_push_send_fd");
        if (is_bad && error == EBADF) {
            ledger_number(ledger, 'P', s->who, 0, number);
            ledger_number(ledger, 'F', s->who, EBADF, number);
            s->next++;
        }
    }
}

/* Records the fate of the first n in the queue. */
static void gone(struct stream *s, unsigned n, char fate, int error)
{
    for (unsigned i = 0; i < n; i++)
        ledger_number(ledger, fate, s->who, (unsigned)error, (uint64_t)s->who << 24 | (unsigned)s->held[i]);
    s->n_held -= n;
    memmove(s->held, s->held + n, s->n_held * sizeof *s->held);
}

/* Pushes, or asks for, as much as the queue may hold. */
static void want(struct stream *s)
{
    if (sends)
        push(s);
    while (!sends && s->asked < queue) {
        int more = 1 + (int)roll((unsigned)(queue - s->asked));
        if (fdpasser_push_recv(s->p, more))
            die("fdpasser_push_recv");
        s->asked += more;
    }
}

static void queue_turn(struct stream *s, int revents)
{
    int state = fdpasser_process(s->p, revents), error = errno, fd;
    gone(s, s->n_held - (unsigned)fdpasser_queued(s->p), 'A', 0);
    while ((fd = fdpasser_next_fd(s->p)) != -1) {
        take(s, fd);
        s->asked--;
    }
    if (errno != EAGAIN)
        die("fdpasser_next_fd");
    if (state == 0 && sends)
        die("reported an end although it never received");
    if (state > 0) {
        s->done = sends && s->next == s->count && s->n_held == 0;
        return;
    }
    s->done = true;
    if (state == 0)
        return;
    if (fdpasser_process(s->p, POLLIN | POLLOUT) != -1 || errno != error)
        die("a final error was not reported again");
    if (sends && (error == EPIPE || error == ECONNRESET))
        gone(s, s->n_held, 'F', error);
    else if (error == ENOTRECOVERABLE) {
        ledger_number(ledger, 'D', s->who, 0, 0);
        ledger_number(ledger, 'X', s->who, 0, 0); /* what comes behind it is never read */
    } else if (!hostile || (error != EBADMSG && error != EMSGSIZE && error != ECONNRESET)) {
        errno = error;
        die("fdpasser_process");
    }
}

static void run_queues(struct stream *all, int first, int step, int n)
{
    for (;;) {
        struct pollfd p[MAX_PASSERS];
        int left = 0, wait = -1;
        for (int i = first; i < n; i += step) {
            struct stream *s = &all[i];
            if (s->done)
                continue;
            want(s);
            int events = fdpasser_events(s->p), ms = fdpasser_timeout_ms(s->p);
            if (sends && fdpasser_queued(s->p) == 0)
                ms = s->next == s->count ? 0 : 1; /* there was no slot to open the file in */
            if (ms >= 0 && (wait < 0 || ms < wait))
                wait = ms;
            p[left++] = (struct pollfd){events ? fdpasser_fileno(s->p) : -1, (short)events, 0};
        }
        if (left == 0)
            return;
        /* poll(2) returns EINVAL while the soft limit is lowered. Then take everything as ready. */
        if (poll(p, (nfds_t)left, wait) < 0)
            memset(p, -1, sizeof *p * (size_t)left);
        for (int i = first, j = 0; i < n; i += step)
            if (!all[i].done) {
                queue_turn(&all[i], p[j++].revents);
                if (slow && !roll((unsigned)slow)) {
                    ledger_text(ledger, 'I', all[i].who, 0, "slow");
                    pause_for((int)roll(5));
                }
            }
    }
}

/* Runs the streams of this thread, with queues or without. */
static void run_all(struct stream *all, int first, int step, int n)
{
    if (!queue) {
        run(all, first, step, n);
        return;
    }
    for (int i = first; i < n; i += step)
        begin(&all[i]);
    run_queues(all, first, step, n);
    for (int i = first; i < n; i += step) {
        fdpasser_free(all[i].p);
        all[i].p = NULL;
    }
}

/* --- connections ---------------------------------------------------------------------------------- */

/* Makes as many connections as it takes, and sends a few descriptors over each. */
static void connect_and_send(struct stream *s)
{
    unsigned total = s->count;
    s->count = 0;
    while (s->next < total) {
        s->passer = fdpasser_connect(path);
        if (s->passer < 0) {
            if (fdpasser_retry_ms(errno) < 0)
                die("connect");
            pause_for(1);
            continue;
        }
        s->done = false;
        s->count += 1 + roll(5);
        if (s->count > total)
            s->count = total;
        run_all(s, 0, 1, 1);
        close(s->passer);
    }
}

static int listen_at_path(void)
{
    for (;;) {
        int listener = fdpasser_server(path, 100);
        if (listener >= 0)
            return listener;
        if (fdpasser_retry_ms(errno) < 0)
            die("server");
    }
}

/* Makes and closes many endpoints, for the faults. Each server takes over from the one before. */
static void make_and_drop(void)
{
    for (int i = 0; i < 50; i++) {
        int fds[2];
        if (fdpasser_socketpair(fds) == 0) {
            close(fds[0]);
            close(fds[1]);
        } else if (fdpasser_retry_ms(errno) < 0)
            die("socketpair");
        close(listen_at_path());
    }
}

static void serve(struct stream *s)
{
    make_and_drop();
    int listener = listen_at_path(), on = 1;
    unsigned warm = 0, connections = 0;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    ledger_number(ledger, 'W', s->who, 0, 0);
    for (bool last = false;;) {
        s->passer = fdpasser_accept(listener);
        if (s->passer < 0) {
            if (fdpasser_retry_ms(errno) < 0)
                die("accept");
            if (errno != EAGAIN)
                continue;
            if (last)
                break;
            struct pollfd p[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
            poll(p, 2, -1);
            /* Nobody connects any more, but some connections may still wait, and EAGAIN may have
             * been injected. */
            last = p[1].revents && !p[0].revents;
            continue;
        }
        last = false;
        if (roll(2))
            setsockopt(s->passer, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        if (hostile && roll(2))
            setsockopt(s->passer, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
        if (hostile && roll(2))
            fdpasser_try_send_fds(s->passer, &listener, 1, 1); /* unread, so the peer resets us */
        s->done = false;
        run_all(s, 0, 1, 1);
        close(s->passer);
        if (++connections == 300)
            warm = rss();
    }
    close(listener);
    if (warm)
        ledger_number(ledger, 'O', s->who, warm, rss());
    ledger_number(ledger, 'g', s->who, 0, others);
}

/* --- threads, fork ----------------------------------------------------------------------------------- */

static struct stream *streams;
static int n_streams;

static void *thread(void *number)
{
    int first = (int)(intptr_t)number;
    reseed((unsigned)first + 1);
    run_all(streams, first, threads, n_streams);
    return NULL;
}

static atomic_bool enough;

static void *fill_and_empty(void *unused)
{
    (void)unused;
    reseed(99);
    struct rlimit limits;
    getrlimit(RLIMIT_NOFILE, &limits);
    int most = (int)limits.rlim_cur, n, *fds = malloc(sizeof *fds * (size_t)most);
    if (!fds)
        die("malloc");
    while (!enough) {
        int want = roll(4) ? most : (int)roll((unsigned)most);
        for (n = 0; n < want && (fds[n] = fcntl(ledger, F_DUPFD_CLOEXEC, 3)) >= 0; n++)
            continue;
        if (n < want)
            ledger_text(ledger, 'I', (unsigned)id, 0, "churn");
        if (!roll(8)) {
            struct rlimit low = limits;
            low.rlim_cur = 3 + roll((unsigned)most - 3);
            setrlimit(RLIMIT_NOFILE, &low);
            ledger_text(ledger, 'I', (unsigned)id, 0, "limit");
        }
        for (unsigned i = roll(3); i > 0; i--)
            sched_yield();
        while (n > 0)
            close(fds[--n]);
        setrlimit(RLIMIT_NOFILE, &limits);
        if (roll(2))
            pause_for(1);
    }
    free(fds);
    return NULL;
}

/* Runs the streams for a while, then forks. The child goes on with new stream numbers. */
static pid_t fork_in_between(void)
{
    for (unsigned left = 1 + roll(200); left > 0 && !streams[0].done; left--)
        go_on(&streams[0]);
    ledger_text(ledger, 'I', (unsigned)id, 0, "fork");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child > 0)
        return child;
    id += 1000;
    reseed(7);
    for (int i = 0; i < n_streams; i++) {
        struct stream *s = &streams[i];
        while (s->n_held) {
            int fd = s->held[--s->n_held];
            if (fd < 1 << 20)
                close(fd);
        }
        s->who = (uint16_t)(s->who + 1000);
        s->next = 0;
    }
    return 0;
}

/* The same with a queue that is not empty. The dice choose the process that goes on with it. The
 * other one frees its copy and makes a new one with another stream number. */
static pid_t fork_with_queue(void)
{
    struct stream *s = &streams[0];
    bool child_goes_on = roll(2);

    begin(s);
    for (unsigned left = 1 + roll(4); left > 0 && !s->done; left--) {
        want(s);
        int events = fdpasser_events(s->p), ms = fdpasser_timeout_ms(s->p);
        struct pollfd p = {events ? fdpasser_fileno(s->p) : -1, (short)events, 0};
        poll(&p, 1, events == 0 && ms < 0 ? 1 : ms);
        if (left == 1 && !sends)
            fdpasser_process(s->p, p.revents); /* nothing is taken; an end is reported again */
        else
            queue_turn(s, p.revents);
    }
    if (!s->done)
        want(s);
    ledger_text(ledger, 'I', (unsigned)id, 0, "fork");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        id += 1000;
        reseed(7);
    }
    if ((child == 0) != child_goes_on) {
        fdpasser_free(s->p);
        *s = (struct stream){.passer = s->passer, .who = (uint16_t)(s->who + 1000), .count = s->count};
    }
    return child;
}

static void wait_for(pid_t child)
{
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status)
        _exit(3);
}

/* Each process keeps one end and closes the other. Otherwise the receiver would never see the
 * end. */
static void pair(void)
{
    struct stream *s = &streams[0];
    bool parent_sends = roll(2);

    while (!(s->p = fdpasser_new_pair()))
        if (fdpasser_retry_ms(errno) < 0)
            die("fdpasser_new_pair");
    ledger_text(ledger, 'I', (unsigned)id, 0, "fork");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child > 0 ? fdpasser_i_am_parent(s->p) : fdpasser_i_am_child(s->p))
        die("fdpasser_i_am_parent, fdpasser_i_am_child");
    if (child == 0) {
        id += 1000;
        reseed(7);
    }
    sends = (child > 0) == parent_sends;
    if (!sends)
        s->who = (uint16_t)(s->who + 1000);
    set_up(s);
    run_all(streams, 0, 1, 1);
    wait_for(child);
}

static void go(void)
{
    pid_t child = !forks ? -1 : queue ? fork_with_queue() : fork_in_between();
    pthread_t thread_of[MAX_THREADS], churner;
    if (churn && pthread_create(&churner, NULL, fill_and_empty, NULL))
        die("pthread_create");
    for (int t = 1; t < threads; t++)
        if (pthread_create(&thread_of[t], NULL, thread, (void *)(intptr_t)t))
            die("pthread_create");
    run_all(streams, 0, threads, n_streams);
    for (int t = 1; t < threads; t++)
        pthread_join(thread_of[t], NULL);
    enough = true;
    if (churn)
        pthread_join(churner, NULL);
    wait_for(child);
}

/* --- start and end -------------------------------------------------------------------------------------- */

static void arguments(char **argv)
{
    static const struct { const char *name; const char **text; int *number; } all[] = {
        {"role", &role, 0}, {"passers", &passers, 0}, {"path", &path, 0}, {"file", &file, 0},
        {"ledger", 0, &ledger}, {"id", 0, &id}, {"seed", 0, &seed}, {"count", 0, &count},
        {"per", 0, &per}, {"threads", 0, &threads}, {"block", 0, &block}, {"bad", 0, &bad},
        {"small", 0, &small}, {"churn", 0, &churn}, {"slow", 0, &slow}, {"fork", 0, &forks},
        {"uid", 0, &uid}, {"stop", 0, &stop}, {"hostile", 0, &hostile}, {"queue", 0, &queue},
    };
    for (; *argv; argv++) {
        char *value = strchr(*argv, '=');
        size_t i = 0, n = sizeof all / sizeof *all;
        while (value && i < n && (strncmp(all[i].name, *argv, (size_t)(value - *argv)) ||
                                  all[i].name[value - *argv]))
            i++;
        if (!value || i == n) {
            fprintf(stderr, "peer: unknown argument: %s\n", *argv);
            exit(2);
        }
        if (all[i].text)
            *all[i].text = value + 1;
        else
            *all[i].number = atoi(value + 1);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    arguments(argv + 1);
    reseed(0);
    if (uid && (setgid((gid_t)uid) || setuid((uid_t)uid)))
        die("setuid");
    if (fstat(ledger, &ledger_stat))
        die("ledger");
    sends = !strcmp(role, "send");

    int passer[MAX_PASSERS], n = 0;
    for (const char *at = passers; *at && n < MAX_PASSERS; at += strcspn(at, ","), at += *at == ',') {
        passer[n] = atoi(at);
        if (fcntl(passer[n++], F_SETFL, block ? 0 : O_NONBLOCK))
            die("passer");
    }
    n_streams = path ? 1 : n > threads ? n : threads;
    streams = calloc((size_t)n_streams, sizeof *streams);
    if (!streams)
        die("calloc");
    for (int i = 0; i < n_streams; i++)
        streams[i] = (struct stream){.passer = n ? passer[i % n] : -1, .who = (uint16_t)(id + i),
                                     .count = (unsigned)count};

    is_stdio_untouched();
    int before = open_descriptors("/proc/self/./fd");

    if (!strcmp(role, "pair"))
        pair();
    else if (!path)
        go();
    else if (sends)
        connect_and_send(streams);
    else
        serve(streams);

    if (!is_stdio_untouched())
        die("standard input, output or error is not what it was");
    /* The interposer recognises this path, and closes its own descriptors. */
    int leaked = open_descriptors("/proc/self/fd") - before;
    if (leaked)
        ledger_number(ledger, 'L', (unsigned)id, 0, (uint64_t)(int64_t)leaked);
    free(streams);
    return 0;
}
