/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A small HTTP server that can be restarted without losing a connection.
 *
 * A new server with the same NODE connects there and takes over from the old one. It gets the listening
 * socket first. Then it gets each live connection as soon as the old server has answered what it has
 * read from it. What the old server has not read is still in the socket. Clients notice nothing.
 *
 * Usage: restart PORT NODE
 *
 * Only the first server uses PORT. If it is 0 the system chooses one. A service manager, such as systemd,
 * can hand the listening socket down instead. The server then uses that one, takes over the connections of a
 * server at NODE if there is one, and tells the manager when it is ready. SIGTERM and SIGINT end a server:
 * it removes NODE, accepts no more, answers the requests that have begun, and exits with 0. A handover
 * that is under way comes first. A second signal ends it at once.
 *
 * restart.pl is the same program in Perl. Each can take over from the other:
 *
 *   old -> new   the listening socket, then the connections, then end of file
 *   new -> old   nothing. The new server closes when it has everything and serves NODE itself. Then the
 *                old one exits. A new server that comes during a handover is sent end of file at once
 *                and tries again.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

enum {
    MAX_REQUEST = 8192,
    REQUEST_MS = 30 * 1000,   /* from one answer on a connection to the next */
    LINGER_MS = 5 * 1000,     /* for the client to close after the last answer */
    HANDOVER_MS = 60 * 1000,  /* longer than a request: the old server finishes those that have begun */
    TAKE_OVER_MS = 90 * 1000, /* longer than HANDOVER_MS, after which a live old server gives up */
    ANSWER_SECONDS = 10,      /* for the old server to accept our connection and send the listener */
    BUSY_MS = 200,            /* between two tries while another server takes over */
    TICK_MS = 1000,           /* how late a deadline or a signal may be noticed */
    SHORTAGE_MS = 100,        /* after an accept that failed for another reason than EAGAIN */
};

struct conn {
    int fd;
    bool last_answer; /* after it we shut down our side and wait for the client to close */
    bool shut_down;
    long long deadline;
    size_t in_len, out_len, out_sent;
    char in[MAX_REQUEST + 1]; /* always NUL-terminated */
    char out[512];
};

static volatile sig_atomic_t stopping;
static bool stopped; /* nothing is accepted any more */

static const char *node_path;
static int listener = -1;
static int node = -1; /* where the next server will connect */
static fdpasser_node node_made;
static long long accept_at; /* neither listener is polled before this time */
static int accept_error;    /* already logged; 0 after an accept that succeeded */

static fdpasser *predecessor; /* the server that we take over from */
static fdpasser *successor;   /* the server that takes over from us: then we accept no connections */
static struct conn *leaving;  /* queued for the successor: kept, but not touched, until it is sent */
static bool all_sent;
static long long handover_deadline; /* of either kind of handover */

static struct conn **conns;
static struct pollfd *pollfds; /* three for us, then one for each connection */
static size_t n_conns, n_alloc;

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* One line on standard error. */
static void complain(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%s\n", line);
}

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static bool later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* --- connections and HTTP, as much as is needed here ------------------------------------------- */

static void grow(size_t n)
{
    conns = realloc(conns, n * sizeof *conns);
    pollfds = realloc(pollfds, (3 + n) * sizeof *pollfds);
    if (conns == NULL || pollfds == NULL)
        die("realloc");
    n_alloc = n;
}

static void welcome(int fd)
{
    struct conn *c = calloc(1, sizeof *c);

    if (c == NULL || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || set_nonblocking(fd) != 0) {
        complain("dropped a connection: %s", strerror(errno));
        free(c);
        close(fd);
        return;
    }
    c->fd = fd;
    c->deadline = now_ms() + REQUEST_MS;
    if (n_conns == n_alloc)
        grow(n_alloc + 64);
    conns[n_conns++] = c;
}

static void drop(size_t i)
{
    close(conns[i]->fd);
    free(conns[i]);
    conns[i] = conns[--n_conns];
}

static void answer(struct conn *c, const char *status, const char *body)
{
    int n = snprintf(c->out, sizeof c->out,
                     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
                     status, strlen(body), c->last_answer ? "Connection: close\r\n" : "", body);
    c->out_len = (size_t)n;
    c->out_sent = 0;
}

static void refuse(struct conn *c)
{
    c->last_answer = true;
    c->in_len = 0;
    answer(c, "400 Bad Request", "only GET without a body, please\n");
}

