/* A pre-forking HTTP server. One process accepts connections and pushes them into a passer; the workers
 * all receive from its other end, so that the next one goes to whoever is free. A third process, which
 * does nothing else, starts them all and replaces those that die. It keeps both ends of the passer open:
 * what no worker has taken yet stays in there.
 *
 *   clients ---> dispatcher ---> passer ---> worker, worker, worker...
 *                     \________ supervisor _______/
 *
 * Usage: prefork PORT WORKERS
 *
 * PORT may be 0: the system chooses. SIGTERM or SIGINT to the supervisor ends it all: first the
 * listening, then, when all that was accepted is answered, the workers. prefork.pl is the same in Perl.
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
};

/* 0: to be started. -1: has done its work. */
struct child {
    pid_t pid;
    time_t started;
};

static struct child children[1 + MAX_WORKERS]; /* the dispatcher first */
static int listener, ends[2]; /* the dispatcher's end, and the workers' */

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* --- a worker: blocking, one connection at a time ---------------------------------------------- */

/* Reads what looks like a request, up to the blank line. */
static bool read_request(int fd)
{
    char in[MAX_REQUEST + 1];
    size_t len = 0;

    while (len < MAX_REQUEST) {
        ssize_t n = read(fd, in + len, MAX_REQUEST - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        in[len] = '\0';
        if (strstr(in, "\r\n\r\n") != NULL)
            return strncmp(in, "GET /", 5) == 0;
    }
    return false;
}

static void write_answer(int fd)
{
    char body[64], out[256];

    snprintf(body, sizeof body, "answered by C, pid %ld\n", (long)getpid());
    int n = snprintf(out, sizeof out,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     strlen(body), body);
    if (write(fd, out, (size_t)n) == n) {
        /* Closing with something unread could take the answer away from the client. */
        shutdown(fd, SHUT_WR);
        while (read(fd, out, sizeof out) > 0)
            ;
    }
}

static int work(void)
{
    int fd;

    signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the end of the passer ends us */
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    while ((fd = recv_fd(ends[1])) > 0) {
        /* A client that takes longer than this costs us our life, and another worker comes. */
        alarm(REQUEST_SECONDS);
        if (read_request(fd))
            write_answer(fd);
        close(fd);
        alarm(0);
    }
    if (fd < 0)
        die("recv_fd");
    return EXIT_SUCCESS;
}

/* --- the dispatcher: never blocks -------------------------------------------------------------- */

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

/* Takes connections as long as the queue has room. Returns how long to leave the listener alone (ms). */
static int accept_conns(fdpasser *p)
{
    while (fdpasser_queued(p) < MAX_QUEUED) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return fdpasser_retry_ms(errno);
        if (fdpasser_push_send_fd(p, fd) != 1)
            die("fdpasser_push_send_fd");
    }
    return 0;
}

static int dispatch(void)
{
    struct sigaction action = { .sa_handler = stop };
    fdpasser *p = fdpasser_new(ends[0]);
    int pause = 0;

    if (p == NULL || fdpasser_set_max_queued(p, MAX_QUEUED) != 0)
        die("fdpasser_new");
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    while (!stopping || fdpasser_queued(p) > 0) {
        bool room = !stopping && pause <= 0 && fdpasser_queued(p) < MAX_QUEUED;
        int events = fdpasser_events(p), timeout = fdpasser_timeout_ms(p);
        struct pollfd fds[] = { { room ? listener : -1, POLLIN, 0 },
                                { events ? fdpasser_fileno(p) : -1, (short)events, 0 } };

        if (timeout < 0 || timeout > 1000)
            timeout = 1000; /* a signal may have come just before poll() */
        if (pause > 0 && pause < timeout)
            timeout = pause;
        if (poll(fds, 2, timeout) < 0 && errno != EINTR)
            die("poll");
        pause = fds[0].revents ? accept_conns(p) : 0;
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
    child->pid = fork();
    if (child->pid < 0)
        die("fork");
    if (child->pid == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        close(ends[is_dispatcher ? 1 : 0]); /* or it would never see the end of the other one */
        if (!is_dispatcher)
            close(listener);
        exit(is_dispatcher ? dispatch() : work());
    }
    printf("%s %ld\n", is_dispatcher ? "dispatcher" : "worker", (long)child->pid);
}

/* What ends with 0 has done its work. All else is to be started again, but not all the time. */
static void reap(int n)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < n; i++) {
            if (children[i].pid != pid)
                continue;
            bool done = status == 0 || (stopping && i == 0);
            children[i].pid = done ? -1 : 0;
            if (!done && time(NULL) - children[i].started < 1)
                sleep(1);
            if (done && i == 0)
                close(ends[0]); /* the last one, so that the workers see the end */
        }
    }
}

static void supervise(int n)
{
    sigset_t signals, before;
    int signal, running;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, &before);
    do {
        running = 0;
        for (int i = n; i-- > 0;) {
            if (children[i].pid == 0)
                start(&children[i], i == 0, &before);
            running += children[i].pid > 0;
        }
        if (running == 0)
            break;
        sigwait(&signals, &signal);
        if (signal == SIGCHLD) {
            reap(n);
            continue;
        }
        stopping = 1;
        if (children[0].pid > 0)
            kill(children[0].pid, SIGTERM);
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
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    supervise(1 + workers);
    return EXIT_SUCCESS;
}
