/* On the wire of STREAMS a message is a NUL, then a descriptor. Whatever else a peer sends, the
 * stream stays in step, and nothing is opened or lost.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"
#include <pthread.h>

#define I_RECVFD ('S' << 8 | 016)
#define I_SENDFD ('S' << 8 | 021)

struct strrecvfd {
    int fd;
    uid_t uid;
    gid_t gid;
    char fill[8];
};

static int pair[2], none;

static void bytes(const char *text, size_t n)
{
    EQUAL(write(pair[0], text, n), n);
}

static void bare(int number)
{
    int fd = numbered(number);

    EQUAL(ioctl(pair[0], I_SENDFD, fd), 0);
    close(fd);
}

static void nothing_waits(void)
{
    ERRNO(fdpasser_try_recv_fds(pair[1], &none, 1), EAGAIN);
}

/* Receives as the original does: it reads the byte, then takes the descriptor. */
static void what_we_send(void)
{
    struct strrecvfd got;
    char byte = 'x';
    int fd = numbered(7);

    EQUAL(fdpasser_send_fd(pair[0], fd), 1);
    ERRNO(ioctl(pair[1], I_RECVFD, &got), EBADMSG); /* the byte comes first */
    EQUAL(read(pair[1], &byte, 1), 1);
    EQUAL(byte, 0);
    EQUAL(ioctl(pair[1], I_RECVFD, &got), 0);
    EQUAL(number_of(got.fd), 7);
    EQUAL(got.uid, getuid());
    EQUAL(got.gid, getgid());
    close(got.fd);
    close(fd);
    nothing_waits();
}

