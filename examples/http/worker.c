/* A worker in C: receives TCP connections from dispatcher.pl and answers one HTTP request on each.
 *
 * Usage: worker NODE
 *
 * When the dispatcher ends, the worker answers the clients that it has and exits with 0. On SIGTERM and
 * SIGINT it tells the dispatcher to send no more, and then does the same. A second signal ends it at once.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

enum {
    MAX_CLIENTS = 256,           /* further connections wait in the passer */
    MAX_HEAD = 8192,             /* bytes of a request: the first line and the header fields */
    MAX_ANSWER = MAX_HEAD + 512, /* it repeats the path */
    LIFETIME_MS = 30 * 1000,     /* for one connection, from start to end */
    CONNECT_SECONDS = 10,
    TICK_MS = 1000, /* how late a signal may be noticed that comes just before poll() */
};

enum phase { READING, WRITING, DRAINING };

struct client {
    int fd;
    enum phase phase;
    long long deadline;
    size_t head_len;
    size_t answer_len;
    size_t answer_sent;
    char head[MAX_HEAD + 1]; /* always NUL-terminated */
    char answer[MAX_ANSWER];
};

struct worker {
    int passer;  /* -1: the dispatcher has ended */
    bool paused; /* nothing is received until resume_at */
    long long resume_at;
    bool leaving; /* the dispatcher was told */
    long long leave_by;
    int status; /* the exit status */
    int n_clients;
    struct client *clients[MAX_CLIENTS]; /* the first n_clients */
};

static volatile sig_atomic_t stopping;

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

/* Did the last call fail only because there is nothing to do yet? */
static bool later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* --- HTTP ------------------------------------------------------------------------------------ */

static void answer(struct client *c, const char *status, const char *extra, const char *body,
                   bool head_only)
{
    int n = snprintf(c->answer, sizeof c->answer,
                     "HTTP/1.1 %s\r\n"
                     "Content-Type: text/plain\r\n"
                     "Content-Length: %zu\r\n"
                     "%s"
                     "Connection: close\r\n"
                     "\r\n"
                     "%s",
                     status, strlen(body), extra, head_only ? "" : body);
    c->answer_len = (size_t)n; /* MAX_ANSWER leaves room for everything around the path */
    c->phase = WRITING;
}

static void refuse(struct client *c, const char *status, const char *extra)
{
    char body[64];
    snprintf(body, sizeof body, "%s\n", status);
    answer(c, status, extra, body, false);
}

