/* Opens files for a process that may not. It runs with more rights, usually as root, has one directory,
 * and gives descriptors of the files in it, for reading, to the processes of one user.
 *
 * Usage: helper DIRECTORY NODE USER
 *
 * USER is a name or a number. Nobody else should be able to write to DIRECTORY, or to where NODE is. One
 * connection is one request, and text goes one way, descriptors go the other:
 *
 *   client -> helper   the file's name, then the end of file
 *   helper -> client   the descriptor, or nothing; then the end of file
 *
 * client.c and client.pl ask; helper.pl is the same in Perl.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fdpasser.h>

enum {
    MAX_CLIENTS = 64, /* with so many, further ones wait in the listener */
    MAX_NAME = 255,
    REQUEST_MS = 5 * 1000,
};

struct client {
    int fd;
    long long deadline;
    size_t len;
    char name[MAX_NAME + 1]; /* the last byte is for a name that is too long */
};

static int directory, listener;
static uid_t user;
static struct client clients[MAX_CLIENTS];
static int n_clients;
static long long accept_at; /* not before then: the descriptor table was full */

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

/* Opens a plain file that is in the directory itself. -1: it is not for the client. */
static int open_file(const char *name, size_t len)
{
    struct stat st;

    if (len == 0 || len > MAX_NAME || memchr(name, '\0', len) != NULL ||
        memchr(name, '/', len) != NULL)
        return -1;
    /* What is not a plain file, a FIFO for instance, must not keep us waiting. */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* The client shares the flags: it has an ordinary file. */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_SETFL, 0) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* False: the client has got what it gets. */
static bool serve(struct client *c)
{
    ssize_t n = read(c->fd, c->name + c->len, sizeof c->name - c->len);

    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    c->len += (size_t)n;
    if (n > 0)
        return c->len <= MAX_NAME;

    if (c->len <= MAX_NAME)
        c->name[c->len] = '\0';
    int file = open_file(c->name, c->len);
    if (file >= 0) {
        /* The connection is empty, so this does not wait. */
        if (send_fd(c->fd, file) != 1)
            perror("send_fd");
        close(file);
    }
    return false;
}

static void accept_client(void)
{
    uid_t uid;
    int fd = fdpasser_accept(listener);

    if (fd < 0) {
        int pause = fdpasser_retry_ms(errno);
        if (pause > 0)
            accept_at = now_ms() + pause;
        return;
    }
    /* Everybody can connect. Who it is, the kernel knows. */
    if (fdpasser_peer_cred(fd, &uid, NULL, NULL) != 0 || uid != user ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        close(fd);
        return;
    }
    clients[n_clients].fd = fd;
    clients[n_clients].len = 0;
    clients[n_clients++].deadline = now_ms() + REQUEST_MS;
}

static void run(void)
{
    struct pollfd fds[1 + MAX_CLIENTS];

    for (;;) {
        long long now = now_ms(), next = now + REQUEST_MS;
        int n = n_clients;

        if (accept_at > now)
            next = accept_at;
        fds[0].fd = n < MAX_CLIENTS && accept_at <= now ? listener : -1;
        fds[0].events = POLLIN;
        for (int i = 0; i < n; i++) {
            fds[1 + i].fd = clients[i].fd;
            fds[1 + i].events = POLLIN;
            if (clients[i].deadline < next)
                next = clients[i].deadline;
        }
        if (poll(fds, 1 + (nfds_t)n, next > now ? (int)(next - now) : 0) < 0) {
            if (errno == EINTR)
                continue;
            die("poll");
        }
        now = now_ms();
        for (int i = n; i-- > 0;) {
            if ((fds[1 + i].revents && !serve(&clients[i])) || now >= clients[i].deadline) {
                close(clients[i].fd);
                clients[i] = clients[--n_clients];
            }
        }
        if (fds[0].revents)
            accept_client();
    }
}

static uid_t uid_of(const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    struct passwd *entry;

    if (*name >= '0' && *name <= '9' && *end == '\0')
        return (uid_t)number;
    entry = getpwnam(name);
    if (entry == NULL) {
        fprintf(stderr, "there is no user %s\n", name);
        exit(EXIT_FAILURE);
    }
    return entry->pw_uid;
}

int main(int argc, char **argv)
{
    fdpasser_node node;

    if (argc != 4) {
        fprintf(stderr, "usage: %s DIRECTORY NODE USER\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    user = uid_of(argv[3]);
    directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        die(argv[1]);
    /* The mode lets everybody connect, whatever our umask. */
    listener = fdpasser_server_with(argv[2], strlen(argv[2]), 0, 0666, 0, &node);
    if (listener < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
        die(argv[2]);
    printf("ready\n");
    fflush(stdout);
    run();
}