static void what_we_take(void)
{
    static const char long_junk[1000] = "junk", zeros[1000];

    bytes("", 1); /* as the original sends it */
    bare(1);
    bytes("\0", 2); /* as the textbook sends it, with a status */
    bare(2);
    bare(3);
    for (int i = 4; i <= 6; i++)
        RECEIVED(fdpasser_recv_fd(pair[1]), i - 3);
    nothing_waits();

    /* Two senders interleave, and one died half-way. */
    bytes("", 1);
    bytes("", 1);
    bare(1);
    bare(2);
    bytes(zeros, sizeof zeros);
    bytes("", 1);
    bare(3);
    for (int i = 1; i <= 3; i++)
        RECEIVED(fdpasser_recv_fd(pair[1]), i);

    /* The byte has arrived and its descriptor has not. */
    bytes("", 1);
    nothing_waits();
    bare(4);
    RECEIVED(fdpasser_recv_fd(pair[1]), 4);

    /* Other bytes are a message without a descriptor. They are taken in one call, or in several if
     * there are many. */
    bytes("x", 1);
    bare(5);
    bytes("hello", 5);
    bytes("\0x", 2);
    EQUAL(fdpasser_send_fd(pair[0], 0), 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    RECEIVED(fdpasser_recv_fd(pair[1]), 5);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    ERRNO(fdpasser_recv_fds(pair[1], &none, 1), EBADMSG);
    close(fdpasser_recv_fd(pair[1]));
    bytes(long_junk, sizeof long_junk);
    bare(6);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    RECEIVED(fdpasser_recv_fd(pair[1]), 6); /* the rest was NULs */
    nothing_waits();
}

/* So many NULs are not a message that is late. They are consumed, and then the stream is in step
 * again. */
static void flood(void)
{
    int ends[2], fd;

    make_pair(ends);
    for (int i = 0; i < 300; i++)
        EQUAL(write(ends[0], "", 1), 1);
    send_numbered(ends[0], 1, 1);
    ERRNO(fdpasser_recv_fd(ends[1]), EBADMSG);
    fd = fdpasser_recv_fd(ends[1]);
    RECEIVED(fd, 1);
    close_pair(ends);
}

static void full_table(void)
{
    struct strrecvfd got;
    char byte = 'x';

    set_soft_limit(32);
    bytes("", 1);
    bare(1);
    bare(2);
    fill_table();
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    free_slots(1);
    /* Not even the byte was taken. */
    EQUAL(read(pair[1], &byte, 1), 1);
    EQUAL(byte, 0);
    EQUAL(ioctl(pair[1], I_RECVFD, &got), 0);
    EQUAL(number_of(got.fd), 1);
    close(got.fd);
    fill_table();
    for (int i = 0; i < 3; i++)
        ERRNO(fdpasser_recv_fd(pair[1]), EMFILE);
    ERRNO(ioctl(pair[1], I_RECVFD, &got), EMFILE);
    free_slots(1);
    RECEIVED(fdpasser_recv_fd(pair[1]), 2);
    fill_table();
    nothing_waits();
    bytes("x", 1);
    ERRNO(fdpasser_recv_fd(pair[1]), EBADMSG);
    nothing_waits();
    empty_table();
}

/* Nothing is written before a descriptor that cannot follow, or to a descriptor that is not a
 * stream. */
static void refused(void)
{
    int file = numbered(1), ends[2], sockets[2];
    struct stat st;
    char byte;

    ERRNO(fdpasser_send_fd(pair[0], 1 << 20), EBADF);
    ERRNO(fdpasser_send_fds(pair[0], (int[]){file, file}, 2, MAX + 1), EINVAL);
    nothing_waits();
    EQUAL(poll(&(struct pollfd){pair[1], POLLIN, 0}, 1, 0), 0);

    ERRNO(fdpasser_send_fd(file, file), ENOSTR);
    EQUAL(fstat(file, &st), 0);
    EQUAL(st.st_size, sizeof(int));
    ERRNO(fdpasser_recv_fd(file), ENOSTR);
    ERRNO(fdpasser_accept(file), ENOSTR);
    EQUAL(lseek(file, 0, SEEK_CUR), 0);

    EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    ERRNO(fdpasser_send_fd(sockets[0], file), ENOSTR);
    ERRNO(fdpasser_recv_fd(sockets[1]), ENOSTR);
    EQUAL(recv(sockets[1], &byte, 1, MSG_DONTWAIT), -1);
    close_pair(sockets);

    ERRNO(fdpasser_send_fd(-1, file), EBADF);
    ERRNO(fdpasser_recv_fd(1 << 20), EBADF);
    ERRNO(fdpasser_accept(1 << 20), EBADF);

    /* The peer is gone. A NUL that it left is not a descriptor. */
    make_pair(ends);
    EQUAL(write(ends[0], "", 1), 1);
    close(ends[0]);
    EQUAL(fdpasser_recv_fd(ends[1]), 0);
    EQUAL(fdpasser_recv_fd(ends[1]), 0);
    ERRNO(fdpasser_send_fd(ends[1], file), EPIPE);
    ERRNO(fdpasser_accept(ends[1]), ENXIO);
    close(ends[1]);
    close(file);
}

/* A SIGPIPE that was pending before stays pending. The library adds none, whatever the thread's
 * mask. */
static void sigpipe(void)
{
    sigset_t set, mask;
    int ends[2];

    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    make_pair(ends);
    close(ends[1]);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    EQUAL(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    ERRNO(fdpasser_send_fd(ends[0], 0), EPIPE);
    EQUAL(sigpending(&mask), 0);
    CHECK(!sigismember(&mask, SIGPIPE));
    EQUAL(pthread_kill(pthread_self(), SIGPIPE), 0);
    ERRNO(fdpasser_send_fd(ends[0], 0), EPIPE);
    EQUAL(sigpending(&mask), 0);
    CHECK(sigismember(&mask, SIGPIPE));
    EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    CHECK(sigismember(&mask, SIGPIPE));
    close(ends[0]);
}

static void test(void)
{
    make_pair(pair);
    what_we_send();
    what_we_take();
    refused();
    IN_CHILD(full_table());
    IN_CHILD(sigpipe());
    flood();
    close_pair(pair);
}
