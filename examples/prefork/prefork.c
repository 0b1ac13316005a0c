/* A pre-forking HTTP server. The dispatcher accepts connections and pushes them into a passer. All workers
 * receive from the other end of it, each when it is free, and each connection reaches exactly one of them.
 * The supervisor starts these processes and replaces those that die. It keeps both ends of the passer open,
 * so that connections which no worker has taken yet are not lost.
 *
 *   clients ---> dispatcher ---> passer ---> worker, worker, worker...
 *                     \________ supervisor _______/
 *
 * Usage: prefork PORT WORKERS
 *
 * If PORT is 0 the system chooses one. Signals to the supervisor:
 *
 *   SIGTERM, SIGINT   stop: answer the connections that have come, then exit with 0
 *   SIGHUP            replace the workers: each finishes its connection and ends, and a new one starts
 *
 * If the supervisor is killed, the others notice and stop as after SIGTERM. prefork.pl is the same program
 * in Perl.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

enum {
    MAX_WORKERS = 1000,
    MAX_QUEUED = 64, /* beyond what the passer's socket holds; further ones wait in the listener */
    MAX_REQUEST = 8192,
    REQUEST_SECONDS = 10,
    SHORTAGE_MS = 100, /* after an accept that failed for another reason than EAGAIN */
};

struct child {
    pid_t pid; /* 0: to be started. -1: it has done its work. */
    time_t started;
    bool retiring; /* was told to end after its connection */
};

static struct child children[1 + MAX_WORKERS]; /* the dispatcher first */
static int listener;
static int ends[2];     /* of the passer: the dispatcher's and the workers' */
static int lifeline[2]; /* a pipe. Only the supervisor can write to it, so it ends with the supervisor. */
static volatile sig_atomic_t stopping;
static volatile sig_atomic_t retiring; /* in a worker */

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void retire(int signal)
{
    (void)signal;
    retiring = 1;
}

/* With SA_RESTART: a read of a client's request goes on after the signal. recv_fd() returns EINTR all the
 * same, and so does poll(). */
static void on_signal(int signal, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

    if (sigaction(signal, &action, NULL) != 0)
        die("sigaction");
}

/* --- a worker: blocking, one connection at a time ---------------------------------------------- */

static bool dropped(const char *why)
{
    fprintf(stderr, "dropped a connection: %s\n", why);
    return false;
}

/* Reads up to the blank line, and checks no more than the start. */
static bool read_request(int fd)
{
    char in[MAX_REQUEST + 1];
    size_t len = 0;

    while (len < MAX_REQUEST) {
        ssize_t n = read(fd, in + len, MAX_REQUEST - len);
        if (n < 0)
            return dropped(strerror(errno));
        if (n == 0)
            return dropped("it ended before the request did");
        len += (size_t)n;
        in[len] = '\0';
        if (strstr(in, "\r\n\r\n") != NULL)
            return strncmp(in, "GET /", 5) == 0 || dropped("not a GET request");
    }
    return dropped("the request is too long");
}

static void write_answer(int fd)
{
    char body[64], out[256];

    snprintf(body, sizeof body, "answered by C, pid %ld\n", (long)getpid());
    int n = snprintf(out, sizeof out,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     strlen(body), body);
    if (write(fd, out, (size_t)n) != n) {
        dropped("the answer was not written");
        return;
    }
    /* To close now would reset the connection if the client has sent more, and take the answer away. */
    if (shutdown(fd, SHUT_WR) == 0)
        while (read(fd, out, sizeof out) > 0)
            ;
}

/* The signals are blocked until the handlers are there. */
static int work(const sigset_t *mask)
{
    on_signal(SIGHUP, retire);
    on_signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the end of the passer ends us */
    on_signal(SIGTERM, SIG_IGN);
    on_signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);
    while (!retiring) {
        int fd = recv_fd(ends[1]);
        if (fd == 0)
            break;
        if (fd < 0 && errno == EINTR)
            continue;
        if (fd < 0)
            die("recv_fd");
        /* If a client takes longer than this, the signal kills us and another worker is started. */
        alarm(REQUEST_SECONDS);
        if (fcntl(fd, F_SETFL, 0) != 0) /* some systems pass on the listener's O_NONBLOCK */
            dropped(strerror(errno));
        else if (read_request(fd))
            write_answer(fd);
        close(fd);
        alarm(0);
    }
    return EXIT_SUCCESS;
}

/* --- the dispatcher: never blocks -------------------------------------------------------------- */

/* Takes connections while the queue has room. Returns for how long to leave the listener alone (ms): when
 * the descriptor table is full, it stays ready and poll() would return again and again. */
static int accept_conns(fdpasser *p)
{
    static int last_error; /* so that the log gets one line, not one for each try */

    while (fdpasser_queued(p) < MAX_QUEUED) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            int error = errno, pause = fdpasser_retry_ms(error);
            if (pause == 0)
                return 0;
            if (error != last_error)
                fprintf(stderr, "accept: %s\n", strerror(error));
            last_error = error;
            return pause > 0 ? pause : SHORTAGE_MS;
        }
        last_error = 0;
        if (fdpasser_push_send_fd(p, fd) != 1) {
            dropped(strerror(errno));
            close(fd);
        }
    }
    return 0;
}

