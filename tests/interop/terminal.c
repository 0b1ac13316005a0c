/* Receives terminals with their names, as those do who give runc a --console-socket, and uses the shells on them.
 *
 * Usage: terminal NODE COMMAND...
 *
 * COMMAND NODE connects to the node twice. Over each connection it sends one side of a terminal (the master), with the
 * name of the other side as data. Then it closes what it has of both sides. A shell runs on the other side. COMMAND exits
 * with 0 after both shells have ended with status 7. (runc sends the name of the master, which is always /dev/ptmx. With
 * the name of the other side we can check which terminal came.)
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <err.h>
#include <errno.h>
#include <fdpasser.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

struct terminal {
    int fd;
    char name[FDPASSER_MAX_DATA + 1];
    char said[65536]; /* since the last type() */
    size_t length;
};

static void receive(int listener, struct terminal *terminal)
{
    int passer = fdpasser_accept_timed(listener, PATIENCE_MS);
    size_t length;

    if (passer < 0)
        err(1, "fdpasser_accept_timed");
    switch (fdpasser_recv_message(passer, &terminal->fd, 1, terminal->name, FDPASSER_MAX_DATA, &length)) {
    case 1:
        break;
    case 0:
        errx(1, "the end came before a terminal");
    default:
        err(1, "fdpasser_recv_message");
    }
    terminal->name[length] = '\0';
    close(passer);
}

static void type(struct terminal *terminal, const char *text)
{
    terminal->said[terminal->length = 0] = '\0';
    if (write(terminal->fd, text, strlen(text)) != (ssize_t)strlen(text))
        err(1, "write to %s", terminal->name);
}

/* Returns 0 at the end. Whoever made the terminal may have set O_NONBLOCK, which all its descriptors share. */
static int listen_to(struct terminal *terminal)
{
    struct pollfd found = {terminal->fd, POLLIN, 0};
    ssize_t n;

    if (poll(&found, 1, PATIENCE_MS) <= 0)
        errx(1, "%s says nothing more than: %s", terminal->name, terminal->said);
    n = read(terminal->fd, terminal->said + terminal->length, sizeof terminal->said - 1 - terminal->length);
    if (n < 0 && errno == EIO)
        return 0; /* nobody has the other side any more */
    if (n < 0)
        err(1, "read from %s", terminal->name);
    terminal->said[terminal->length += (size_t)n] = '\0';
    return n > 0;
}

static void wait_for(struct terminal *terminal, const char *text)
{
    while (strstr(terminal->said, text) == NULL)
        if (!listen_to(terminal))
            errx(1, "%s ended and said no '%s', but: %s", terminal->name, text, terminal->said);
}

int main(int argc, char **argv)
{
    static struct terminal terminals[2];
    int listener, status;
    pid_t pid;

    if (argc < 3)
        errx(1, "usage: terminal NODE COMMAND...");
    if ((listener = fdpasser_server(argv[1], 0)) < 0)
        err(1, "fdpasser_server");
    if ((pid = fork()) < 0)
        err(1, "fork");
    if (pid == 0) {
        char *node = argv[1];

        memmove(argv, argv + 2, (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 2] = node;
        argv[argc - 1] = NULL;
        execvp(argv[0], argv);
        err(1, "%s", argv[0]);
    }
    receive(listener, &terminals[0]);
    receive(listener, &terminals[1]);

    /* A quote within a word keeps the echo of a command apart from its answer. */
    type(&terminals[0], "tty\n");
    type(&terminals[1], "tty\n");
    for (int i = 0; i < 2; i++) {
        struct terminal *terminal = &terminals[i];
        struct winsize size = {37, 113, 0, 0};

        char answer[sizeof terminal->name + 2];

        snprintf(answer, sizeof answer, "%s\r\n", terminal->name);
        wait_for(terminal, answer);

        type(terminal, "trap 'echo resi''zed' WINCH; echo tra''pped\n");
        wait_for(terminal, "trapped");
        if (ioctl(terminal->fd, TIOCSWINSZ, &size) != 0)
            err(1, "TIOCSWINSZ");
        type(terminal, "stty size\n");
        wait_for(terminal, "37 113\r\n");
        wait_for(terminal, "resized\r\n");

        type(terminal, "sh -c 'echo wait\"\"ing; exec sleep 1000'\n");
        wait_for(terminal, "waiting\r\n");
        type(terminal, "\x03");
        type(terminal, "echo stat''us $?\n");
        wait_for(terminal, "status 130\r\n");

        type(terminal, "exit 7\n");
        while (listen_to(terminal))
            ;
        close(terminal->fd);
    }
    if (waitpid(pid, &status, 0) < 0)
        err(1, "waitpid");
    if (status != 0)
        errx(1, "%s ended with status %d", argv[2], status);
    return 0;
}