/* Answers the first request in c->in, if it is complete. */
static void respond(struct conn *c)
{
    char body[64], *end = strstr(c->in, "\r\n\r\n"), *line_end = strstr(c->in, "\r\n");

    if (end == NULL) {
        if (c->in_len == MAX_REQUEST || strlen(c->in) != c->in_len)
            refuse(c);
        return;
    }
    if (strncmp(c->in, "GET /", 5) != 0 || line_end - c->in < 14 ||
        strncmp(line_end - 9, " HTTP/1.1", 9) != 0) {
        refuse(c);
        return;
    }
    c->last_answer = stopped;
    for (char *line = line_end; line < end; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Connection: close", 17) == 0)
            c->last_answer = true;
    snprintf(body, sizeof body, "answered by C, pid %ld\n", (long)getpid());
    answer(c, "200 OK", body);
    c->in_len -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_len + 1);
}

/* After a read or a write that failed: is there a connection to go on with? */
static bool still_good(const struct conn *c)
{
    if (later())
        return true;
    if (!c->shut_down) /* after the last answer nothing is lost */
        complain("dropped a connection: %s", strerror(errno));
    return false;
}

/* Does what can be done without waiting. Returns false when the connection is over. */
static bool serve(struct conn *c)
{
    if (c->out_len == 0) {
        ssize_t n = read(c->fd, c->in + c->in_len, MAX_REQUEST - c->in_len);
        if (n < 0)
            return still_good(c);
        if (n == 0) {
            if (c->in_len > 0)
                complain("dropped a connection: it ended within a request");
            return false;
        }
        if (c->shut_down) /* what comes after the last request is ignored */
            return true;
        c->in_len += (size_t)n;
        c->in[c->in_len] = '\0';
        respond(c);
    }
    while (c->out_len > 0) {
        ssize_t n = write(c->fd, c->out + c->out_sent, c->out_len - c->out_sent);
        if (n < 0)
            return still_good(c);
        c->out_sent += (size_t)n;
        if (c->out_sent < c->out_len)
            continue;
        c->out_len = 0;
        c->deadline = now_ms() + REQUEST_MS;
        if (!c->last_answer) {
            respond(c); /* the next request may be here already */
            continue;
        }
        /* To close now would reset the connection if the client has sent more, and take the answer away. */
        if (shutdown(c->fd, SHUT_WR) != 0)
            return false; /* the client is gone */
        c->shut_down = true;
        c->in_len = 0;
        c->deadline = now_ms() + LINGER_MS;
    }
    return true;
}

/* We hold no part of a request and no part of an answer, so another process can go on. */
static bool between_requests(const struct conn *c)
{
    return c->in_len == 0 && c->out_len == 0 && !c->shut_down;
}

/* When the descriptor table is full, the listener stays ready: poll() would return again and again. So the
 * listeners are left alone for a while. The log gets one line, not one for each try. */
static void accept_failed(void)
{
    int error = errno, pause = fdpasser_retry_ms(error);

    if (pause == 0)
        return;
    accept_at = now_ms() + (pause > 0 ? pause : SHORTAGE_MS);
    if (error != accept_error)
        complain("accept: %s", strerror(error));
    accept_error = error;
}

static void accept_conns(void)
{
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        accept_error = 0;
        welcome(fd);
    }
    accept_failed();
}

/* --- taking over ------------------------------------------------------------------------------- */

/* Only a process of our own user may have our sockets or give us any. */
static bool is_friend(int passer)
{
    uid_t uid;
    pid_t pid;

    if (fdpasser_peer_cred(passer, &uid, NULL, &pid) != 0) {
        complain("%s: cannot tell who is there: %s", node_path, strerror(errno));
        return false;
    }
    if (uid != geteuid())
        complain("%s: refused user %ld, process %ld", node_path, (long)uid, (long)pid);
    return uid == geteuid();
}

static bool serve_node(void)
{
    node = fdpasser_server_with(node_path, strlen(node_path), 0, 0600, 0, &node_made);
    if (node < 0) {
        complain("%s: %s", node_path, strerror(errno));
        return false;
    }
    if (set_nonblocking(node) != 0)
        die("fcntl");
    return true;
}

/* Until we have the listener, nothing is lost if we end. So the deadline needs no more than this. */
static char no_answer[512];

static void give_up(int signal)
{
    ssize_t written = write(STDERR_FILENO, no_answer, strlen(no_answer));

    (void)signal;
    (void)written;
    _exit(EXIT_FAILURE);
}

