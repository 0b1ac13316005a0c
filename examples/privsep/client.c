/* Asks a helper (helper.c, helper.pl) for a file and copies the contents to standard output.
 *
 * Usage: client NODE NAME
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fdpasser.h>

enum { ANSWER_SECONDS = 15 }; /* more than a busy helper gives to each of the others */

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* To connect may wait, for room in the helper's backlog, and so may each step after it. Nothing is lost if we
 * end. So the deadline needs no more than this. */
static void give_up(int signal)
{
    static const char text[] = "the helper does not answer\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

    (void)signal;
    (void)written;
    _exit(EXIT_FAILURE);
}

/* Returns a descriptor of the file, or -1 with errno: EACCES if the helper refuses. */
static int ask(const char *node, const char *name)
{
    uid_t helper;
    int fd = -1, passer = fdpasser_connect(node);

    if (passer < 0)
        return -1;
    /* We trust what a helper gives us, so it has to be root's or our own. */
    if (fdpasser_peer_cred(passer, &helper, NULL, NULL) != 0 ||
        (helper != 0 && helper != geteuid())) {
        errno = EPERM;
    } else if ((write(passer, name, strlen(name)) < 0 || shutdown(passer, SHUT_WR) != 0) &&
               errno != EPIPE) {
        /* With EPIPE the helper has read enough to refuse, and recv_fd() says so. */
    } else {
        fd = recv_fd(passer);
        if (fd == 0 || (fd < 0 && errno == ECONNRESET)) {
            fd = -1;
            errno = EACCES;
        }
    }
    int error = errno;
    close(passer);
    errno = error;
    return fd;
}

int main(int argc, char **argv)
{
    char buffer[65536];
    ssize_t n;

    if (argc != 3) {
        fprintf(stderr, "usage: %s NODE NAME\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    alarm(ANSWER_SECONDS);
    int fd = ask(argv[1], argv[2]);
    alarm(0);
    if (fd < 0)
        die(argv[2]);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (fwrite(buffer, 1, (size_t)n, stdout) != (size_t)n)
            die("standard output");
    if (n < 0)
        die(argv[2]);
    if (fflush(stdout) != 0)
        die("standard output");
    return EXIT_SUCCESS;
}
