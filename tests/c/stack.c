/* No call takes more than 8 KiB of stack, the binding of a first call included, so a thread with 16 KiB can
 * make it. The program prints the figure of each function.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: the simulation of STREAMS has a stack of its own. */
#include "check.h"
#include <pthread.h>

enum { STACK = 256 << 10, MOST = 8 << 10, PAINT = 0x5a };

/* --- what the calls need. Nothing here is made by the library, so that its calls are first calls. --- */

static int pair[2], listener, manager, several[MAX];
static fdpasser *queue;

static void set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "s"};

    EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    EQUAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    EQUAL(listen(listener, 5), 0);
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    for (size_t i = 0; i < MAX; i++)
        several[i] = pair[0];
}

static void nothing_waits(void)
{
    set_nonblocking(pair[0], 1);
    set_nonblocking(pair[1], 1);
    set_nonblocking(listener, 1);
}

static void one_waits(void)
{
    nothing_waits();
    send_numbered(pair[0], 1, 1);
}

static void many_wait(void)
{
    nothing_waits();
    for (int i = 0; i < 20; i++)
        send_numbered(pair[0], 1, i % 2 ? 1 : 16);
    hostile_send(pair[0], "", 1, several, MAX);
}

static void a_client_waits(void)
{
    nothing_waits();
    close(knock("s"));
}

static void backlog_is_full(void)
{
    nothing_waits();
    for (int sock; (sock = knock("s")) != -1;)
        close(sock);
}

static void socket_is_full(void)
{
    nothing_waits();
    while (hostile_sendmsg(pair[0], "", 1, pair, 1, MSG_DONTWAIT) == 1)
        ;
}

static void left_over(void)
{
    nothing_waits();
    close(listener);
    listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void a_queue(void)
{
    many_wait();
    queue = fdpasser_new(fcntl(pair[1], F_DUPFD_CLOEXEC, 3));
    if (queue == NULL)
        return;
    fdpasser_push_recv(queue, 1000);
    for (size_t i = 0; i < 20; i++)
        fdpasser_push_send_fd(queue, fcntl(pair[0], F_DUPFD_CLOEXEC, 3));
}

static void a_queue_of_several(void)
{
    a_queue();
    if (queue != NULL)
        fdpasser_set_per_message(queue, MAX);
}

static void a_queue_that_received(void)
{
    a_queue();
    if (queue != NULL)
        fdpasser_process(queue, POLLIN);
}

static const char data[FDPASSER_MAX_DATA];

/* All of them have data, the descriptors that wait too. */
static void data_waits(void)
{
    nothing_waits();
    hostile_send(pair[0], data, sizeof data, several, 1);
    hostile_send(pair[0], data, sizeof data, several, MAX);
}

static void a_queue_with_data(void)
{
    data_waits();
    queue = fdpasser_new(fcntl(pair[1], F_DUPFD_CLOEXEC, 3));
    if (queue == NULL)
        return;
    fdpasser_want_data(queue, 1);
    fdpasser_push_recv(queue, 1000);
    for (size_t i = 0; i < 5; i++)
        fdpasser_push_send_message(queue, fcntl(pair[0], F_DUPFD_CLOEXEC, 3), data, sizeof data);
}

static void a_queue_that_received_data(void)
{
    a_queue_with_data();
    if (queue != NULL)
        fdpasser_process(queue, POLLIN);
}

/* Handed down: from 3 up, which set_up() has opened. Somebody wants to be told. */
static void a_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char pid_text[20], address_text[30];

    nothing_waits();
    snprintf(pid_text, sizeof pid_text, "%ld", (long)getpid());
    snprintf(address_text, sizeof address_text, "@stack-%s", pid_text);
    CHECK(setenv("LISTEN_PID", pid_text, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0);
    CHECK(setenv("LISTEN_PIDFDID", "1", 1) == 0 && setenv("NOTIFY_SOCKET", address_text, 1) == 0);
    memcpy(address.sun_path + 1, address_text + 1, strlen(address_text));
    EQUAL(bind(manager, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address_text))), 0);
}

static void a_pair(void)
{
    queue = fdpasser_new_pair();
}

/* --- the calls. What they return is tested elsewhere. ---------------------------------------- */