/* The length of a token (RFC 9110, 5.6.2), the only thing that a method or a field's name may be. */
static size_t token_len(const char *s)
{
    return strspn(s, "!#$%&'*+-.^_`|~0123456789"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

static size_t target_len(const char *s)
{
    size_t n = 0;
    if (s[0] == '/')
        while (s[n] > ' ' && s[n] <= '~')
            n++;
    return n;
}

/* Returns the start of the blank line that ends a request's head, or NULL if it is not there yet. */
static const char *blank_line(const char *head)
{
    const char *crlf = strstr(head, "\n\r\n");
    const char *lf = strstr(head, "\n\n");
    const char *first = crlf == NULL || (lf != NULL && lf < crlf) ? lf : crlf;
    return first == NULL ? NULL : first + 1;
}

/* Is s " HTTP/1.x" and the end of a line? Sets *next to the next line. */
static bool version_ends_line(const char *s, const char **next)
{
    if (strncmp(s, " HTTP/1.", 8) != 0 || s[8] < '0' || s[8] > '9')
        return false;
    s += s[9] == '\r' ? 10 : 9;
    *next = s + 1;
    return *s == '\n';
}

/* Is every line from here to the blank one a header field? We use none of them. */
static bool fields_ok(const char *line, const char *blank)
{
    while (line < blank) {
        size_t n = token_len(line);
        if (n == 0 || line[n] != ':')
            return false;
        line = strchr(line, '\n') + 1;
    }
    return true;
}

/* Answers the complete request in c->head. */
static void respond(struct client *c, const char *blank)
{
    const char *method = c->head;
    size_t method_len = token_len(method);
    const char *target = method + method_len + 1;
    size_t len = method_len > 0 && method[method_len] == ' ' ? target_len(target) : 0;
    const char *fields;

    if (len == 0 || !version_ends_line(target + len, &fields) || !fields_ok(fields, blank)) {
        refuse(c, "400 Bad Request", "");
        return;
    }
    bool get = strncmp(method, "GET ", 4) == 0;
    bool head = strncmp(method, "HEAD ", 5) == 0;
    if (!get && !head) {
        refuse(c, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
        return;
    }
    char body[MAX_HEAD + 64];
    snprintf(body, sizeof body, "language: C\npid: %ld\npath: %.*s\n", (long)getpid(), (int)len,
             target);
    answer(c, "200 OK", "", body, head);
}

/* --- one client ------------------------------------------------------------------------------ */

static bool dropped(const char *why)
{
    fprintf(stderr, "dropped a connection: %s\n", why);
    return false;
}

/* Each of these does what can be done without waiting. It returns false when the connection is over. */

static bool read_request(struct client *c)
{
    ssize_t n = read(c->fd, c->head + c->head_len, MAX_HEAD - c->head_len);
    if (n < 0)
        return later() || dropped(strerror(errno));
    if (n == 0)
        return dropped("it ended before the request did");
    c->head_len += (size_t)n;
    c->head[c->head_len] = '\0';

    size_t empty = strspn(c->head, "\r\n"); /* ignored: RFC 9112, 2.2 */
    c->head_len -= empty;
    memmove(c->head, c->head + empty, c->head_len + 1);

    const char *blank = blank_line(c->head);
    if (blank != NULL)
        respond(c, blank);
    else if (strlen(c->head) != c->head_len)
        refuse(c, "400 Bad Request", ""); /* a NUL: the rest makes no difference */
    else if (c->head_len == MAX_HEAD)
        refuse(c, "431 Request Header Fields Too Large", "");
    return true;
}

static bool write_answer(struct client *c)
{
    while (c->answer_sent < c->answer_len) {
        ssize_t n = write(c->fd, c->answer + c->answer_sent, c->answer_len - c->answer_sent);
        if (n < 0)
            return later() || dropped(strerror(errno));
        c->answer_sent += (size_t)n;
    }
    /* To close now would reset the connection if the client has sent more, and take the answer away. So
     * we shut down our side and read until the client has closed too. */
    if (shutdown(c->fd, SHUT_WR) != 0)
        return false; /* the client is gone */
    c->phase = DRAINING;
    return true;
}

static bool drain(struct client *c)
{
    char unwanted[4096];
    ssize_t n = read(c->fd, unwanted, sizeof unwanted);
    return n > 0 || (n < 0 && later());
}

static bool serve(struct client *c)
{
    if (c->phase == READING && !read_request(c))
        return false;
    if (c->phase == WRITING && !write_answer(c))
        return false;
    return c->phase != DRAINING || drain(c);
}

/* --- receiving connections ------------------------------------------------------------------- */

static void welcome(struct worker *w, int fd, long long now)
{
    struct client *c = malloc(sizeof *c);

    if (c == NULL || set_nonblocking(fd) != 0) {
        dropped(strerror(errno));
        free(c);
        close(fd);
        return;
    }
    c->fd = fd;
    c->phase = READING;
    c->deadline = now + LIFETIME_MS;
    c->head_len = c->answer_len = c->answer_sent = 0;
    w->clients[w->n_clients++] = c;
}

static void drop(struct worker *w, int i)
{
    close(w->clients[i]->fd);
    free(w->clients[i]);
    w->clients[i] = w->clients[--w->n_clients];
}

static void stop_receiving(struct worker *w, int status)
{
    close(w->passer);
    w->passer = -1;
    w->status = status;
}

/* Takes the connections that have arrived, while there is room. */
static void receive(struct worker *w, long long now)
{
    w->paused = false;
    while (w->passer >= 0 && w->n_clients < MAX_CLIENTS) {
        int fd = recv_fd(w->passer);
        if (fd > 0) {
            welcome(w, fd, now);
        } else if (fd == 0) {
            stop_receiving(w, EXIT_SUCCESS);
        } else {
            int pause = fdpasser_retry_ms(errno);
            if (pause < 0) {
                perror("recv_fd");
                stop_receiving(w, EXIT_FAILURE);
            }
            w->paused = pause > 0;
            w->resume_at = now + pause;
            return;
        }
    }
}

/* Tells the dispatcher to send no more. It closes its end then, after all that it has sent already. */
static void leave(struct worker *w, long long now)
{
    w->leaving = true;
    w->leave_by = now + LIFETIME_MS;
    if (shutdown(w->passer, SHUT_WR) != 0) {
        perror("shutdown");
        stop_receiving(w, EXIT_FAILURE);
    }
}

/* --- the loop -------------------------------------------------------------------------------- */

/* The passer comes first, then the clients. poll() ignores negative descriptors. It is not enough to ask for no
 * events: poll() would report the dispatcher's end all the same, again and again, while we cannot receive. */
static void fill_pollfds(const struct worker *w, struct pollfd *pollfds)
{
    pollfds[0].fd = w->paused || w->n_clients == MAX_CLIENTS ? -1 : w->passer;
    pollfds[0].events = POLLIN;
    for (int i = 0; i < w->n_clients; i++) {
        pollfds[1 + i].fd = w->clients[i]->fd;
        pollfds[1 + i].events = w->clients[i]->phase == WRITING ? POLLOUT : POLLIN;
    }
}

/* How long poll() may wait: until the first deadline, but no longer than a tick. */
static int timeout_ms(const struct worker *w, long long now)
{
    long long first = now + TICK_MS;
    if (w->paused && w->resume_at < first)
        first = w->resume_at;
    for (int i = 0; i < w->n_clients; i++)
        if (w->clients[i]->deadline < first)
            first = w->clients[i]->deadline;
    return first > now ? (int)(first - now) : 0;
}

static void serve_clients(struct worker *w, const struct pollfd *pollfds, long long now)
{
    /* From the last to the first, because drop() moves the last one. */
    for (int i = w->n_clients - 1; i >= 0; i--) {
        struct client *c = w->clients[i];
        bool goes_on = pollfds[i].revents == 0 || serve(c);
        if (goes_on && now >= c->deadline)
            goes_on = dropped("its time is up");
        if (!goes_on)
            drop(w, i);
    }
}

static int run(struct worker *w)
{
    struct pollfd pollfds[1 + MAX_CLIENTS];

    while (w->passer >= 0 || w->n_clients > 0) {
        if (stopping && !w->leaving && w->passer >= 0)
            leave(w, now_ms());
        fill_pollfds(w, pollfds);
        if (poll(pollfds, 1 + (nfds_t)w->n_clients, timeout_ms(w, now_ms())) < 0) {
            if (later())
                continue;
            perror("poll");
            return EXIT_FAILURE;
        }
        long long now = now_ms();
        serve_clients(w, &pollfds[1], now);
        if (w->paused ? now >= w->resume_at : pollfds[0].revents != 0)
            receive(w, now);
        if (w->leaving && w->passer >= 0 && now >= w->leave_by) {
            fprintf(stderr, "the dispatcher does not let us go\n");
            stop_receiving(w, EXIT_FAILURE);
        }
    }
    return w->status;
}

/* To connect may wait, for room in the dispatcher's backlog. */
static void give_up(int signal)
{
    static const char text[] = "the dispatcher does not answer\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

    (void)signal;
    (void)written;
    _exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct worker w = { .passer = -1 };
    struct sigaction action = { .sa_handler = stop, .sa_flags = (int)SA_RESETHAND };

    if (argc != 2) {
        fprintf(stderr, "usage: %s NODE\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* when a client is gone, write() fails with EPIPE */
    /* The dispatcher may send as soon as we are connected, so we must be ready to leave in good order. */
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0) {
        perror("sigaction");
        return EXIT_FAILURE;
    }
    signal(SIGALRM, give_up);
    alarm(CONNECT_SECONDS);
    w.passer = fdpasser_connect(argv[1]);
    alarm(0);
    if (w.passer < 0 || set_nonblocking(w.passer) != 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    return run(&w);
}
