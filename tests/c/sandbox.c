/* A sandbox that refuses select, getrlimit, getsockopt or setsockopt, or all of them, changes no answer.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about what sockets need. */
/* Only on Linux: seccomp exists there only. */
#include "sandbox.h"
#include <netinet/in.h>

static int pair[2], quick[2], tcp;

static void receives(void)
{
    int fds[MAX];

    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
    set_nonblocking(pair[1], 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EAGAIN);
    set_nonblocking(pair[1], 0);
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    for (size_t n = 2; n <= 32; n += 10) {
        send_numbered(pair[0], 1, n);
        receive_numbered(pair[1], 1, n);
    }
    send_numbered(pair[0], 1, 2);
    ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
    hostile_send(pair[0], "x", 1, NULL, 0);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_recv_fd_timed(pair[1], 0), ETIMEDOUT);
    ERRNO(fdpasser_recv_fd_timed(pair[1], 20), ETIMEDOUT);
}

static void full_table_keeps(void)
{
    int fds[MAX];

    send_numbered(pair[0], 1, 1);
    send_numbered(pair[0], 2, 2);
    fill_table();
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    ERRNO(fdpasser_recv_fds(pair[1], fds, MAX), EMFILE);
    free_slots(1);
    receive_numbered(pair[1], 2, 2);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, MAX), EAGAIN);
    empty_table();
}

/* Nothing is there yet when the call begins. */
static void waits(void)
{
    pid_t parent = getpid(), child;
    long long start;

    if ((child = spawn()) == 0) {
        wait_until_asleep(parent);
        send_numbered(pair[0], 1, 1);
        _exit(0);
    }
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    join(child);

    /* `quick` has SO_RCVTIMEO and SO_SNDTIMEO of 100 ms. */
    start = microseconds();
    ERRNO(fdpasser_recv_fd(quick[1]), EAGAIN);
    CHECK(microseconds() - start >= BY_TICKS(100000));
    CHECK(microseconds() - start < 20000000);
    send_numbered(quick[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(quick[1]), 1);
    fill_socket(quick[0]);
    start = microseconds();
    ERRNO(fdpasser_send_fd(quick[0], 0), EAGAIN);
    CHECK(microseconds() - start >= BY_TICKS(100000));
    CHECK(microseconds() - start < 20000000);
    ERRNO(fdpasser_send_fd_timed(quick[0], 0, 20), ETIMEDOUT);
}

static void sends(void)
{
    int fds[3], file = numbered(1);

    EQUAL(fdpasser_send_fd(pair[0], file), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = file;
    EQUAL(fdpasser_send_fds(pair[0], fds, 3, 1), 3);
    for (int i = 0; i < 3; i++)
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    EQUAL(fdpasser_send_fd_timed(pair[0], file, 0), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    /* A TCP socket takes the byte, and drops the descriptor. */
    ERRNO(fdpasser_send_fd(tcp, file), EAFNOSUPPORT);
    ERRNO(fdpasser_send_fd(file, file), ENOTSOCK);
    ERRNO(fdpasser_send_fd(-1, file), EBADF);
    close(file);
}

static void queues(void)
{
    fdpasser *p[2];

    make_passers(p);
    for (int i = 0; i < 5; i++) {
        push_numbered(p[0], i);
        push_numbered(p[1], i);
    }
    EQUAL(fdpasser_push_recv(p[0], 5), 0);
    EQUAL(fdpasser_push_recv(p[1], 5), 0);
    send_all(p[0]);
    send_all(p[1]);
    for (int i = 0; i < 5; i++) {
        expect_soon(p[0], i);
        expect_soon(p[1], i);
    }
    check_idle(p[0]);
    fdpasser_free(p[0]);
    EQUAL(fdpasser_push_recv(p[1], 1), 0);
    EQUAL(end_of(p[1]), 0);
    fdpasser_free(p[1]);
}

static void connections(void)
{
    int listener = fdpasser_server("s", 5), client;

    OURS(listener);
    check_serves_at(listener, "s");
    ERRNO(fdpasser_accept_timed(listener, 20), ETIMEDOUT);
    client = fdpasser_connect("s");
    OURS(client);
    close(client);
    client = fdpasser_accept_timed(listener, 0);
    OURS(client);
    EQUAL(fdpasser_recv_fd(client), 0);
    close(client);
    close(listener);
    ERRNO(fdpasser_connect("s"), ECONNREFUSED);
    EQUAL(unlink("s"), 0);
}

static void set_times(int sock)
{
    struct timeval time = {0, 100000};
    int least = 0; /* few descriptors in flight fill it */

    EQUAL(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    EQUAL(setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time), 0);
    EQUAL(setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
}

/* A TCP connection if there is a network, or the socket alone. */
static void make_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);

    tcp = socket(AF_INET, SOCK_STREAM, 0);
    if (server == -1 || tcp == -1)
        SKIP("no TCP sockets: %s", strerror(errno));
    if (bind(server, (struct sockaddr *)&address, length) != 0 || listen(server, 1) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &length) != 0 ||
        connect(tcp, (struct sockaddr *)&address, length) != 0)
        printf("a TCP socket without a connection: %s\n", strerror(errno));
    close(server);
}

static void with(rlim_t limit, unsigned groups, int error)
{
    set_soft_limit(limit);
    make_pair(pair);
    make_pair(quick);
    set_times(quick[0]);
    set_times(quick[1]);
    make_tcp();
    refuse(groups, error);
    receives();
    full_table_keeps();
    waits();
    sends();
    queues();
    connections();
    close(pair[0]);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    close(pair[1]);
    close_pair(quick);
    close(tcp);
}

static void test(void)
{
    static const int errors[] = {EPERM, ENOSYS, EACCES};
    static const unsigned groups[] = {0, SELECT, GETRLIMIT, GETSOCKOPT, SETSOCKOPT, ALL};
    char name[PATH_MAX];

    enter_directory(name);
    for (size_t i = 0; i < LENGTH(groups); i++)
        for (size_t j = 0; j < LENGTH(errors); j++) {
            snprintf(round_name, sizeof round_name, "0x%x refused with errno %d: ", groups[i], errors[j]);
            IN_CHILD(with(64, groups[i], errors[j]));
            IN_CHILD(with(1024, groups[i], errors[j]));
        }
    leave_directory(name);
}