static char room[FDPASSER_MAX_DATA];
static size_t len;
static int fds[16 * MAX], status;
static uid_t uid;
static gid_t gid;
static pid_t pid;
static fdpasser_node node;

#define CALL(name, call)                                                                           \
    static void name(void)                                                                         \
    {                                                                                              \
        (void)(call);                                                                              \
    }

CALL(socketpair_, fdpasser_socketpair(fds))
CALL(server_, fdpasser_server("s", 0))
CALL(server_fresh, fdpasser_server("fresh", 0))
CALL(server_n, fdpasser_server_n("s", 1, 0))
CALL(server_with, fdpasser_server_with("s", 1, 0, 0666, 0, &node))
CALL(server_exclusive, fdpasser_server_with("s", 1, 0, 0666, FDPASSER_EXCLUSIVE, &node))
CALL(accept_, fdpasser_accept(listener))
CALL(accept_timed, fdpasser_accept_timed(listener, 1))
CALL(connect_, fdpasser_connect("s"))
CALL(connect_n, fdpasser_connect_n("s", 1))
CALL(connect_timed, fdpasser_connect_timed("s", 1, 1))
CALL(connect_timed_0, fdpasser_connect_timed("s", 1, 0))
CALL(peer_cred, fdpasser_peer_cred(pair[0], &uid, &gid, &pid))
CALL(send_one, fdpasser_send_fd(pair[0], pair[0]))
CALL(send_short, send_fd(pair[0], pair[0]))
CALL(send_timed, fdpasser_send_fd_timed(pair[0], pair[0], 1))
CALL(send_several, fdpasser_send_fds(pair[0], several, MAX, MAX))
CALL(send_singly, fdpasser_send_fds(pair[0], several, MAX, 1))
CALL(try_send, fdpasser_try_send_fds(pair[0], several, MAX, 16))
CALL(recv_one, fdpasser_recv_fd(pair[1]))
CALL(recv_short, recv_fd(pair[1]))
CALL(recv_timed, fdpasser_recv_fd_timed(pair[1], 1))
CALL(recv_several, fdpasser_recv_fds(pair[1], fds, MAX))
CALL(try_recv, fdpasser_try_recv_fds(pair[1], fds, MAX))
CALL(recv_messages, fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), 16, &status))
CALL(send_message, fdpasser_send_message(pair[0], several, 1, data, sizeof data))
CALL(send_message_several, fdpasser_send_message(pair[0], several, MAX, data, sizeof data))
CALL(recv_message, fdpasser_recv_message(pair[1], fds, MAX, room, sizeof room, &len))
CALL(push_send_message, fdpasser_push_send_message(queue, pair[0], data, sizeof data))
CALL(want_data, fdpasser_want_data(queue, 1))
CALL(next_message, fdpasser_next_message(queue, room, sizeof room, &len))
CALL(new_, queue = fdpasser_new(pair[1]))
CALL(new_pair, queue = fdpasser_new_pair())
CALL(i_am_parent, fdpasser_i_am_parent(queue))
CALL(i_am_child, fdpasser_i_am_child(queue))
CALL(push_send, fdpasser_push_send_fd(queue, pair[0]))
CALL(push_recv, fdpasser_push_recv(queue, 10))
CALL(process, fdpasser_process(queue, POLLIN | POLLOUT))
CALL(next_fd, fdpasser_next_fd(queue))
CALL(refused, fdpasser_refused(queue))
CALL(drained, fdpasser_drained(queue))

CALL(inherited, fdpasser_inherited(fds, LENGTH(fds)))
CALL(inherited_name, fdpasser_inherited_name(0, room, sizeof room))
CALL(is_listening, fdpasser_is(listener, FDPASSER_IS_LISTENING | FDPASSER_IS_LOCAL))
CALL(is_sealed, fdpasser_is(listener, FDPASSER_IS_SEALED))
CALL(notify_, fdpasser_notify("READY=1", NULL, 0))
CALL(notify_several, fdpasser_notify("FDSTORE=1", several, MAX))

static void free_(void)
{
    fdpasser_free(queue);
    queue = NULL;
}

/* The node is there only if the table had room. */
static void unlink_(void)
{
    struct stat found;

    EQUAL(lstat("s", &found), 0);
    node.device = found.st_dev;
    node.inode = found.st_ino;
    EQUAL(fdpasser_unlink("s", 1, &node), 1);
}

