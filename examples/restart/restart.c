/* A small HTTP server that restarts without losing anybody. A new one that is started at the same NODE
 * takes the listening socket over from the old one, and then every live connection, each as soon as it
 * is between two requests; what the old one has begun it finishes. Clients notice nothing.
 *
 * Usage: restart PORT NODE
 *
 * PORT counts only for the first server (0: the system chooses). restart.pl is the same in Perl, and the
 * two take over from each other:
 *
 *   old -> new   the listening socket, then connections, then the end of file
 *   new -> old   nothing; it closes when it has all and serves NODE itself, and then the old one ends
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
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

enum {
    MAX_REQUEST = 8192,
    REQUEST_MS = 30 * 1000,  /* from one answer on a connection to the next */
    HANDOVER_MS = 60 * 1000, /* longer than a request, which the old server waits for */
    TICK_MS = 1000,          /* how late a deadline may be noticed */
    CONNECT_TRIES = 10,
};

struct conn {
    int fd;
    bool last_answer; /* then shut down, and wait for the client to close */
    bool shut_down;
    long long deadline;
    size_t in_len, out_len, out_sent;
    char in[MAX_REQUEST + 1]; /* always ends in NUL */
    char out[512];
};

static const char *node_path;
static int listener = -1;
static long long accept_at; /* not before then: the descriptor table was full */
static int node = -1;       /* where the next server will connect */

static fdpasser *predecessor; /* the server that we are taking over from */
static fdpasser *successor;   /* the server that is taking over from us: then we accept no more */
static struct conn *leaving;  /* queued for the successor. Kept, but not touched, until it is sent. */
static bool all_sent;
static long long handover_deadline;

static struct conn **conns;
static struct pollfd *pollfds; /* three, and one for each connection */
static size_t n_conns, n_alloc;

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
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

    if (c == NULL)
        die("calloc");
    if (set_nonblocking(fd) != 0)
        die("fcntl");
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

/* Answers the first request in c->in if it is complete. */
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
    for (char *line = line_end; line < end; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Connection: close", 17) == 0)
            c->last_answer = true;
    snprintf(body, sizeof body, "answered by C, pid %ld\n", (long)getpid());
    answer(c, "200 OK", body);
    c->in_len -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_len + 1);
}

/* Does what can be done without waiting. False: the connection is over. */
static bool serve(struct conn *c)
{
    if (c->out_len == 0) {
        ssize_t n = read(c->fd, c->in + c->in_len, MAX_REQUEST - c->in_len);
        if (n <= 0)
            return n < 0 && later();
        if (c->shut_down) /* whatever it still says */
            return true;
        c->in_len += (size_t)n;
        c->in[c->in_len] = '\0';
        respond(c);
    }
    while (c->out_len > 0) {
        ssize_t n = write(c->fd, c->out + c->out_sent, c->out_len - c->out_sent);
        if (n < 0)
            return later();
        c->out_sent += (size_t)n;
        if (c->out_sent < c->out_len)
            continue;
        c->out_len = 0;
        c->deadline = now_ms() + REQUEST_MS;
        if (!c->last_answer) {
            respond(c); /* the next request may be here already */
        } else {
            shutdown(c->fd, SHUT_WR);
            c->shut_down = true;
            c->in_len = 0;
        }
    }
    return true;
}

/* Nothing of a request and nothing of an answer is in our hands, so another process can go on. */
static bool between_requests(const struct conn *c)
{
    return c->in_len == 0 && c->out_len == 0 && !c->shut_down;
}

/* A full table leaves a listener ready: not to be polled for a while. */
static void accept_failed(void)
{
    int pause = fdpasser_retry_ms(errno);
    if (pause > 0)
        accept_at = now_ms() + pause;
}

static void accept_conns(void)
{
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        welcome(fd);
    }
    accept_failed();
}

/* --- taking over ------------------------------------------------------------------------------- */

/* Only a process of our own user may have our sockets, or give us any. */
static bool is_friend(int passer)
{
    uid_t uid;
    return fdpasser_peer_cred(passer, &uid, NULL, NULL) == 0 && uid == geteuid();
}

static void serve_node(void)
{
    fdpasser_node made;

    node = fdpasser_server_with(node_path, strlen(node_path), 0, 0600, 0, &made);
    if (node < 0 || set_nonblocking(node) != 0)
        perror(node_path); /* the clients are more important than the next restart */
}

