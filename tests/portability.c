/* The header and each function of it, in plain C for any Unix: what tests/portability links where it cannot be
 * run, and what passes where it can.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fdpasser.h>

#define CHECK(expr) ((expr) ? (void)0 : (void)(printf("%d: %s: %s\n", __LINE__, #expr, strerror(errno)), failed = 1))

int main(void)
{
    int pair[2], ends[2], fd, fds[2], failed = 0;
    char byte = 0;

    CHECK(fdpasser_socketpair(pair) == 0);
    CHECK(pipe(ends) == 0);
    CHECK(send_fd(pair[0], ends[1]) == 1);
    close(ends[1]);
    fd = recv_fd(pair[1]);
    CHECK(fd > 2);
    CHECK(write(fd, "x", 1) == 1);
    close(fd);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
    CHECK(read(ends[0], &byte, 1) == 0);

    fds[0] = fds[1] = ends[0];
    CHECK(fdpasser_send_fds(pair[0], fds, 2, 1) == 2);
    CHECK(fdpasser_recv_fds(pair[1], fds, 1) == 1);
    close(fds[0]);
    CHECK(fdpasser_try_recv_fds(pair[1], fds, 1) == 1);
    close(fds[0]);
    CHECK(fdpasser_try_recv_fds(pair[1], fds, 1) == -1 && fdpasser_retry_ms(errno) == 0);
    CHECK(fdpasser_send_fd(pair[0], -1) == -1 && errno == EBADF);
    CHECK(fdpasser_accept(-1) == -1 && errno == EBADF);
    CHECK(fdpasser_connect("/nonexistent/path") == -1 && errno == ENOENT);
    CHECK(fdpasser_server("/nonexistent/path", 1) == -1 && errno == ENOENT);
    close(pair[0]);
    CHECK(recv_fd(pair[1]) == 0);
    CHECK(send_fd(pair[1], ends[0]) == -1 && errno == EPIPE);
    printf("mode %d: %s\n", fdpasser_mode(), failed ? "failed" : "passed");
    return failed;
}
