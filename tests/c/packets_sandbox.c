/* A sandbox that does not let the library ask for a socket's type makes it treat packet sockets as streams. This is what
 * the manual says then; nothing is lost that is good. This program's getsockopt() refuses SO_TYPE.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: it is about sockets. */
/* Only on Linux: its getsockopt() makes the system call itself. */
#include "queue_data.h"

static int refused;

int getsockopt(int sock, int level, int option, void *value, socklen_t *len)
{
    if (level == SOL_SOCKET && option == SO_TYPE) {
        refused++;
        errno = EPERM;
        return -1;
    }
#ifdef SYS_getsockopt
    return (int)syscall(SYS_getsockopt, sock, level, option, value, len);
#else
    SKIP("there is no getsockopt system call here");
#endif
}

/* The end of file cannot be told from an empty datagram. The next call receives what is behind it. */
static void empty_datagram(void)
{
    int pair[2];

    EQUAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    EQUAL(send(pair[0], "", 0, 0), 0);
    EQUAL(send_with_data(pair[0], 1, 1, 77), 1);
    EQUAL(fdpasser_recv_fd(pair[1]), 0);
    receive_with_data(pair[1], 1, 1, 77);
    close_pair(pair);
}

/* An error that is about one packet is final. What came before it is handed out. */
static void queue(int kind, size_t len, int error)
{
    static unsigned char text[DATA + 1];
    int pair[2], fd = numbered(9);
    fdpasser *p;

    EQUAL(socketpair(AF_UNIX, kind, 0, pair), 0);
    p = make_passer(pair[1]);
    EQUAL(fdpasser_push_recv(p, 10), 0);
    send_numbered(pair[0], 1, 1);
    hostile_send(pair[0], text, len, &fd, error == EMSGSIZE);
    close(fd);
    expect(p, 1);
    ERRNO(end_of(p), error);
    check_over(p, error);
    fdpasser_free(p);
    close(pair[0]);
}

static void test(void)
{
    static const int kinds[] = {SOCK_SEQPACKET, SOCK_DGRAM};

    empty_datagram();
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        queue(kinds[i], 5, EBADMSG);
        queue(kinds[i], DATA + 1, EMSGSIZE);
    }
    EQUAL(refused, 5); /* asked only when something is wrong */
}
