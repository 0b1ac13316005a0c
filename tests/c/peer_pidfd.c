/* fdpasser_peer_pidfd() opens a pidfd of the process that fdpasser_peer_cred() tells. A full table is an error that passes.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there are no pidfds. */
/* Only on Linux: no other system has pidfds. */
#include "check.h"

/* The process that a pidfd stands for; -1: it has ended. */
static long process_of(int pidfd)
{
    char name[40], line[200];
    long pid = 0;
    FILE *file;

    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", pidfd);
    CHECK((file = fopen(name, "re")) != NULL);
    while (pid == 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "Pid: %ld", &pid);
    fclose(file);
    return pid;
}

static int pidfd_of(int passer)
{
    int pidfd = fdpasser_peer_pidfd(passer);

    OURS(pidfd);
    return pidfd;
}

/* The client is another process, which has ended when it is asked for once more. */
static void client_process(void)
{
    int listener = fdpasser_server("s", 5), server, pidfd;
    struct pollfd p;
    pid_t child = spawn();

    if (child == 0) {
        int client = fdpasser_connect("s");

        pidfd = pidfd_of(client);
        EQUAL(process_of(pidfd), getppid());
        EQUAL(fdpasser_recv_fd(client), 0);
        _exit(0);
    }
    server = fdpasser_accept(listener);
    p = (struct pollfd){pidfd = pidfd_of(server), POLLIN, 0};
    EQUAL(process_of(pidfd), child);
    EQUAL(poll(&p, 1, 0), 0);
    EQUAL(shutdown(server, SHUT_WR), 0);
    EQUAL(poll(&p, 1, -1), 1); /* it has ended */
    close(pidfd);
    join(child);
    pidfd = fdpasser_peer_pidfd(server); /* some kernels still know it */
    if (pidfd == -1)
        EQUAL(errno, ESRCH);
    else
        OURS(pidfd), close(pidfd);
    ERRNO(fdpasser_peer_pidfd(listener), EINVAL);
    close(server);
    close(listener);
    EQUAL(unlink("s"), 0);
}

static void full_table(int passer)
{
    set_soft_limit(32);
    fill_table();
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_peer_pidfd(passer), EMFILE);
    CHECK(fdpasser_retry_ms(EMFILE) > 0);
    close(0); /* a slot that does not count */
    ERRNO(fdpasser_peer_pidfd(passer), EMFILE);
    EQUAL(open("/dev/null", O_RDWR), 0);
    free_slots(1);
    close(pidfd_of(passer));
    empty_table();
}

static void test(void)
{
    int fds[] = {socket(AF_UNIX, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0), numbered(1), -1, 1 << 20};
    static const int errors[] = {ENOTCONN, EAFNOSUPPORT, ENOTSOCK, EBADF, EBADF};
    char name[PATH_MAX];
    int pair[2], pidfd;

    make_pair(pair);
    pidfd = fdpasser_peer_pidfd(pair[0]);
    if (pidfd == -1 && errno == EOPNOTSUPP)
        SKIP("this kernel has no SO_PEERPIDFD");
    OURS(pidfd);
    EQUAL(process_of(pidfd), getpid());
    close(pidfd);
    IN_CHILD(full_table(pair[0]));
    close_pair(pair);
    for (size_t i = 0; i < LENGTH(fds); i++) {
        ERRNO(fdpasser_peer_pidfd(fds[i]), errors[i]);
        close(fds[i]);
    }
    enter_directory(name);
    client_process();
    leave_directory(name);
}
