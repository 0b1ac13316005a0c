/* Sends terminals with shells on them, as terminal.c says.
 *
 * Usage: console NODE
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include <err.h>
#include <fcntl.h>
#include <fdpasser.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Returns the process of the shell. */
static pid_t start(const char *node)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, passer;
    const char *name;
    pid_t pid;

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || (name = ptsname(master)) == NULL)
        err(1, "new terminal");
    if ((slave = open(name, O_RDWR | O_NOCTTY)) < 0)
        err(1, "%s", name);
    if ((pid = fork()) < 0)
        err(1, "fork");
    if (pid == 0) {
        if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0)
            err(1, "%s as controlling terminal", name);
        for (int i = 0; i < 3; i++)
            if (dup2(slave, i) < 0)
                err(1, "dup2");
        close(slave);
        execlp("sh", "sh", "-i", (char *)NULL);
        err(1, "sh");
    }
    if ((passer = fdpasser_connect(node)) < 0)
        err(1, "fdpasser_connect");
    if (fdpasser_send_message(passer, &master, 1, name, strlen(name)) != 1)
        err(1, "fdpasser_send_message");
    close(passer);
    close(master);
    close(slave);
    return pid;
}

int main(int argc, char **argv)
{
    pid_t shell[2];

    if (argc != 2)
        errx(1, "usage: console NODE");
    for (int i = 0; i < 2; i++)
        shell[i] = start(argv[1]);
    for (int i = 0; i < 2; i++) {
        int status;

        if (waitpid(shell[i], &status, 0) < 0)
            err(1, "waitpid");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
            errx(1, "a shell ended with status %d", status);
    }
    return 0;
}
