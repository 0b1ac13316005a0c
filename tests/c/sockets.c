/* Every descriptor that is not a connected local stream socket either works as a passer or has its
 * errno, for sending and for receiving.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/wire.c tests what is not a stream. */
#include "check.h"
#include <netinet/in.h>

static int fd;

static void both(int passer, int send_error, int receive_error)
{
    int array[2] = {fd, fd};

    ERRNO(fdpasser_send_fd(passer, fd), send_error);
    ERRNO(send_fd(passer, fd), send_error);
    ERRNO(fdpasser_send_fds(passer, array, 2, 1), send_error);
    ERRNO(fdpasser_send_fds(passer, array, 2, 2), send_error);
    ERRNO(fdpasser_try_send_fds(passer, array, 2, 2), send_error);
    ERRNO(fdpasser_try_recv_fds(passer, array, 2), receive_error);
    if (receive_error != EAGAIN) {
        ERRNO(fdpasser_recv_fd(passer), receive_error);
        ERRNO(recv_fd(passer), receive_error);
        ERRNO(fdpasser_recv_fds(passer, array, 2), receive_error);
    }
}

static int new_socket(int domain, int type)
{
    int sock = socket(domain, type, 0);

    CHECK(sock >= 0);
    return sock;
}

static void no_descriptors(void)
{
    static const int closed[] = {-1, -2, -100 /* AT_FDCWD */, INT_MIN, INT_MAX, 1 << 20};

    for (size_t i = 0; i < LENGTH(closed); i++) {
        both(closed[i], EBADF, EBADF);
        ERRNO(fdpasser_accept(closed[i]), EBADF);
    }
    int once = dup(fd);
    close(once);
    both(once, EBADF, EBADF);
    ERRNO(fdpasser_accept(once), EBADF);
}

static void no_sockets(void)
{
    int ends[2];

    EQUAL(pipe(ends), 0);
    both(ends[0], ENOTSOCK, ENOTSOCK);
    both(ends[1], ENOTSOCK, ENOTSOCK);
    ERRNO(fdpasser_accept(ends[0]), ENOTSOCK);
    close_pair(ends);
    both(fd, ENOTSOCK, ENOTSOCK);
    ERRNO(fdpasser_accept(fd), ENOTSOCK);
    ends[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    both(ends[0], ENOTSOCK, ENOTSOCK);
    close(ends[0]);
#ifdef O_PATH
    ends[0] = open("/", O_PATH | O_CLOEXEC);
    both(ends[0], EBADF, EBADF);
    ERRNO(fdpasser_accept(ends[0]), EBADF);
    close(ends[0]);
#endif
}

static void not_connected(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock;

    sock = new_socket(AF_UNIX, SOCK_STREAM);
    both(sock, ENOTCONN, EINVAL);
    ERRNO(fdpasser_accept(sock), EINVAL);
    /* Listening at an address that the kernel picks. */
    EQUAL(bind(sock, (struct sockaddr *)&address, sizeof address.sun_family), 0);
    EQUAL(listen(sock, 1), 0);
    both(sock, ENOTCONN, EINVAL);
    close(sock);

    sock = new_socket(AF_UNIX, SOCK_SEQPACKET);
    both(sock, ENOTCONN, ENOTCONN);
    close(sock);
    sock = new_socket(AF_UNIX, SOCK_DGRAM);
    both(sock, ENOTCONN, EAGAIN);
    ERRNO(fdpasser_accept(sock), EOPNOTSUPP);
    close(sock);
    sock = new_socket(AF_INET, SOCK_STREAM);
    both(sock, EAFNOSUPPORT, ENOTCONN);
    close(sock);
    sock = new_socket(AF_INET, SOCK_DGRAM);
    both(sock, EAFNOSUPPORT, EAGAIN);
    close(sock);
}

/* A passer is not a listener. */
static void connected(void)
{
    int pair[2];

    make_pair(pair);
    ERRNO(fdpasser_accept(pair[0]), EINVAL);
    close_pair(pair);
}

/* SOCK_DGRAM and SOCK_SEQPACKET work, and keep message boundaries by themselves. */
static void other_local_kinds(void)
{
    static const int kinds[] = {SOCK_DGRAM, SOCK_SEQPACKET};

    for (size_t i = 0; i < LENGTH(kinds); i++) {
        int pair[2];

        EQUAL(socketpair(AF_UNIX, kinds[i], 0, pair), 0);
        ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
        EQUAL(fdpasser_send_fd(pair[0], fd), 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
        send_numbered(pair[0], 10, 16);
        receive_numbered(pair[1], 10, 16);
        send_numbered(pair[0], 10, 2);
        send_numbered(pair[0], 20, 1);
        ERRNO(fdpasser_recv_fd(pair[1]), EMSGSIZE);
        RECEIVED(fdpasser_recv_fd(pair[1]), 20);
        hostile_send(pair[0], "hello", 5, &fd, 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
        hostile_send(pair[0], "x", 1, NULL, 0);
        ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
        /* A descriptor without a byte is received too. */
        hostile_send(pair[0], "", 0, &fd, 1);
        RECEIVED(fdpasser_recv_fd(pair[1]), 1);
        ERRNO(fdpasser_try_recv_fds(pair[1], &(int){0}, 1), EAGAIN);
        close_pair(pair);
    }
}

/* The kernel would send the byte over TCP, drop the descriptor, and report success. */
static void tcp(void)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int listener = new_socket(AF_INET, SOCK_STREAM), client = new_socket(AF_INET, SOCK_STREAM);
    int server, before;
    char byte;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EQUAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    EQUAL(listen(listener, 1), 0);
    EQUAL(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    EQUAL(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    server = accept(listener, NULL, NULL);
    CHECK(server >= 0);
    both(client, EAFNOSUPPORT, EAGAIN);
    EQUAL(recv(server, &byte, 1, MSG_DONTWAIT), -1); /* not even the byte was sent */
    before = open_descriptors();
    EQUAL(send(server, "x", 1, 0), 1);
    ERRNO(fdpasser_recv_fd(client), EBADMSG);
    close(server);
    EQUAL(fdpasser_recv_fd(client), 0);
    EQUAL(open_descriptors(), before - 1);
    close(client);
    close(listener);

    /* A TCP socket can be passed like any other descriptor. */
    listener = new_socket(AF_INET, SOCK_STREAM);
    int pair[2];
    make_pair(pair);
    EQUAL(fdpasser_send_fd(pair[0], listener), 1);
    client = fdpasser_recv_fd(pair[1]);
    OURS(client);
    close(client);
    close_pair(pair);
    close(listener);
}

static void test(void)
{
    fd = numbered(1);
    no_descriptors();
    no_sockets();
    not_connected();
    connected();
    other_local_kinds();
    tcp();
    close(fd);
}
