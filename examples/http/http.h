/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What dispatcher.c and worker.c share: requests and answers of HTTP, and a few words on sockets and time. */
#ifndef HTTP_H
#define HTTP_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- requests -------------------------------------------------------------------------------- */

enum head { INCOMPLETE, MALFORMED, COMPLETE };

/* The parts of a head. They lie in the buffer that was parsed. */
struct request {
    size_t method_len; /* the method is at the start */
    const char *target;
    size_t target_len;
    const char *fields; /* the lines between the request line and the blank line */
    size_t head_len;    /* with the blank line */
};

/* The length of a token (RFC 9110, 5.6.2), the only thing that a method or a field's name may be. */
static inline size_t token_len(const char *s)
{
    return strspn(s, "!#$%&'*+-.^_`|~0123456789"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

static inline size_t target_len(const char *s)
{
    size_t n = 0;
    if (s[0] == '/')
        while (s[n] > ' ' && s[n] <= '~')
            n++;
    return n;
}

/* The length of the head that in[0] to in[len - 1] begin with, or 0 if its blank line is not there yet. */
static inline size_t head_len(const char *in, size_t len)
{
    const char *line = in;
    while ((line = memchr(line, '\n', (size_t)(in + len - line))) != NULL) {
        line++;
        if (line[0] == '\n' || (line[0] == '\r' && line[1] == '\n'))
            return (size_t)(strchr(line, '\n') + 1 - in);
    }
    return 0;
}

/* Is s " HTTP/1.x" and the end of a line? Sets *next to the next line. */
static inline bool version_ends_line(const char *s, const char **next)
{
    if (strncmp(s, " HTTP/1.", 8) != 0 || s[8] < '0' || s[8] > '9')
        return false;
    s += s[9] == '\r' ? 10 : 9;
    *next = s + 1;
    return *s == '\n';
}

static inline bool is_blank(const char *line)
{
    return line[0] == '\n' || line[0] == '\r';
}

/* Parses what was read so far. in[len] must be NUL. */
static inline enum head parse_head(const char *in, size_t len, struct request *r)
{
    r->head_len = head_len(in, len);
    if (r->head_len == 0)
        return INCOMPLETE;
    if (memchr(in, '\0', r->head_len) != NULL)
        return MALFORMED;

    r->method_len = token_len(in);
    if (r->method_len == 0 || in[r->method_len] != ' ')
        return MALFORMED;
    r->target = in + r->method_len + 1;
    r->target_len = target_len(r->target);
    if (r->target_len == 0 || !version_ends_line(r->target + r->target_len, &r->fields))
        return MALFORMED;
    for (const char *line = r->fields; !is_blank(line); line = strchr(line, '\n') + 1) {
        size_t n = token_len(line);
        if (n == 0 || line[n] != ':')
            return MALFORMED;
    }
    return COMPLETE;
}

/* --- answers --------------------------------------------------------------------------------- */

enum { MAX_ANSWER_HEAD = 512 };

/* Writes the head of an answer into out, which has room for MAX_ANSWER_HEAD bytes. Returns its length. */
static inline size_t answer_head(char *out, const char *status, const char *field, size_t body_len)
{
    return (size_t)snprintf(out, MAX_ANSWER_HEAD,
                            "HTTP/1.1 %s\r\n"
                            "Content-Type: text/plain\r\n"
                            "Content-Length: %zu\r\n"
                            "%s"
                            "Connection: close\r\n"
                            "\r\n",
                            status, body_len, field);
}

/* --- sockets and time ------------------------------------------------------------------------ */

/* Did the last call fail only because there is nothing to do yet? */
static inline bool later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Reads what a client sends behind its request, until it closes. To close before that would reset the
 * connection and take the answer away. Returns false when the connection is over. */
static inline bool drain(int fd)
{
    char unwanted[4096];
    ssize_t n = read(fd, unwanted, sizeof unwanted);
    return n > 0 || (n < 0 && later());
}

static inline bool dropped(const char *why)
{
    fprintf(stderr, "dropped a connection: %s\n", why);
    return false;
}

static inline int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static inline long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

#endif