/* Receives the listener of the server at NODE. Returns false if there is no server. */
static bool find_predecessor(void)
{
    struct timespec pause = { .tv_nsec = BUSY_MS * 1000000L };
    struct sigaction action = { .sa_handler = give_up };

    snprintf(no_answer, sizeof no_answer, "%s: the server there does not answer within %d seconds. Is it stopped?\n",
             node_path, ANSWER_SECONDS);
    if (sigaction(SIGALRM, &action, NULL) != 0)
        die("sigaction");
    for (int ms = 0; ms < TAKE_OVER_MS; ms += BUSY_MS) {
        /* Both connect and receive may wait: for room in the server's backlog, and for its answer. */
        alarm(ANSWER_SECONDS);
        int passer = fdpasser_connect(node_path);
        if (passer < 0) {
            alarm(0);
            if (errno == ENOENT || errno == ECONNREFUSED)
                return false;
            die(node_path);
        }
        if (!is_friend(passer))
            exit(EXIT_FAILURE);
        listener = recv_fd(passer);
        alarm(0);
        if (listener > 0) {
            predecessor = fdpasser_new(passer);
            if (predecessor == NULL || fdpasser_push_recv(predecessor, 1) != 0)
                die("fdpasser_new");
            handover_deadline = now_ms() + TAKE_OVER_MS;
            return true;
        }
        if (listener < 0 && errno != ECONNRESET)
            die(node_path);
        /* Another server takes over from that one. We take over from the other one after it. */
        close(passer);
        if (ms == 0)
            complain("%s: another server takes over, waiting for it", node_path);
        nanosleep(&pause, NULL);
    }
    complain("%s: no listener from the server there", node_path);
    exit(EXIT_FAILURE);
}

/* Says so, to the service manager too if there is one. */
static void ready(void)
{
    printf("ready with %zu connections\n", n_conns);
    if (fdpasser_notify("READY=1", NULL, 0) < 0)
        complain("the service manager was not told: %s", strerror(errno));
}

static void take_over(int revents)
{
    int fd, state = fdpasser_process(predecessor, revents);

    /* After a failure we go on with what we have. */
    if (state < 0)
        complain("taking over: %s", strerror(errno));
    while ((fd = fdpasser_next_fd(predecessor)) > 0) {
        welcome(fd);
        if (fdpasser_push_recv(predecessor, 1) != 0)
            die("fdpasser_push_recv");
    }
    if (state > 0) {
        if (now_ms() < handover_deadline)
            return;
        complain("taking over: the old server has not finished within %d seconds", TAKE_OVER_MS / 1000);
    }
    serve_node(); /* if that fails, clients are more important than the next restart */
    fdpasser_free(predecessor); /* closes, which tells the old server that we are in charge */
    predecessor = NULL;
    ready();
}

/* --- handing over ------------------------------------------------------------------------------ */

static void meet_successor(void)
{
    int passer = fdpasser_accept(node);

    if (passer < 0) {
        accept_failed();
        return;
    }
    accept_error = 0;
    if (successor != NULL || !is_friend(passer)) {
        close(passer); /* during a handover it tries again */
        return;
    }
    int fd = fcntl(listener, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        complain("%s: no handover: %s", node_path, strerror(errno));
        close(passer);
        return;
    }
    successor = fdpasser_new(passer);
    /* It sends nothing, but who receives learns that the other side has ended. */
    if (successor == NULL || fdpasser_push_send_fd(successor, fd) != 1 ||
        fdpasser_push_recv(successor, 1) != 0)
        die("fdpasser_new");
    handover_deadline = now_ms() + HANDOVER_MS;
}

/* Queues a connection that is between two requests. We keep a duplicate of it in case the successor dies,
 * and so only one is queued at a time. */
