/* With 0, 1 or 2 closed, a connection is not lost if another thread fills the table while accept waits: it is
 * handed out, or it stays queued and arrives later. A table with one free slot is enough.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: there connecting waits for the accept. */
/* Only on Linux: it looks in /proc whether a thread waits. */
#include "check.h"
#include <pthread.h>

static int listener, client, timed;
static pid_t acceptor;
static int result, error;

static void *accept_one(void *unused)
{
    __atomic_store_n(&acceptor, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    result = timed ? fdpasser_accept_timed(listener, 1000 * DEADLINE) : fdpasser_accept(listener);
    error = errno;
    return unused;
}

static void close_some(unsigned closed)
{
    set_soft_limit(64);
    /* The listener and the client come before, so that they have higher numbers. */
    listener = fdpasser_server("s", 1);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(client > listener);
    for (int i = 0; i < 3; i++)
        if (closed & 1U << i)
            close(i);
}

static void connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "s"};

    EQUAL(connect(client, (struct sockaddr *)&address, sizeof address), 0);
}

/* Checks that `server` is the connection of `client`. Closes all. */
static void check_connected(int server, unsigned closed)
{
    char byte = 0;

    OURS(server);
    EQUAL(write(client, "x", 1), 1);
    EQUAL(read(server, &byte, 1), 1);
    EQUAL(byte, 'x');
    for (int i = 0; i < 3; i++)
        if (closed & 1U << i)
            ERRNO(fcntl(i, F_GETFD), EBADF);
    close(server);
    close(client);
    close(listener);
    EQUAL(unlink("s"), 0);
}

static void filled_meanwhile(unsigned closed)
{
    pthread_t thread;
    int before, held;

    close_some(closed);
    before = open_descriptors();
    acceptor = 0;
    EQUAL(pthread_create(&thread, NULL, accept_one, NULL), 0);
    while (__atomic_load_n(&acceptor, __ATOMIC_SEQ_CST) == 0)
        poll(NULL, 0, 1);
    wait_until_asleep(acceptor);
    held = open_descriptors() - before;
    if (closed == 0 || timed)
        EQUAL(held, 0);
    CHECK(held <= 1);
    fill_table_with(listener);
    connect_client();
    EQUAL(pthread_join(thread, NULL), 0);
    if (result == -1) {
        EQUAL(error, EMFILE);
        set_nonblocking(listener, 1); /* a connection that is lost must not make this wait */
        for (int i = 0; i < 3; i++)
            ERRNO(fdpasser_accept(listener), EMFILE);
        free_slots(1);
        result = fdpasser_accept(listener);
    }
    check_connected(result, closed);
    empty_table();
}

static void one_slot(unsigned closed)
{
    close_some(closed);
    fill_table_with(listener);
    connect_client();
    set_nonblocking(listener, 1);
    for (int i = 0; i < 3; i++)
        ERRNO(timed ? fdpasser_accept_timed(listener, -1) : fdpasser_accept(listener), EMFILE);
    free_slots(1);
    check_connected(timed ? fdpasser_accept_timed(listener, -1) : fdpasser_accept(listener), closed);
    empty_table();
}

/* The child that runs this has closed its 0, 1 and 2 for good. */
static void in_child(void (*body)(unsigned), unsigned closed)
{
    pid_t child = spawn();

    if (child == 0) {
        int before = open_descriptors();

        body(closed);
        EQUAL(open_descriptors(), before - (closed & 1U) - (closed >> 1 & 1U) - (closed >> 2 & 1U));
        _exit(0);
    }
    join(child);
}

static void test(void)
{
    static const unsigned sets[] = {0, 1, 2, 4, 3, 5, 6, 7};
    char name[PATH_MAX];

    enter_directory(name);
    for (timed = 0; timed < 2; timed++)
        for (size_t i = 0; i < LENGTH(sets); i++) {
            snprintf(round_name, sizeof round_name, "closed 0x%x, %s: ", sets[i], timed ? "timed" : "for ever");
            in_child(filled_meanwhile, sets[i]);
            in_child(one_slot, sets[i]);
        }
    leave_directory(name);
}
