/* EINTR is the caller's to see wherever a call waits, and nothing is lost by it. */
#include "check.h"
#include <time.h>

static volatile sig_atomic_t signals;

static void count(int signal)
{
    (void)signal;
    signals++;
}

static void fill_socket(int passer)
{
    set_nonblocking(passer, 1);
    while (fdpasser_send_fd(passer, passer) == 1)
        ;
    EQUAL(errno, EAGAIN);
    set_nonblocking(passer, 0);
}

static void test(void)
{
    /* Not setitimer(): that is the alarm's. The signal keeps coming, so none can be missed. */
    struct itimerspec often = {{0, 5000000}, {0, 5000000}};
    struct sigaction action;
    struct sigevent event;
    timer_t timer;
    char name[PATH_MAX];
    int pair[2], listener, clients[64], fds[16];
    size_t n = 0;
    ssize_t sent;

    memset(&action, 0, sizeof action);
    action.sa_handler = count; /* and no SA_RESTART */
    EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    EQUAL(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);

    make_pair(pair);
    enter_directory(name);
    listener = fdpasser_server("s", 1);
    OURS(listener);

    EQUAL(timer_settime(timer, 0, &often, NULL), 0);
    for (int i = 0; i < 5; i++) {
        signals = 0;
        ERRNO(fdpasser_recv_fd(pair[1]), EINTR);
        CHECK(signals > 0);
        ERRNO(fdpasser_recv_fds(pair[1], fds, 16), EINTR);
        ERRNO(fdpasser_accept(listener), EINTR);
    }
    fill_socket(pair[0]);
    for (int i = 0; i < 5; i++) {
        ERRNO(fdpasser_send_fd(pair[0], pair[0]), EINTR);
        for (size_t k = 0; k < LENGTH(fds); k++)
            fds[k] = pair[0];
        ERRNO(fdpasser_send_fds(pair[0], fds, 16, 1), EINTR);
        ERRNO(fdpasser_send_fds(pair[0], fds, 16, 16), EINTR);
    }
    /* Behind the first descriptor the interruption is a smaller count. A socket polls writable when a
     * good part of it is free. */
    while (poll(&(struct pollfd){pair[0], POLLOUT, 0}, 1, 0) != 1)
        close(fdpasser_recv_fd(pair[1]));
    do {
        int many[1000];

        for (size_t k = 0; k < LENGTH(many); k++)
            many[k] = pair[0];
        sent = fdpasser_send_fds(pair[0], many, LENGTH(many), 1);
    } while (sent == -1 && errno == EINTR);
    CHECK(sent > 0 && sent < 1000);

    /* One more than the backlog is taken; then connecting waits. */
    while (n < LENGTH(clients) && (clients[n] = fdpasser_connect("s")) != -1)
        n++;
    if (!SYSV) { /* there connecting never waits */
        EQUAL(errno, EINTR);
        CHECK(n < LENGTH(clients));
    }
    CHECK(n >= 1);
    EQUAL(timer_delete(timer), 0);
    EQUAL(fdpasser_retry_ms(EINTR), 0);

    /* All of them still work. */
    check_serves(listener, clients[0]);
    while (n > 0)
        close(clients[--n]);
    close(listener);
    close_pair(pair);
    make_pair(pair);
    send_numbered(pair[0], 1, 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close_pair(pair);
    EQUAL(unlink("s"), 0);
    leave_directory(name);
}
