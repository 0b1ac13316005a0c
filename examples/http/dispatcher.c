/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reads the head of each HTTP request, chooses a worker by the path, and hands the connection over to it,
 * together with the bytes that it has read. dispatcher.pl is the same program in Perl.
 *
 * Usage: dispatcher PORT PREFIX=NODE...
 *
 * A request whose path begins with PREFIX goes to one of the workers that have connected to NODE, in turn.
 * The first PREFIX that fits counts. If PORT is 0 the system chooses one. Standard output says which, and
 * which workers come and go:
 *
 *     listening on 127.0.0.1:40123
 *     worker 1 joined /c/
 *
 * The dispatcher itself answers what reaches no worker, with 400, 404, 408, 431 or 503.
 *
 * SIGTERM and SIGINT end it: it removes its nodes, serves the connections that have come, and exits with 0.
 * A second signal ends it at once.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <fdpasser.h>

#include "http.h"

enum {
    MAX_ROUTES = 16,
    MAX_WORKERS = 64,
    MAX_CLIENTS = 256,    /* further connections wait in the listener */
    HEAD_MS = 10 * 1000,  /* for a client to send the head of its request: else 408 */
    WORKER_MS = 5 * 1000, /* for a worker to take a connection: else 503 */
    LINGER_MS = 2 * 1000, /* for a client to close after an answer of ours */
    SHORTAGE_MS = 500,    /* after an accept that failed for a reason that we do not know */
    TICK_MS = 1000,       /* how late a signal may be noticed that comes just before poll() */
};

struct route {
    const char *prefix;
    const char *path; /* of the node */
    fdpasser_node node;
    int listener;
};

struct worker {
    int passer;
    int number;
    const struct route *route;
    unsigned long turn; /* when it got its last connection */
    bool full;          /* its passer could not take one */
    long long full_since;
    long long resume_at; /* not to be tried before that */
};

enum phase { READING, WAITING, DRAINING }; /* WAITING for a worker, DRAINING after an answer of ours */

struct client {
    int fd;
    enum phase phase;
    long long deadline; /* of the phase */
    const struct route *route;
    size_t len;
    char data[FDPASSER_MAX_DATA + 1]; /* what was read. Always NUL-terminated. */
};

static struct route routes[MAX_ROUTES];
static struct worker workers[MAX_WORKERS];
static struct client *clients[MAX_CLIENTS]; /* in the order in which they came */
static int n_routes, n_workers, n_clients;
static int listener;
static long long accept_at; /* nothing is accepted before that */
static int accept_error;    /* already logged; 0 after an accept that succeeded */
static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* When the descriptor table is full, a listener stays ready. So it is left alone for a while. The log gets
 * one line, not one for each try. */
static void accept_failed(long long now)
{
    int error = errno, pause = fdpasser_retry_ms(error);

    if (pause == 0)
        return; /* there is none, which is no failure */
    if (error != accept_error)
        fprintf(stderr, "accept: %s\n", strerror(error));
    accept_error = error;
    accept_at = now + (pause > 0 ? pause : SHORTAGE_MS);
}

/* --- workers --------------------------------------------------------------------------------- */

static void worker_joins(const struct route *route, long long now)
{
    static int joined;
    static const struct worker none;
    int passer = fdpasser_accept(route->listener);

    if (passer < 0) {
        accept_failed(now);
        return;
    }
    accept_error = 0;
    struct worker *w = &workers[n_workers++];
    *w = none;
    w->passer = passer;
    w->number = ++joined;
    w->route = route;
    printf("worker %d joined %s\n", w->number, route->prefix);
}

static void worker_left(struct worker *w, const char *reason)
{
    printf("worker %d left%s%s\n", w->number, *reason ? ": " : "", reason);
    close(w->passer);
    *w = workers[--n_workers];
}

/* A worker sends nothing but the end, when it wants to leave. */
static void hear(struct worker *w)
{
    int fd;
    ssize_t n = fdpasser_try_recv_fds(w->passer, &fd, 1);

    if (n > 0)
        close(fd);
    if (n < 0 && later())
        return;
    worker_left(w, n == 0 ? "" : n > 0 ? "it sent a descriptor" : strerror(errno));
}

/* The worker whose turn it is, or NULL if there is none that can take a connection. */
static struct worker *next_worker(const struct route *route)
{
    struct worker *next = NULL;
    for (struct worker *w = workers; w < workers + n_workers; w++)
        if (w->route == route && !w->full && (next == NULL || w->turn < next->turn))
            next = w;
    return next;
}

/* Hands a connection over, with everything that was read from it. Until that succeeds it is ours. */
static bool hand_over(const struct client *c, long long now)
{
    static unsigned long turns;
    struct worker *w;

    while ((w = next_worker(c->route)) != NULL) {
        if (fdpasser_try_send_message(w->passer, &c->fd, 1, c->data, c->len) == 1) {
            w->turn = ++turns;
            return true;
        }
        int pause = fdpasser_retry_ms(errno);
        if (pause < 0) {
            worker_left(w, strerror(errno));
        } else {
            w->full = true;
            w->full_since = now;
            w->resume_at = now + pause;
        }
    }
    return false;
}

