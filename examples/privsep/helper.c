/* Opens files for a process that may not open them itself. The helper runs with more rights, usually as
 * root. It has one directory, and gives descriptors of the files in it, for reading, to one user's processes.
 *
 * Usage: helper DIRECTORY NODE USER
 *
 * USER is a name or a number. Nobody else should be able to write to DIRECTORY or to the directory of NODE.
 * SIGTERM and SIGINT end the helper: it removes NODE, finishes the requests that have begun, and exits
 * with 0. A second signal ends it at once.
 *
 * One connection is one request:
 *
 *   client -> helper   the file's name, then end of file
 *   helper -> client   the descriptor, or nothing; then end of file
 *
 * client.c and client.pl make such requests. helper.pl is the same program in Perl.
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
    MAX_CLIENTS = 64, /* further ones wait in the listener */
    MAX_NAME = 255,
    REQUEST_MS = 5 * 1000,
    TICK_MS = 1000,    /* how late a signal may be noticed that comes just before poll() */
    SHORTAGE_MS = 100, /* after an accept that failed for another reason than EAGAIN */
};

struct client {
    int fd;
    long long deadline;
    size_t len;
    char name[MAX_NAME + 1]; /* the last byte is there to notice a name that is too long */
};

static int directory, listener;
static uid_t user;
static struct client clients[MAX_CLIENTS];
static int n_clients;
static long long accept_at; /* the listener is not polled before this time */
static int accept_error;    /* already logged; 0 after an accept that succeeded */
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
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

/* Opens a plain file in the directory itself. Returns -1 if the client may not have it. */
static int open_file(const char *name, size_t len)
{
    struct stat st;

    if (len == 0 || len > MAX_NAME || memchr(name, '\0', len) != NULL ||
        memchr(name, '/', len) != NULL)
        return -1;
    /* O_NONBLOCK: to open a FIFO, for instance, must not make us wait. */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* The client shares the flags with us, and gets a file without any. */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_SETFL, 0) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool dropped(const char *why)
{
    fprintf(stderr, "dropped a client: %s\n", why);
    return false;
}

/* Returns false when the client is done with. */
static bool serve(struct client *c)
{
    ssize_t n = read(c->fd, c->name + c->len, sizeof c->name - c->len);

    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || dropped(strerror(errno));
    c->len += (size_t)n;
    if (n > 0)
        return c->len <= MAX_NAME || dropped("the name is too long");

    c->name[c->len] = '\0';
    int file = open_file(c->name, c->len);
    if (file >= 0) {
        /* The connection is empty, so this does not wait. */
        if (send_fd(c->fd, file) != 1)
            dropped(strerror(errno));
        close(file);
    }
    return false;
}

/* When the descriptor table is full, the listener stays ready: poll() would return again and again. So it is
 * left alone for a while. The log gets one line, not one for each try. */
static void accept_failed(void)
{
    int error = errno, pause = fdpasser_retry_ms(error);

    if (pause == 0)
        return;
    accept_at = now_ms() + (pause > 0 ? pause : SHORTAGE_MS);
    if (error != accept_error)
        fprintf(stderr, "accept: %s\n", strerror(error));
    accept_error = error;
}

/* Everybody can connect. The kernel knows who it is. */
static bool is_welcome(int fd)
{
    uid_t uid;
    pid_t pid;

    if (fdpasser_peer_cred(fd, &uid, NULL, &pid) != 0)
        return dropped(strerror(errno));
    if (uid != user)
        fprintf(stderr, "refused user %ld, process %ld\n", (long)uid, (long)pid);
    return uid == user;
}

static void accept_client(void)
{
    int fd = fdpasser_accept(listener);

    if (fd < 0) {
        accept_failed();
        return;
    }
    accept_error = 0;
    if (!is_welcome(fd)) {
        close(fd);
        return;
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        dropped(strerror(errno));
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

    while (!stopping || n_clients > 0) {
        long long now = now_ms(), next = now + TICK_MS;
        int n = n_clients;

        if (accept_at > now && accept_at < next)
            next = accept_at;
        fds[0].fd = !stopping && n < MAX_CLIENTS && accept_at <= now ? listener : -1;
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
            bool goes_on = !fds[1 + i].revents || serve(&clients[i]);
            if (goes_on && now >= clients[i].deadline)
                goes_on = dropped("no request within its time");
            if (!goes_on) {
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
    struct sigaction action = { .sa_handler = stop, .sa_flags = (int)SA_RESETHAND };

    if (argc != 4) {
        fprintf(stderr, "usage: %s DIRECTORY NODE USER\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    user = uid_of(argv[3]);
    directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        die(argv[1]);
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0)
        die("sigaction");
    /* Everybody may connect, whatever our umask. */
    listener = fdpasser_server_with(argv[2], strlen(argv[2]), 0, 0666, 0, &node);
    if (listener < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
        die(argv[2]);
    printf("ready\n");
    fflush(stdout);
    run();
    /* It may be another helper's node by now, which is left alone. */
    if (fdpasser_unlink(argv[2], strlen(argv[2]), &node) < 0)
        die(argv[2]);
    return EXIT_SUCCESS;
}
