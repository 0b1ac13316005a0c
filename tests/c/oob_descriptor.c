/* A descriptor that a peer sends with MSG_OOB arrives like every other one, in its order, over every
 * passer that the library makes or gets, in a roomy table and in a small one.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: STREAMS have no out-of-band bytes of this kind. */
#include "queue.h"

/* Sends the file with `number`. Every other one is out of band. */
static void send_to(int sock, int number)
{
    int fd = numbered(number);

    if (hostile_sendmsg(sock, "!", 1, &fd, 1, number % 2 ? MSG_OOB : 0) == -1) {
        CHECK(errno == EOPNOTSUPP || errno == EINVAL);
        SKIP("this kernel has no out-of-band data on local sockets");
    }
    close(fd);
}

/* Sends from `a` to `b`, which is a passer. */
static void arrives(int a, int b)
{
    int fds[MAX];

    for (int i = 0; i < 20; i++) {
        send_to(a, i);
        RECEIVED(fdpasser_recv_fd(b), i);
    }
    /* Several wait. */
    for (int i = 0; i < 6; i++)
        send_to(a, i);
    for (int i = 0; i < 6; i++) {
        EQUAL(fdpasser_try_recv_fds(b, fds, MAX), 1);
        RECEIVED(fds[0], i);
    }
    ERRNO(fdpasser_try_recv_fds(b, fds, MAX), EAGAIN);
}

static void over_pair(void)
{
    int pair[2];

    make_pair(pair);
    arrives(pair[0], pair[1]);
    arrives(pair[1], pair[0]);
    close_pair(pair);
}

static void over_connection(int timed)
{
    int listener = fdpasser_server("s", 0), client, server;

    OURS(listener);
    client = timed ? fdpasser_connect_timed("s", 1, -1) : fdpasser_connect("s");
    server = timed ? fdpasser_accept_timed(listener, -1) : fdpasser_accept(listener);
    arrives(client, server);
    arrives(server, client);
    close(client);
    close(server);
    close(listener);
    EQUAL(unlink("s"), 0);
}

static void queue_receives(int from, fdpasser *p)
{
    EQUAL(fdpasser_push_recv(p, 10), 0);
    for (int i = 0; i < 6; i++)
        send_to(from, i);
    for (int i = 0; i < 6; i++)
        expect_soon(p, i);
    for (int i = 6; i < 10; i++) {
        send_to(from, i);
        expect_soon(p, i);
    }
    check_idle(p);
}

/* A socket that was made elsewhere. */
static void over_queue(void)
{
    int pair[2];
    fdpasser *p;

    EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    p = make_passer(pair[1]);
    queue_receives(pair[0], p);
    fdpasser_free(p);
    close(pair[0]);
}

/* The limit comes after the fork, because valgrind cannot fork with a low one. */
static void over_new_pair(rlim_t limit)
{
    static fdpasser *p; /* static, so that valgrind sees it in every child */
    int gate[2];
    pid_t child;

    p = fdpasser_new_pair();
    CHECK(p != NULL);
    EQUAL(pipe(gate), 0);
    if ((child = spawn()) == 0) {
        EQUAL(fdpasser_i_am_child(p), 0);
        for (int i = 0; i < 10; i++)
            send_to(fdpasser_fileno(p), i);
        wait_at_gate(gate);
        fdpasser_free(p);
        _exit(0);
    }
    set_soft_limit(limit);
    EQUAL(fdpasser_i_am_parent(p), 0);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    for (int i = 0; i < 10; i++)
        expect(p, i);
    close_pair(gate);
    join(child);
    fdpasser_free(p);
}

static void with(rlim_t limit)
{
    over_new_pair(limit);
    over_pair();
    over_connection(0);
    over_connection(1);
    over_queue();
}

static void test(void)
{
    char name[PATH_MAX];
    int pair[2];

    make_pair(pair);
    send_to(pair[0], 1); /* or there is nothing to test */
    close_pair(pair);
    enter_directory(name);
    IN_CHILD(with(1024)); /* there is room for the largest message */
    IN_CHILD(with(64));   /* there is room, but it takes a peek to prove it */
    leave_directory(name);
}