/* --- clients --------------------------------------------------------------------------------- */

static void enter(struct client *c, enum phase phase, long long deadline)
{
    c->phase = phase;
    c->deadline = deadline;
}

static void accept_clients(long long now)
{
    while (n_clients < MAX_CLIENTS) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            accept_failed(now);
            return;
        }
        accept_error = 0;
        struct client *c = malloc(sizeof *c);
        if (c == NULL || set_nonblocking(fd) != 0) {
            dropped(strerror(errno));
            free(c);
            close(fd);
            return;
        }
        c->fd = fd;
        c->len = 0;
        c->data[0] = '\0';
        enter(c, READING, now + HEAD_MS);
        clients[n_clients++] = c;
    }
}

static void forget(int i)
{
    close(clients[i]->fd);
    free(clients[i]);
    n_clients--;
    memmove(&clients[i], &clients[i + 1], (size_t)(n_clients - i) * sizeof clients[0]);
}

/* Each of the following does what can be done without waiting. It returns false when the connection is over. */

/* Answers a client that goes to no worker. The socket has room for so little. */
static bool refuse(struct client *c, const char *status, long long now)
{
    char out[2 * MAX_ANSWER_HEAD];
    size_t n = answer_head(out, status, "", strlen(status) + 1);

    if (strncmp(c->data, "HEAD ", 5) != 0)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s\n", status);
    if (write(c->fd, out, n) < 0 || shutdown(c->fd, SHUT_WR) != 0)
        return dropped(strerror(errno));
    enter(c, DRAINING, now + LINGER_MS);
    return true;
}

static bool choose(struct client *c, const struct request *r, long long now)
{
    for (int i = 0; i < n_routes; i++) {
        size_t len = strlen(routes[i].prefix);
        if (r->target_len >= len && strncmp(r->target, routes[i].prefix, len) == 0) {
            c->route = &routes[i];
            enter(c, WAITING, now + WORKER_MS);
            return true;
        }
    }
    return refuse(c, "404 Not Found", now);
}

/* Reads no more than can be handed over. What the client sends beyond that stays in the socket, for the
 * worker. */
static bool read_head(struct client *c, long long now)
{
    ssize_t n = read(c->fd, c->data + c->len, FDPASSER_MAX_DATA - c->len);
    if (n < 0)
        return later() || dropped(strerror(errno));
    if (n == 0)
        return dropped("it ended before the request did");
    c->len += (size_t)n;
    c->data[c->len] = '\0';

    size_t empty = strspn(c->data, "\r\n"); /* ignored: RFC 9112, 2.2 */
    c->len -= empty;
    memmove(c->data, c->data + empty, c->len + 1);

    struct request request;
    switch (parse_head(c->data, c->len, &request)) {
    case COMPLETE: return choose(c, &request, now);
    case MALFORMED: return refuse(c, "400 Bad Request", now);
    case INCOMPLETE: break;
    }
    return c->len < FDPASSER_MAX_DATA || refuse(c, "431 Request Header Fields Too Large", now);
}

static bool time_is_up(struct client *c, long long now)
{
    switch (c->phase) {
    case READING: return refuse(c, "408 Request Timeout", now);
    case WAITING: return refuse(c, "503 Service Unavailable", now);
    case DRAINING: break;
    }
    return false;
}

/* --- the loop -------------------------------------------------------------------------------- */

/* In this order: the listener, the routes' listeners, the workers, the clients. poll() ignores negative
 * descriptors. */
enum { MAX_POLLFDS = 1 + MAX_ROUTES + MAX_WORKERS + MAX_CLIENTS };

static nfds_t fill_pollfds(struct pollfd *at, long long now)
{
    const struct pollfd *first = at;
    bool accepts = now >= accept_at;

    *at++ = (struct pollfd){ accepts && n_clients < MAX_CLIENTS ? listener : -1, POLLIN, 0 };
    for (int i = 0; i < n_routes; i++)
        *at++ = (struct pollfd){ accepts && n_workers < MAX_WORKERS ? routes[i].listener : -1, POLLIN, 0 };
    for (int i = 0; i < n_workers; i++) {
        bool try_again = workers[i].full && now >= workers[i].resume_at;
        *at++ = (struct pollfd){ workers[i].passer, (short)(POLLIN | (try_again ? POLLOUT : 0)), 0 };
    }
    for (int i = 0; i < n_clients; i++) /* one that waits for a worker is read by the worker */
        *at++ = (struct pollfd){ clients[i]->phase == WAITING ? -1 : clients[i]->fd, POLLIN, 0 };
    return (nfds_t)(at - first);
}