static const struct {
    const char *name;
    void (*call)(void);
    void (*before)(void);
} calls[] = {
    {"fdpasser_socketpair", socketpair_, nothing_waits},
    {"fdpasser_server, replacing", server_, nothing_waits},
    {"fdpasser_server", server_fresh, nothing_waits},
    {"fdpasser_server_n", server_n, nothing_waits},
    {"fdpasser_server_with", server_with, nothing_waits},
    {"fdpasser_server_with, exclusive, live", server_exclusive, nothing_waits},
    {"fdpasser_server_with, exclusive", server_exclusive, left_over},
    {"fdpasser_unlink", unlink_, nothing_waits},
    {"fdpasser_accept, nothing", accept_, nothing_waits},
    {"fdpasser_accept", accept_, a_client_waits},
    {"fdpasser_accept_timed, nothing", accept_timed, nothing_waits},
    {"fdpasser_accept_timed", accept_timed, a_client_waits},
    {"fdpasser_connect", connect_, nothing_waits},
    {"fdpasser_connect_n", connect_n, nothing_waits},
    {"fdpasser_connect_timed", connect_timed, nothing_waits},
    {"fdpasser_connect_timed, full", connect_timed, backlog_is_full},
    {"fdpasser_connect_timed, 0, full", connect_timed_0, backlog_is_full},
    {"fdpasser_peer_cred", peer_cred, nothing_waits},
    {"fdpasser_send_fd", send_one, nothing_waits},
    {"fdpasser_send_fd, full", send_one, socket_is_full},
    {"send_fd", send_short, nothing_waits},
    {"fdpasser_send_fd_timed", send_timed, nothing_waits},
    {"fdpasser_send_fd_timed, full", send_timed, socket_is_full},
    {"fdpasser_send_fds", send_several, nothing_waits},
    {"fdpasser_send_fds, singly", send_singly, nothing_waits},
    {"fdpasser_try_send_fds", try_send, nothing_waits},
    {"fdpasser_try_send_fds, full", try_send, socket_is_full},
    {"fdpasser_recv_fd, nothing", recv_one, nothing_waits},
    {"fdpasser_recv_fd", recv_one, one_waits},
    {"fdpasser_recv_fd, several", recv_one, many_wait},
    {"recv_fd", recv_short, one_waits},
    {"fdpasser_recv_fd_timed, nothing", recv_timed, nothing_waits},
    {"fdpasser_recv_fd_timed", recv_timed, one_waits},
    {"fdpasser_recv_fds, nothing", recv_several, nothing_waits},
    {"fdpasser_recv_fds", recv_several, many_wait},
    {"fdpasser_try_recv_fds", try_recv, many_wait},
    {"fdpasser_try_recv_messages", recv_messages, many_wait},
    {"fdpasser_send_message", send_message, nothing_waits},
    {"fdpasser_send_message, several", send_message_several, nothing_waits},
    {"fdpasser_send_message, full", send_message, socket_is_full},
    {"fdpasser_recv_message, nothing", recv_message, nothing_waits},
    {"fdpasser_recv_message", recv_message, data_waits},
    {"fdpasser_recv_message, several", recv_message, many_wait},
    {"fdpasser_recv_fd, data", recv_one, data_waits},
    {"fdpasser_new", new_, nothing_waits},
    {"fdpasser_new_pair", new_pair, nothing_waits},
    {"fdpasser_i_am_parent", i_am_parent, a_pair},
    {"fdpasser_i_am_child", i_am_child, a_pair},
    {"fdpasser_push_send_fd", push_send, a_queue},
    {"fdpasser_push_recv", push_recv, a_queue},
    {"fdpasser_process", process, a_queue},
    {"fdpasser_process, several", process, a_queue_of_several},
    {"fdpasser_next_fd", next_fd, a_queue_that_received},
    {"fdpasser_push_send_message", push_send_message, a_queue},
    {"fdpasser_want_data", want_data, a_queue},
    {"fdpasser_process, data", process, a_queue_with_data},
    {"fdpasser_next_message", next_message, a_queue_that_received_data},
    {"fdpasser_next_fd, data", next_fd, a_queue_that_received_data},
    {"fdpasser_free, data", free_, a_queue_that_received_data},
    {"fdpasser_refused", refused, a_queue},
    {"fdpasser_drained", drained, a_queue},
    {"fdpasser_free", free_, a_queue_that_received},
    {"fdpasser_inherited", inherited, a_manager},
    {"fdpasser_inherited_name", inherited_name, a_manager},
    {"fdpasser_is, listening", is_listening, nothing_waits},
    {"fdpasser_is, sealed", is_sealed, nothing_waits},
    {"fdpasser_notify", notify_, a_manager},
    {"fdpasser_notify, several", notify_several, a_manager},
};