/* Receives the listener of the server at NODE, if there is one. */
static bool find_predecessor(void)
{
    for (int i = 0; i < CONNECT_TRIES; i++) {
        int passer = fdpasser_connect(node_path);
        if (passer < 0 && (errno == ENOENT || errno == ECONNREFUSED))
            return false;
        if (passer < 0)
            die(node_path);
        if (!is_friend(passer)) {
            fprintf(stderr, "%s is served by another user\n", node_path);
            exit(EXIT_FAILURE);
        }
        /* It waits while another one takes over from that server. Then it ends without a listener,
         * and we have to do with the other one. */
        listener = recv_fd(passer);
        if (listener > 0) {
            predecessor = fdpasser_new(passer);
            if (predecessor == NULL || fdpasser_push_recv(predecessor, 1) != 0)
                die("fdpasser_new");
            return true;
        }
        close(passer);
    }
    fprintf(stderr, "%s: no answer\n", node_path);
    exit(EXIT_FAILURE);
}

static void take_over(int revents)
{
    int fd, state = fdpasser_process(predecessor, revents);

    while ((fd = fdpasser_next_fd(predecessor)) > 0) {
        welcome(fd);
        fdpasser_push_recv(predecessor, 1);
    }
    if (state > 0)
        return;
    if (state < 0)
        perror("taking over"); /* it has died: we go on with what we have */
    serve_node();
    fdpasser_free(predecessor); /* closes, which tells the old server that we are in charge */
    predecessor = NULL;
    printf("ready with %zu connections\n", n_conns);
}

/* --- handing over ------------------------------------------------------------------------------ */

static void meet_successor(void)
{
    int passer = fdpasser_accept(node);

    if (passer < 0) {
        accept_failed();
        return;
    }
    int fd = fcntl(listener, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || !is_friend(passer)) {
        close(passer); /* it may try again */
        if (fd >= 0)
            close(fd);
        return;
    }
    successor = fdpasser_new(passer);
    if (successor == NULL || fdpasser_push_send_fd(successor, fd) != 1)
        die("fdpasser_new");
    fdpasser_push_recv(successor, 1); /* nothing will come, but so we hear of its end */
    handover_deadline = now_ms() + HANDOVER_MS;
}

/* Queues a connection that is between two requests. Of what is queued we keep a duplicate, in case the
 * successor dies; that is why only one is queued at a time. */
static bool send_next(void)
{
    for (size_t i = 0; i < n_conns && leaving == NULL; i++) {
        if (!between_requests(conns[i]))
            continue;
        int fd = fcntl(conns[i]->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return false; /* no free slot now: with the next tick */
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
    if (state > 0 && n_conns == 0 && !all_sent && fdpasser_queued(successor) == 0) {
        shutdown(fdpasser_fileno(successor), SHUT_WR);
        all_sent = true;
    }
    if (state == 0 && all_sent)
        exit(EXIT_SUCCESS);
    if (state <= 0 || (!all_sent && now_ms() >= handover_deadline)) {
        fprintf(stderr, "the new server has failed, going on with %zu connections\n", n_conns);
        fdpasser_free(successor);
        successor = NULL;
        leaving = NULL;
        all_sent = false;
    }
}

/* --- the loop ---------------------------------------------------------------------------------- */

static void run(void)
{
    for (;;) {
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
        /* poll() passes over what is negative. */
        pollfds[0] = (struct pollfd){ accepting && !successor ? listener : -1, POLLIN, 0 };
        pollfds[1] = (struct pollfd){ accepting && !passer ? node : -1, POLLIN, 0 };
        pollfds[2] = (struct pollfd){ events ? fdpasser_fileno(passer) : -1, (short)events, 0 };
        for (size_t i = 0; i < n; i++)
            pollfds[3 + i] = (struct pollfd){ conns[i] == leaving ? -1 : conns[i]->fd,
                                              conns[i]->out_len > 0 ? POLLOUT : POLLIN, 0 };
        if (poll(pollfds, 3 + n, timeout) < 0 && errno != EINTR)
            die("poll");

        now = now_ms();
        for (size_t i = n; i-- > 0;) /* from the last one, as drop() moves that */
            if (conns[i] != leaving &&
                ((pollfds[3 + i].revents && !serve(conns[i])) || now >= conns[i]->deadline))
                drop(i);
        if (pollfds[0].revents)
            accept_conns();
        if (predecessor != NULL)
            take_over(pollfds[2].revents);
        else if (successor != NULL)
            hand_over(pollfds[2].revents);
        else if (pollfds[1].revents)
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
    fcntl(listener, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT NODE\n", argv[0]);
        return 2;
    }
    node_path = argv[2];
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an error of write()'s */
    setvbuf(stdout, NULL, _IOLBF, 0);
    grow(64);

    if (!find_predecessor())
        listen_at(atoi(argv[1]));
    if (set_nonblocking(listener) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        die("listener");
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    if (predecessor == NULL) {
        serve_node();
        printf("ready with 0 connections\n");
    }
    run();
}
