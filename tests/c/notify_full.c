/* Not in SysV mode: there are no datagrams. */
/* Only on Linux: the queue's length is another one elsewhere, and a full one an error. */
/* fdpasser_notify() waits while the manager's queue is full, so that no state is lost; a signal ends that.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "notify.h"

static void nothing(int signal)
{
    (void)signal;
}

static void fill(const int fd)
{
    struct sockaddr_un address;
    socklen_t len = sizeof address;
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    EQUAL(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    while (sendto(sender, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&address, len) == 1)
        ;
    EQUAL(errno, EAGAIN);
    close(sender);
}

static void test(void)
{
    struct sigaction action = {.sa_handler = nothing};
    char text[100], name[60];
    int fd = manager(SOCK_DGRAM, 1), kept = numbered(7), got[1], count = 0;
    pid_t pid;

    EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    fill(fd);
    pid = spawn();
    if (pid == 0) {
        ERRNO(fdpasser_notify("LOST=1", &kept, 1), EINTR);
        EQUAL(fdpasser_notify("KEPT=1", &kept, 1), 1);
        _exit(0);
    }
    wait_until_asleep(pid);
    EQUAL(kill(pid, SIGUSR1), 0);
    /* It has to be in the second call: then the signal is gone and it sleeps again, in the same system call. */
    snprintf(name, sizeof name, "/proc/%ld/status", (long)pid);
    for (int pending = 1; pending;) {
        FILE *status = fopen(name, "re");

        pending = 0;
        while (fgets(text, sizeof text, status) != NULL)
            pending |= strncmp(text, "SigPnd:", 7) == 0 && strtoull(text + 7, NULL, 16) != 0;
        fclose(status);
    }
    wait_until_asleep(pid);
    while (recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) == 1 && text[0] == 'x')
        EQUAL(recv(fd, text, sizeof text, 0), 1), count++;
    CHECK(count > 0);
    join(pid);
    while (recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) == 1 && text[0] == 'x')
        EQUAL(recv(fd, text, sizeof text, 0), 1);
    EQUAL(told(fd, text, sizeof text, got, 1), 1);
    CHECK(strcmp(text, "KEPT=1") == 0);
    RECEIVED(got[0], 7);
    ERRNO(recv(fd, text, 1, MSG_DONTWAIT), EAGAIN);
    close(kept);
    close(fd);
}
