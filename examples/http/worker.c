/* A worker in C: receives TCP connections from dispatcher.pl and answers one HTTP request on each.
 * It ends when the dispatcher has ended and every client has been served.
 *
 * Usage: worker NODE
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
    MAX_CLIENTS = 256,           /* with so many, further connections wait in the passer */
    MAX_HEAD = 8192,             /* bytes of a request: its first line and its header fields */
    MAX_ANSWER = MAX_HEAD + 512, /* it repeats the path */
    LIFETIME_MS = 30 * 1000,     /* for one connection, from end to end */
};

enum phase { READING, WRITING, DRAINING };

struct client {
    int fd;
    enum phase phase;
    long long deadline;
    size_t head_len;
    size_t answer_len;
    size_t answer_sent;
    char head[MAX_HEAD + 1]; /* always ends in NUL */
    char answer[MAX_ANSWER];
};

struct worker {
    int passer;  /* -1: the dispatcher has ended */
    bool paused; /* receiving is left alone until resume_at */
    long long resume_at;
    int status; /* what to exit with */
    int n_clients;
    struct client *clients[MAX_CLIENTS]; /* the first n_clients */
};

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

/* Whether what has just failed may succeed when poll() says so. */
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

/* Where the blank line begins that ends a request's head; NULL if it is not there yet. */
static const char *blank_line(const char *head)
{
    const char *crlf = strstr(head, "\n\r\n");
    const char *lf = strstr(head, "\n\n");
    const char *first = crlf == NULL || (lf != NULL && lf < crlf) ? lf : crlf;
    return first == NULL ? NULL : first + 1;
}

/* Whether s is " HTTP/1.x", and a line ends there. Sets *next to the line behind. */
static bool version_ends_line(const char *s, const char **next)
{
    if (strncmp(s, " HTTP/1.", 8) != 0 || s[8] < '0' || s[8] > '9')
        return false;
    s += s[9] == '\r' ? 10 : 9;
    *next = s + 1;
    return *s == '\n';
}

/* Whether every line from here to the blank one is a header field. We need to know none of them. */
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

/* Answers the request in c->head, which is complete. */
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

/* Each of these three does what can be done without waiting. False: the connection is over. */

static bool read_request(struct client *c)
{
    ssize_t n = read(c->fd, c->head + c->head_len, MAX_HEAD - c->head_len);
    if (n < 0)
        return later();
    if (n == 0)
        return false; /* gone before it had said what it wants */
    c->head_len += (size_t)n;
    c->head[c->head_len] = '\0';

    size_t empty = strspn(c->head, "\r\n"); /* to be ignored: RFC 9112, 2.2 */
    c->head_len -= empty;
    memmove(c->head, c->head + empty, c->head_len + 1);

    const char *blank = blank_line(c->head);
    if (blank != NULL)
        respond(c, blank);
    else if (strlen(c->head) != c->head_len)
        refuse(c, "400 Bad Request", ""); /* a NUL: no need to wait for the end */
    else if (c->head_len == MAX_HEAD)
        refuse(c, "431 Request Header Fields Too Large", "");
    return true;
}

static bool write_answer(struct client *c)
{
    while (c->answer_sent < c->answer_len) {
        ssize_t n = write(c->fd, c->answer + c->answer_sent, c->answer_len - c->answer_sent);
        if (n < 0)
            return later();
        c->answer_sent += (size_t)n;
    }
    /* Closing a socket with something unread in it would reset the connection, and the answer could
     * be lost. So we say that we are done, and read on until the client has closed its side too. */
    shutdown(c->fd, SHUT_WR);
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
        perror("a connection is lost");
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

/* Takes all that have arrived, as far as there is room. */
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

/* --- the loop -------------------------------------------------------------------------------- */

/* The passer comes first, then the clients. poll() passes over what is negative. To ask for no events
 * would not do: it reports the other side's end unasked, and so would return at once, again and again,
 * while we cannot receive. */
static void fill_pollfds(const struct worker *w, struct pollfd *pollfds)
{
    pollfds[0].fd = w->paused || w->n_clients == MAX_CLIENTS ? -1 : w->passer;
    pollfds[0].events = POLLIN;
    for (int i = 0; i < w->n_clients; i++) {
        pollfds[1 + i].fd = w->clients[i]->fd;
        pollfds[1 + i].events = w->clients[i]->phase == WRITING ? POLLOUT : POLLIN;
    }
}

/* How long poll() may wait: until the first deadline. -1: for as long as it takes. */
static int timeout_ms(const struct worker *w, long long now)
{
    if (!w->paused && w->n_clients == 0)
        return -1;
    long long first = w->paused ? w->resume_at : now + LIFETIME_MS;
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
        if (now >= c->deadline || (pollfds[i].revents != 0 && !serve(c)))
            drop(w, i);
    }
}

static int run(struct worker *w)
{
    struct pollfd pollfds[1 + MAX_CLIENTS];

    while (w->passer >= 0 || w->n_clients > 0) {
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
    }
    return w->status;
}

int main(int argc, char **argv)
{
    struct worker w = { .passer = -1 };

    if (argc != 2) {
        fprintf(stderr, "usage: %s NODE\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an error of write()'s, and only its own */

    w.passer = fdpasser_connect(argv[1]);
    if (w.passer < 0 || set_nonblocking(w.passer) != 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    return run(&w);
}