/* --- measuring ------------------------------------------------------------------------------- */

static unsigned char *stack;
static size_t taken;

/* Paints the stack below itself, makes the call, and looks how far down the paint is gone. */
static __attribute__((noinline)) void *measure(void *call)
{
    volatile unsigned char here = 0;
    volatile unsigned char *paint = stack, *top = &here - 512;

    while (paint < top)
        *paint++ = PAINT;
    (*(void (**)(void))call)();
    for (paint = stack; paint < top && *paint == PAINT; paint++)
        ;
    taken = (size_t)(&here - paint);
    return NULL;
}

static void run_on_paint(void (*call)(void))
{
    pthread_attr_t attributes;
    pthread_t thread;

    EQUAL(pthread_attr_init(&attributes), 0);
    EQUAL(pthread_attr_setstack(&attributes, stack, STACK), 0);
    EQUAL(pthread_create(&thread, &attributes, measure, &call), 0);
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(pthread_attr_destroy(&attributes), 0);
}

/* --- tables ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    rlim_t limit;
    size_t open, free; /* how many descriptors are open at least; how many slots are left, or 1000 */
} tables[] = {
    {"roomy", 1024, 0, 1000},
    {"nearly full", 64, 0, 3},
    {"full", 64, 0, 0},
    {"large", 65536, 1500, 1000},
    {"large, nearly full", 2000, 0, 3},
    {"large, full", 2000, 0, 0},
};

static size_t *figures; /* of each function the largest, shared with the children */

/* Every call is its process's first. */
static void one(size_t call, size_t table)
{
    set_up();
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    calls[call].before();
    if (queue == NULL && calls[call].before == a_pair)
        fail(__FILE__, __LINE__, "a pair with a queue");
    set_soft_limit(tables[table].limit); /* now, because it also bounds what may be in flight */
    while (n_fillers < tables[table].open)
        CHECK((fillers[n_fillers++] = fcntl(0, F_DUPFD_CLOEXEC, 3)) != -1);
    if (tables[table].free < 1000) {
        fill_table();
        /* There are fewer if the call's own descriptors are more than the limit. */
        free_slots(n_fillers < tables[table].free ? n_fillers : tables[table].free);
    }
    run_on_paint(calls[call].call);
    CHECK(taken >= 512 && taken < STACK - 4096);
    if (taken > figures[call])
        figures[call] = taken;
    _exit(0);
}

static void test(void)
{
    char name[PATH_MAX];
    size_t most = 0;

    if (on_valgrind())
        SKIP("valgrind keeps calls from being seen on the stack below them");
    figures = mmap(NULL, LENGTH(calls) * sizeof *figures, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(figures != MAP_FAILED);
    enter_directory(name);
    for (size_t call = 0; call < LENGTH(calls); call++) {
        printf("%-40s", calls[call].name);
        for (size_t table = 0; table < LENGTH(tables); table++) {
            size_t before = figures[call];
            pid_t child;

            if (tables[table].limit > 1024 && hard_limit() < 2000) {
                printf(" (not tried: the hard limit is %ld)", (long)hard_limit());
                continue;
            }
            figures[call] = 0;
            if ((child = spawn()) == 0)
                one(call, table);
            join(child);
            unlink("s"); /* not every call leaves both */
            unlink("fresh");
            printf(" %6zu", figures[call]);
            if (before > figures[call])
                figures[call] = before;
        }
        printf("\n");
        if (figures[call] > most)
            most = figures[call];
    }
    leave_directory(name);
    printf("at most %zu bytes\n", most);
    CHECK(most <= MOST);
}
