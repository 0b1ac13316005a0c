/* Linux limits the descriptors that an unprivileged user has in flight. Beyond the limit sending
 * returns ETOOMANYREFS, although the socket polls writable, and succeeds later. In SysV mode the
 * simulation plays a shortage of memory instead. I_SENDFD then returns EAGAIN, which the library
 * tells from a full stream.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void as_user(void)
{
    int pair[2], fd = numbered(1), fds[8], error = SYSV ? ENOBUFS : ETOOMANYREFS;
    size_t sent = 0;
    ssize_t n;
    struct pollfd p;

    drop_privileges("is exempt from the limit");
    set_soft_limit(24);
    make_pair(pair);
    set_nonblocking(pair[0], 1);
    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = fd;
    while ((n = fdpasser_send_fds(pair[0], fds, LENGTH(fds), 1)) == (ssize_t)LENGTH(fds))
        sent += LENGTH(fds);
    if (n > 0) {
        sent += (size_t)n;
        n = fdpasser_send_fds(pair[0], fds, LENGTH(fds), 1);
    }
    EQUAL(n, -1);
    if (errno == EAGAIN)
        SKIP("this kernel, or a capability that is left, does not limit descriptors in flight");
    ERRNO(fdpasser_send_fd(pair[0], fd), error);
    ERRNO(fdpasser_send_fds(pair[0], fds, LENGTH(fds), 8), error);
    CHECK(fdpasser_retry_ms(error) > 0);
    set_nonblocking(pair[0], 0);
    ERRNO(fdpasser_send_fd(pair[0], fd), error);
    set_nonblocking(pair[0], 1);
    p = (struct pollfd){pair[0], POLLOUT, 0};
    EQUAL(poll(&p, 1, 0), 1);

    /* Everything that was accepted arrives, and then there is room again. */
    for (; sent > 0; sent--)
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    ERRNO(fdpasser_try_recv_fds(pair[1], fds, 1), EAGAIN);
    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 1);
    close(fd);
    close_pair(pair);
}

static void test(void)
{
    IN_CHILD(as_user());
}