static long long sooner(long long a, long long b)
{
    return a < b ? a : b;
}

/* How long poll() may wait: until the next thing that happens at a certain time, but no longer than a tick. */
static int timeout_ms(long long now)
{
    long long first = now + TICK_MS;

    if (accept_at > now)
        first = sooner(first, accept_at);
    for (int i = 0; i < n_workers; i++)
        if (workers[i].resume_at > now)
            first = sooner(first, workers[i].resume_at);
    for (int i = 0; i < n_clients; i++)
        first = sooner(first, clients[i]->deadline);
    return first > now ? (int)(first - now) : 0;
}

/* The next two functions go from the last entry to the first, because they may remove the present one. */

static void serve_clients(const struct pollfd *pollfds, long long now)
{
    for (int i = n_clients - 1; i >= 0; i--) {
        struct client *c = clients[i];
        bool goes_on = true;
        if (pollfds[i].revents != 0)
            goes_on = c->phase == READING ? read_head(c, now) : drain(c->fd);
        if (goes_on && now >= c->deadline)
            goes_on = time_is_up(c, now);
        if (!goes_on)
            forget(i);
    }
}

static void hear_workers(const struct pollfd *pollfds, long long now)
{
    for (int i = n_workers - 1; i >= 0; i--) {
        struct worker *w = &workers[i];
        if (pollfds[i].revents & POLLOUT)
            w->full = false;
        if (pollfds[i].revents & ~POLLOUT)
            hear(w);
        else if (w->full && now >= w->full_since + WORKER_MS)
            worker_left(w, "it takes no connections");
    }
}

static void hand_over_clients(long long now)
{
    for (int i = 0; i < n_clients;) {
        if (clients[i]->phase == WAITING && hand_over(clients[i], now))
            forget(i); /* closes our copy only */
        else
            i++;
    }
}

static void remove_nodes(void)
{
    for (int i = 0; i < n_routes; i++) {
        /* It may be another dispatcher's node by now, which is left alone. */
        fdpasser_unlink(routes[i].path, strlen(routes[i].path), &routes[i].node);
        close(routes[i].listener);
        routes[i].listener = -1;
    }
}

static void run(void)
{
    struct pollfd pollfds[MAX_POLLFDS];
    const struct pollfd *of_routes = pollfds + 1, *of_workers = of_routes + n_routes;
    bool ending = false;

    while (!ending || listener >= 0 || n_clients > 0) {
        if (stopping && !ending) {
            ending = true;
            remove_nodes();
        }
        long long now = now_ms();
        nfds_t n = fill_pollfds(pollfds, now);
        const struct pollfd *of_clients = of_workers + n_workers;
        bool last_look = ending && pollfds[0].fd >= 0; /* those that wait in the listener would be reset */
        if (poll(pollfds, n, last_look ? 0 : timeout_ms(now)) < 0) {
            if (errno == EINTR)
                continue;
            die("poll");
        }
        now = now_ms();
        serve_clients(of_clients, now);
        hear_workers(of_workers, now);
        for (int i = 0; i < n_routes; i++)
            if (of_routes[i].revents != 0 && n_workers < MAX_WORKERS)
                worker_joins(&routes[i], now);
        hand_over_clients(now);
        if (pollfds[0].revents != 0) {
            accept_clients(now);
        } else if (last_look) {
            close(listener);
            listener = -1;
        }
    }
}

/* --- start ----------------------------------------------------------------------------------- */

/* Returns the port. */
static int listen_on(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    socklen_t size = sizeof address;
    int yes = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, SOMAXCONN) != 0 ||
        set_nonblocking(listener) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        die("cannot listen on 127.0.0.1");
    return ntohs(address.sin_port);
}

/* Whatever connects to a node is given connections, so only our user may connect. */
static void add_route(char *argument)
{
    struct route *route = &routes[n_routes];
    char *equals = strchr(argument, '=');

    *equals = '\0';
    route->prefix = argument;
    route->path = equals + 1;
    route->listener = fdpasser_server_with(route->path, strlen(route->path), 0, 0600, 0, &route->node);
    if (route->listener < 0 || set_nonblocking(route->listener) != 0) {
        perror(route->path);
        remove_nodes();
        exit(EXIT_FAILURE);
    }
    n_routes++;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = stop, .sa_flags = (int)SA_RESETHAND };

    bool good = argc > 2 && argc - 2 <= MAX_ROUTES;
    for (int i = 2; i < argc; i++)
        good = good && strchr(argv[i], '=') != NULL;
    if (!good) {
        fprintf(stderr, "usage: %s PORT PREFIX=NODE...\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN); /* when a client is gone, write() fails with EPIPE */
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0)
        die("sigaction");
    int port = listen_on(argv[1]);
    for (int i = 2; i < argc; i++)
        add_route(argv[i]);
    printf("listening on 127.0.0.1:%d\n", port);
    run();
    return EXIT_SUCCESS;
}
