/* What the C programs share: the command line, the start signal, the clock, what is sent.
 *
 *     PROGRAM ROLE N PER_MESSAGE KIND
 *
 * moves N descriptors over the passer, which is descriptor 3. It prints "ready" and waits for a byte on
 * standard input. Then it does its job and prints when the job started, when it ended (both by
 * CLOCK_MONOTONIC, which all processes share) and how many seconds of CPU it took. It stays until
 * standard input ends, because libuv's receiver drops what it has not read once its peer is gone.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PEER_H
#define PEER_H

#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PASSER 3
#define MOST 253 /* descriptors in one message, Linux's SCM_MAX_FD */
#define DATA 100 /* bytes in a message of the rows with data */

/* A name on the command line, the preparation before the clock starts (or NULL), and the job. */
struct role {
    const char *name;
    void (*prepare)(void);
    void (*run)(void);
};
extern const struct role roles[];

static long n;        /* how many descriptors in all */
static int per;       /* how many in a message */
static int fds[MOST]; /* what is sent: the same descriptor many times */

/* How many descriptors go into the next message when `left` are left. */
static inline int next(long left)
{
    return left < per ? (int)left : per;
}

static int open_kind(const char *kind)
{
    int ends[2] = {-1, -1};

    if (strcmp(kind, "pipe") == 0) {
        if (pipe(ends) != 0)
            err(1, "pipe");
    } else if (strcmp(kind, "socket") == 0) { /* an accepted TCP connection */
        struct sockaddr_in where = {.sin_family = AF_INET};
        socklen_t len = sizeof where;
        int listener = socket(AF_INET, SOCK_STREAM, 0);

        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (listener < 0 || bind(listener, (struct sockaddr *)&where, len) != 0 ||
            listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&where, &len) != 0 ||
            (ends[1] = socket(AF_INET, SOCK_STREAM, 0)) < 0 ||
            connect(ends[1], (struct sockaddr *)&where, len) != 0 ||
            (ends[0] = accept(listener, NULL, NULL)) < 0)
            err(1, "a TCP connection");
        close(listener);
    } else {
        errx(1, "no such kind: %s", kind);
    }
    return ends[0];
}

static double now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    const struct role *role = roles;
    double start, cpu;
    char go;

    if (argc != 5)
        errx(1, "usage: %s ROLE N PER_MESSAGE KIND", argv[0]);
    while (role->name != NULL && strcmp(role->name, argv[1]) != 0)
        role++;
    if (role->name == NULL)
        errx(1, "no such role: %s", argv[1]);
    n = atol(argv[2]);
    per = atoi(argv[3]);
    if (n <= 0 || per <= 0 || per > MOST)
        errx(1, "nothing to do");
    fds[0] = open_kind(argv[4]);
    for (int i = 1; i < MOST; i++)
        fds[i] = fds[0];
    if (role->prepare)
        role->prepare();

    puts("ready");
    fflush(stdout);
    if (read(STDIN_FILENO, &go, 1) != 1)
        errx(1, "not started");
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    start = now(CLOCK_MONOTONIC);
    role->run();
    printf("%.9f %.9f %.9f\n", start, now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
    while (read(STDIN_FILENO, &go, 1) > 0)
        ;
    return 0;
}

#endif
