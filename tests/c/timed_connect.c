/* fdpasser_connect_timed() waits for a place in the backlog for as long as it is told.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: EOPNOTSUPP there, because connecting waits for the accept. */
/* Only on Linux: elsewhere a full backlog refuses a connection at once. */
#include "timed.h"
#include <sys/time.h>

static int listener, clients[64];
static size_t n_clients;

static void listen_here(void)
{
    listener = fdpasser_server("s", 1);
    OURS(listener);
    n_clients = 0;
}

static void fill_backlog(void)
{
    while ((clients[n_clients] = knock("s")) != -1)
        CHECK(++n_clients < LENGTH(clients));
}

static void close_here(void)
{
    while (n_clients > 0)
        close(clients[--n_clients]);
    EQUAL(close(listener), 0);
    EQUAL(unlink("s"), 0);
}

static int connect_timed(const char *path, int timeout_ms)
{
    return fdpasser_connect_timed(path, strlen(path), timeout_ms);
}

/* Checks a new passer, whose times and mode are those of every other. Closes it. */
static void connected(int fd)
{
    struct timeval timeout = {1, 1};
    struct sockaddr_un peer;
    socklen_t length = sizeof timeout, peer_length = sizeof peer;

    OURS(fd);
    EQUAL(status_flags(fd) & O_NONBLOCK, 0);
    EQUAL(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &length), 0);
    CHECK(timeout.tv_sec == 0 && timeout.tv_usec == 0);
    EQUAL(getpeername(fd, (struct sockaddr *)&peer, &peer_length), 0);
    close(fd);
}

/* Accepts everything that waits. */
static void accept_all(void)
{
    int fd;

    while ((fd = fdpasser_accept_timed(listener, 0)) != -1)
        close(fd);
    EQUAL(errno, ETIMEDOUT);
}

static void waits(void)
{
    static const int times[] = {0, 1, LONG, -1};

    listen_here();
    for (size_t i = 0; i < LENGTH(times); i++) {
        connected(connect_timed("s", times[i]));
        accept_all();
    }

    fill_backlog();
    TIMES_OUT(connect_timed("s", 0), 0);
    TIMES_OUT(connect_timed("s", 1), 1);
    TIMES_OUT(connect_timed("s", 123), 123);

    /* There is a place meanwhile. */
    WHEN_ASLEEP(accept_all());
    connected(connect_timed("s", LONG));
    join(helper);
    fill_backlog();
    WHEN_ASLEEP((poll(NULL, 0, 100), accept_all()));
    connected(connect_timed("s", INT_MIN));
    join(helper);
    close_here();
}

static void gone_meanwhile(int timeout_ms)
{
    listen_here();
    fill_backlog();
    WHEN_ASLEEP((close(listener)));
    close(listener); /* the child has the last one */
    ERRNO(connect_timed("s", timeout_ms), ECONNREFUSED);
    join(helper);
    listener = open("/dev/null", O_RDONLY);
    close_here();
}

static void interrupted(int timeout_ms, int flags)
{
    pid_t sender;

    listen_here();
    fill_backlog();
    sender = start_signals_with(flags);
    ERRNO(connect_timed("s", timeout_ms), EINTR);
    stop_signals(sender);
    close_here();
}

static void errors(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "datagram"};
    char long_path[200];

    memset(long_path, 'x', sizeof long_path);
    ERRNO(fdpasser_connect_timed(NULL, 0, -1), EFAULT);
    ERRNO(connect_timed("", -1), ENOENT);
    ERRNO(connect_timed("nowhere", -1), ENOENT);
    ERRNO(fdpasser_connect_timed(long_path, sizeof long_path, -1), ENAMETOOLONG);
    ERRNO(fdpasser_connect_timed("a\0b", 3, -1), EINVAL);
    EQUAL(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ERRNO(connect_timed("datagram", -1), EPROTOTYPE);
    ERRNO(connect_timed("datagram", 0), EPROTOTYPE);
    close(fd);
    ERRNO(connect_timed("datagram", -1), ECONNREFUSED);
    ERRNO(connect_timed("datagram", 0), ECONNREFUSED);
    ERRNO(connect_timed("datagram/s", 0), ENOTDIR);
    EQUAL(unlink("datagram"), 0);
}

static void full_table(void)
{
    set_soft_limit(64);
    listen_here();
    fill_table();
    ERRNO(connect_timed("s", -1), EMFILE);
    ERRNO(connect_timed("s", 0), EMFILE);
    free_slots(1);
    connected(connect_timed("s", -1));
    empty_table();
    close_here();
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    waits();
    gone_meanwhile(LONG);
    gone_meanwhile(-1);
    interrupted(LONG, 0);
    interrupted(-1, 0);
    interrupted(LONG, SA_RESTART); /* the kernel restarts only a wait that has no end */
    errors();
    IN_CHILD(full_table());
    leave_directory(name);
}
