/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A worker in C: receives TCP connections from a dispatcher and answers one HTTP request on each. It goes on
 * with the bytes that the dispatcher has read, as if it had read them itself.
 *
 * Usage: worker NODE
 *
 * The answer says how many bytes of the request came from the dispatcher and how many were still to be read
 * from the client. It repeats the body of the request. The next request on the connection may be for another
 * worker, so the connection is closed, and the client makes a new one.
 *
 * When the dispatcher ends, the worker answers the clients that it has and exits with 0. On SIGTERM and
 * SIGINT it tells the dispatcher to send no more, and then does the same. A second signal ends it at once.
 */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>

#include <fdpasser.h>

#include "http.h"

enum {
    MAX_CLIENTS = 256,            /* further connections wait in the passer */
    MAX_REQUEST = 16 * 1024,      /* bytes, with the body */
    MAX_BODY = MAX_REQUEST + 512, /* of an answer, which repeats the request line and the body */
    LIFETIME_MS = 30 * 1000,      /* for one connection, from start to end */
    CONNECT_SECONDS = 10,
    TICK_MS = 1000, /* how late a signal may be noticed that comes just before poll() */
};

enum phase { READING, WRITING, DRAINING };

struct client {
    int fd;
    enum phase phase;
    long long deadline;
    size_t handed_over; /* how much of `in` came from the dispatcher */
    size_t in_len;
    size_t out_len;
    size_t out_sent;
    char in[MAX_REQUEST + 1]; /* always NUL-terminated */
    char out[MAX_ANSWER_HEAD + MAX_BODY];
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

/* --- the answer ------------------------------------------------------------------------------ */

static void add(struct client *c, const char *bytes, size_t n)
{
    memcpy(c->out + c->out_len, bytes, n);
    c->out_len += n;
}

static void refuse(struct client *c, const char *status, const char *field)
{
    size_t len = strlen(status);

    c->out_len = answer_head(c->out, status, field, len + 1);
    add(c, status, len);
    add(c, "\n", 1);
    c->phase = WRITING;
}

/* Returns the value of a header field, up to the end of the buffer, or NULL. */
static const char *field(const struct request *r, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = r->fields; !is_blank(line); line = strchr(line, '\n') + 1)
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " \t");
    return NULL;
}

/* The length of the body, or -1 if what the client says is not a number. */
static long body_length(const struct request *r)
{
    const char *value = field(r, "Content-Length");
    char *end;

    if (value == NULL)
        return 0;
    long len = strtol(value, &end, 10); /* a number that is too large becomes LONG_MAX */
    bool good = value[0] >= '0' && value[0] <= '9' && strchr("\r\n \t", *end) != NULL;
    return good ? len : -1;
}

static void answer(struct client *c, const struct request *r, size_t body_len)
{
    char facts[MAX_BODY];
    bool is_head = strncmp(c->in, "HEAD ", 5) == 0;
    int n = snprintf(facts, sizeof facts,
                     "language: C\n"
                     "pid: %ld\n"
                     "request: %.*s\n"
                     "from the dispatcher: %zu bytes\n"
                     "from the client: %zu bytes\n",
                     (long)getpid(), (int)strcspn(c->in, "\r\n"), c->in, c->handed_over,
                     c->in_len - c->handed_over);

    c->out_len = answer_head(c->out, "200 OK", "", (size_t)n + body_len);
    if (!is_head) {
        add(c, facts, (size_t)n);
        add(c, c->in + r->head_len, body_len);
    }
    c->phase = WRITING;
}

/* Answers when the request is complete, or cannot be. */
static void respond(struct client *c)
{
    struct request r;

    switch (parse_head(c->in, c->in_len, &r)) {
    case MALFORMED: refuse(c, "400 Bad Request", ""); return;
    case INCOMPLETE:
        if (c->in_len == MAX_REQUEST)
            refuse(c, "431 Request Header Fields Too Large", "");
        return;
    case COMPLETE: break;
    }
    long body_len = body_length(&r);
    if (strncmp(c->in, "GET ", 4) != 0 && strncmp(c->in, "HEAD ", 5) != 0 && strncmp(c->in, "POST ", 5) != 0)
        refuse(c, "405 Method Not Allowed", "Allow: GET, HEAD, POST\r\n");
    else if (field(&r, "Transfer-Encoding") != NULL)
        refuse(c, "501 Not Implemented", "");
    else if (body_len < 0)
        refuse(c, "400 Bad Request", "");
    else if (body_len > (long)(MAX_REQUEST - r.head_len))
        refuse(c, "413 Content Too Large", "");
    else if (c->in_len >= r.head_len + (size_t)body_len)
        answer(c, &r, (size_t)body_len);
}

/* --- one client ------------------------------------------------------------------------------ */

/* Each of these does what can be done without waiting. It returns false when the connection is over. */

static bool read_request(struct client *c)
{
    ssize_t n = read(c->fd, c->in + c->in_len, MAX_REQUEST - c->in_len);
    if (n < 0)
        return later() || dropped(strerror(errno));
    if (n == 0)
        return dropped("it ended before the request did");
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    respond(c);
    return true;
}

static bool write_answer(struct client *c)
{
    while (c->out_sent < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_sent, c->out_len - c->out_sent);
        if (n < 0)
            return later() || dropped(strerror(errno));
        c->out_sent += (size_t)n;
    }
    if (shutdown(c->fd, SHUT_WR) != 0)
        return false; /* the client is gone */
    c->phase = DRAINING;
    return true;
}

static bool serve(struct client *c)
{
    if (c->phase == READING && !read_request(c))
        return false;
    if (c->phase == WRITING && !write_answer(c))
        return false;
    return c->phase != DRAINING || drain(c->fd);
}

/* --- receiving connections ------------------------------------------------------------------- */

/* data is what the dispatcher has read: the beginning of the request, or all of it. */
static void welcome(struct worker *w, int fd, const char *data, size_t len, long long now)
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
    c->out_len = c->out_sent = 0;
    memcpy(c->in, data, len);
    c->in[len] = '\0';
    c->in_len = c->handed_over = len;
    respond(c);
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
        char data[FDPASSER_MAX_DATA];
        size_t len;
        int fd;
        ssize_t n = fdpasser_try_recv_message(w->passer, &fd, 1, data, sizeof data, &len);
        if (n > 0) {
            welcome(w, fd, data, len, now);
        } else if (n == 0) {
            stop_receiving(w, EXIT_SUCCESS);
        } else {
            int pause = fdpasser_retry_ms(errno);
            if (pause < 0) {
                perror("receiving");
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
    if (w.passer < 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    return run(&w);
}