static bool send_next(void)
{
    for (size_t i = 0; i < n_conns && leaving == NULL; i++) {
        if (!between_requests(conns[i]))
            continue;
        int fd = fcntl(conns[i]->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return false; /* the table is full: the next tick tries again */
        if (fdpasser_push_send_fd(successor, fd) != 1) {
            close(fd);
            return false;
        }
        leaving = conns[i];
    }
    return leaving != NULL;
}

static void hand_over(int revents)
{
    int state = fdpasser_process(successor, revents);

    while (state > 0 && fdpasser_queued(successor) == 0) {
        for (size_t i = 0; leaving != NULL && i < n_conns; i++)
            if (conns[i] == leaving) {
                leaving = NULL;
                drop(i);
            }
        if (!send_next())
            break;
        state = fdpasser_process(successor, POLLOUT);
    }
    if (state > 0 && n_conns == 0 && !all_sent && fdpasser_queued(successor) == 0)
        all_sent = shutdown(fdpasser_fileno(successor), SHUT_WR) == 0;
    if (state == 0 && all_sent)
        exit(EXIT_SUCCESS);
    if (state <= 0 || now_ms() >= handover_deadline) {
        complain("the new server has failed, going on with %zu connections", n_conns);
        fdpasser_free(successor);
        successor = NULL;
        leaving = NULL;
        all_sent = false;
    }
}

/* --- the end ----------------------------------------------------------------------------------- */

static void stop_serving(void)
{
    stopped = true;
    accept_conns(); /* those that wait in the listener would be reset */
    close(listener);
    listener = -1;
    if (node >= 0) {
        /* It may be another server's node by now, which is left alone. */
        if (fdpasser_unlink(node_path, strlen(node_path), &node_made) < 0)
            complain("%s: %s", node_path, strerror(errno));
        close(node);
        node = -1;
    }
    for (size_t i = n_conns; i-- > 0;) /* a request may have come since the last poll */
        if (!serve(conns[i]) || between_requests(conns[i]))
            drop(i);
}

/* --- the loop ---------------------------------------------------------------------------------- */

/* Serves what poll() found ready. From the last one down, as drop() moves that. */
static void serve_conns(size_t n)
{
    long long now = now_ms();

    for (size_t i = n; i-- > 0;) {
        struct conn *c = conns[i];

        if (c == leaving)
            continue;
        if (pollfds[3 + i].revents && !serve(c)) {
            drop(i);
        } else if (stopped && between_requests(c)) {
            drop(i);
        } else if (now >= c->deadline) {
            if (!c->shut_down)
                complain("dropped a connection: nothing came for too long");
            drop(i);
        }
    }
}

static void run(void)
{
    for (;;) {
        if (stopping && !stopped && predecessor == NULL && successor == NULL)
            stop_serving();
        if (stopped && n_conns == 0)
            return;

        fdpasser *passer = predecessor != NULL ? predecessor : successor;
        int events = passer == NULL ? 0 : fdpasser_events(passer);
        int timeout = passer == NULL ? -1 : fdpasser_timeout_ms(passer);
        long long now = now_ms();
        bool accepting = now >= accept_at;
        size_t n = n_conns;

        if (timeout < 0 || timeout > TICK_MS)
            timeout = TICK_MS;
        if (now < accept_at && accept_at - now < timeout)
            timeout = (int)(accept_at - now);
        /* poll() ignores negative descriptors. */
        pollfds[0] = (struct pollfd){ accepting && !successor ? listener : -1, POLLIN, 0 };
        pollfds[1] = (struct pollfd){ accepting ? node : -1, POLLIN, 0 };
        pollfds[2] = (struct pollfd){ events ? fdpasser_fileno(passer) : -1, (short)events, 0 };
        for (size_t i = 0; i < n; i++)
            pollfds[3 + i] = (struct pollfd){ conns[i] == leaving ? -1 : conns[i]->fd,
                                              conns[i]->out_len > 0 ? POLLOUT : POLLIN, 0 };
        if (poll(pollfds, 3 + n, timeout) < 0) {
            if (errno == EINTR)
                continue; /* then poll() has found nothing */
            die("poll");
        }
        int on_listener = pollfds[0].revents, on_node = pollfds[1].revents, on_passer = pollfds[2].revents;

        serve_conns(n);
        if (on_listener)
            accept_conns();
        if (predecessor != NULL)
            take_over(on_passer);
        else if (successor != NULL)
            hand_over(on_passer);
        if (on_node)
            meet_successor();
    }
}

static void listen_at(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int on = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, SOMAXCONN) != 0)
        die("listen");
    if (fcntl(listener, F_SETFD, FD_CLOEXEC) != 0)
        die("fcntl");
}

/* The listener that a service manager has handed down, or -1. */
static int handed_down(void)
{
    int fd;
    ssize_t n = fdpasser_inherited(&fd, 1);

    if (n < 0)
        die("what was handed down");
    if (n == 0)
        return -1;
    if (n > 1 || fdpasser_is(fd, FDPASSER_IS_LISTENING | FDPASSER_IS_STREAM | FDPASSER_IS_INTERNET) != 1) {
        complain("what was handed down is not one listening TCP socket");
        exit(EXIT_FAILURE);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    struct sigaction action = { .sa_handler = stop, .sa_flags = (int)SA_RESETHAND };

    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT NODE\n", argv[0]);
        return 2;
    }
    node_path = argv[2];
    signal(SIGPIPE, SIG_IGN); /* when a client is gone, write() fails with EPIPE */
    setvbuf(stdout, NULL, _IOLBF, 0);
    grow(64);

    int inherited = handed_down();
    bool taking_over = find_predecessor();
    if (inherited >= 0) {
        if (taking_over)
            close(listener); /* usually it is the same one */
        listener = inherited;
    }
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0)
        die("sigaction");
    if (inherited < 0 && !taking_over)
        listen_at(atoi(argv[1]));
    if (!taking_over && !serve_node())
        return EXIT_FAILURE;
    if (set_nonblocking(listener) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        die("listener");
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    if (predecessor == NULL)
        ready();
    run();
    free(conns);
    free(pollfds);
    return EXIT_SUCCESS;
}