static int dispatch(const sigset_t *mask)
{
    fdpasser *p = fdpasser_new(ends[0]);
    int pause = 0;
    bool stopped = false;

    if (p == NULL || fdpasser_set_max_queued(p, MAX_QUEUED) != 0)
        die("fdpasser_new");
    on_signal(SIGTERM, stop);
    on_signal(SIGINT, stop);
    on_signal(SIGHUP, SIG_IGN); /* it is for the workers */
    sigprocmask(SIG_SETMASK, mask, NULL);
    while (!stopped || fdpasser_queued(p) > 0) {
        if (stopping && !stopped) {
            accept_conns(p); /* those that wait in the listener would be reset */
            stopped = true;
        }
        bool room = !stopped && pause == 0 && fdpasser_queued(p) < MAX_QUEUED;
        int events = fdpasser_events(p), timeout = fdpasser_timeout_ms(p);
        struct pollfd fds[] = { { room ? listener : -1, POLLIN, 0 },
                                { events ? fdpasser_fileno(p) : -1, (short)events, 0 },
                                { stopped ? -1 : lifeline[0], POLLIN, 0 } };

        if (timeout < 0 || timeout > 1000)
            timeout = 1000; /* a signal may have come just before poll() */
        if (pause > 0 && pause < timeout)
            timeout = pause;
        if (poll(fds, 3, timeout) < 0) {
            if (errno == EINTR)
                continue; /* then poll() has found nothing */
            die("poll");
        }
        pause = fds[0].revents ? accept_conns(p) : 0;
        if (fds[2].revents) {
            fprintf(stderr, "the supervisor is gone, stopping\n");
            stopping = 1;
        }
        if (fdpasser_process(p, fds[1].revents) < 0) {
            perror("passing a connection");
            int fd = fdpasser_refused(p);
            if (fd < 0)
                exit(EXIT_FAILURE);
            close(fd);
        }
    }
    fdpasser_free(p);
    return EXIT_SUCCESS;
}

/* --- the supervisor ---------------------------------------------------------------------------- */

static void start(struct child *child, bool is_dispatcher, const sigset_t *mask)
{
    child->started = time(NULL);
    child->retiring = false;
    child->pid = fork();
    if (child->pid < 0)
        die("fork");
    if (child->pid == 0) {
        /* Each closes what the others use, or it would never see that those have ended. */
        close(lifeline[1]);
        if (is_dispatcher) {
            close(ends[1]);
            exit(dispatch(mask));
        }
        close(lifeline[0]);
        if (ends[0] >= 0)
            close(ends[0]);
        if (listener >= 0)
            close(listener);
        exit(work(mask));
    }
    printf("%s %ld\n", is_dispatcher ? "dispatcher" : "worker", (long)child->pid);
}

/* A child that has ended is started again, unless its work is done. */
static void ended(int i, int status)
{
    struct child *child = &children[i];
    bool is_dispatcher = i == 0;
    const char *name = is_dispatcher ? "dispatcher" : "worker";
    bool done = is_dispatcher ? status == 0 || stopping : status == 0 && ends[0] < 0;

    if (WIFSIGNALED(status))
        fprintf(stderr, "%s %ld was killed: %s\n", name, (long)child->pid, strsignal(WTERMSIG(status)));
    else if (status != 0)
        fprintf(stderr, "%s %ld has failed\n", name, (long)child->pid);
    if (status != 0 && !done && time(NULL) - child->started < 1)
        sleep(1); /* what fails at once should not be started all the time */
    child->pid = done ? -1 : 0;
    if (done && is_dispatcher) {
        close(ends[0]); /* the last one, so that the workers see the end */
        ends[0] = -1;
    }
}

static void reap(int n)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < n; i++)
            if (children[i].pid == pid) {
                ended(i, status);
                break;
            }
}

/* A worker may get the signal just before it waits in recv_fd(), and then waits all the same. So the signal
 * is sent again each second until the worker has ended. */
static void retire_workers(int n)
{
    for (int i = 1; i < n; i++)
        if (children[i].retiring && children[i].pid > 0) {
            kill(children[i].pid, SIGHUP);
            alarm(1);
        }
}

static void nothing(int signal)
{
    (void)signal;
}

static void supervise(int n)
{
    sigset_t signals, before;
    int signal, running;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGALRM);
    on_signal(SIGCHLD, nothing); /* some systems discard what is ignored before sigwait() can see it */
    if (sigprocmask(SIG_BLOCK, &signals, &before) != 0)
        die("sigprocmask");
    do {
        running = 0;
        for (int i = n; i-- > 0;) {
            if (children[i].pid == 0)
                start(&children[i], i == 0, &before);
            running += children[i].pid > 0;
        }
        if (running == 0)
            break;
        if (sigwait(&signals, &signal) != 0)
            continue;
        switch (signal) {
        case SIGCHLD:
            reap(n);
            break;
        case SIGHUP:
            for (int i = 1; i < n; i++)
                children[i].retiring = true;
            retire_workers(n);
            break;
        case SIGALRM:
            retire_workers(n);
            break;
        default:
            stopping = 1;
            if (listener >= 0)
                close(listener);
            listener = -1;
            if (children[0].pid > 0)
                kill(children[0].pid, SIGTERM);
        }
    } while (true);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof a;
    int on = 1, workers = argc == 3 ? atoi(argv[2]) : 0;

    if (workers < 1 || workers > MAX_WORKERS) {
        fprintf(stderr, "usage: %s PORT WORKERS\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    a.sin_port = htons((uint16_t)atoi(argv[1]));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, SOMAXCONN) != 0 ||
        fcntl(listener, F_SETFL, O_NONBLOCK) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    if (fdpasser_socketpair(ends) != 0)
        die("fdpasser_socketpair");
    if (pipe(lifeline) != 0)
        die("pipe");
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    supervise(1 + workers);
    return EXIT_SUCCESS;
}
