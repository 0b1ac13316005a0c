/* fdpasser_is() knows what a descriptor is: each kind of descriptor against each bit.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

#include <netinet/in.h>

#define SOCKET (FDPASSER_IS_SOCKET | FDPASSER_IS_READABLE | FDPASSER_IS_WRITABLE)
#define BOTH (FDPASSER_IS_READABLE | FDPASSER_IS_WRITABLE)
enum { ALL = 2 * FDPASSER_IS_SEALED - 1 };

/* `fd` has exactly these properties. Closes it. */
static void exactly(const char *what, int fd, unsigned bits)
{
    int flags = fcntl(fd, F_GETFD);

    CHECK(fd >= 0);
    for (unsigned bit = 1; bit < ALL; bit <<= 1) {
        snprintf(round_name, sizeof round_name, "%s, bit %u: ", what, bit);
        EQUAL(fdpasser_is(fd, bit), (bits & bit) != 0);
        /* Together with what it is: both have to be true. */
        EQUAL(fdpasser_is(fd, bits | bit), (bits & bit) != 0);
    }
    EQUAL(fdpasser_is(fd, bits), 1);
    EQUAL(fdpasser_is(fd, 0), 1);
    EQUAL(fdpasser_is(fd, ALL), 0);
    EQUAL(fcntl(fd, F_GETFD), flags);
    EQUAL(close(fd), 0);
}

static int listening(int fd)
{
    EQUAL(listen(fd, 1), 0);
    return fd;
}

static int bound(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s/is-%ld", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (long)getpid());
    EQUAL(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    EQUAL(unlink(address.sun_path), 0);
    return fd;
}

static void test(void)
{
    char path[] = "/tmp/is.XXXXXX";
    int ends[2], fd;

    exactly("TCP", socket(AF_INET, SOCK_STREAM, 0), SOCKET | FDPASSER_IS_STREAM | FDPASSER_IS_INTERNET);
    exactly("TCP that listens", listening(socket(AF_INET, SOCK_STREAM, 0)),
            SOCKET | FDPASSER_IS_STREAM | FDPASSER_IS_INTERNET | FDPASSER_IS_LISTENING);
    exactly("UDP", socket(AF_INET, SOCK_DGRAM, 0), SOCKET | FDPASSER_IS_DATAGRAM | FDPASSER_IS_INTERNET);
    if ((fd = socket(AF_INET6, SOCK_STREAM, 0)) >= 0)
        exactly("TCP 6", fd, SOCKET | FDPASSER_IS_STREAM | FDPASSER_IS_INTERNET);
    exactly("local stream", socket(AF_UNIX, SOCK_STREAM, 0), SOCKET | FDPASSER_IS_STREAM | FDPASSER_IS_LOCAL);
    exactly("local datagram", socket(AF_UNIX, SOCK_DGRAM, 0), SOCKET | FDPASSER_IS_DATAGRAM | FDPASSER_IS_LOCAL);
    exactly("local stream that listens", listening(bound(socket(AF_UNIX, SOCK_STREAM, 0))),
            SOCKET | FDPASSER_IS_STREAM | FDPASSER_IS_LOCAL | FDPASSER_IS_LISTENING);
#ifdef __linux__
    exactly("local packet", socket(AF_UNIX, SOCK_SEQPACKET, 0), SOCKET | FDPASSER_IS_PACKET | FDPASSER_IS_LOCAL);
    exactly("local packet that listens", listening(bound(socket(AF_UNIX, SOCK_SEQPACKET, 0))),
            SOCKET | FDPASSER_IS_PACKET | FDPASSER_IS_LOCAL | FDPASSER_IS_LISTENING);
    exactly("netlink", socket(AF_NETLINK, SOCK_DGRAM, 0), SOCKET | FDPASSER_IS_DATAGRAM);
#endif
    if (!SYSV) { /* where a pipe is a STREAM it is open in both directions */
        EQUAL(pipe(ends), 0);
        exactly("pipe, reading", ends[0], FDPASSER_IS_PIPE | FDPASSER_IS_READABLE);
        exactly("pipe, writing", ends[1], FDPASSER_IS_PIPE | FDPASSER_IS_WRITABLE);
    }
    exactly("directory", open("/", O_RDONLY | O_DIRECTORY), FDPASSER_IS_DIRECTORY | FDPASSER_IS_READABLE);
    exactly("device", open("/dev/null", O_RDWR), BOTH);
    fd = mkstemp(path);
    CHECK(fd >= 0);
    exactly("file", fd, FDPASSER_IS_FILE | BOTH);
    exactly("file, reading", open(path, O_RDONLY), FDPASSER_IS_FILE | FDPASSER_IS_READABLE);
    exactly("file, appending", open(path, O_WRONLY | O_APPEND), FDPASSER_IS_FILE | FDPASSER_IS_WRITABLE);
#ifdef __linux__
    exactly("O_PATH of a file", open(path, O_PATH), FDPASSER_IS_FILE);
    exactly("O_PATH of a directory", open("/", O_PATH), FDPASSER_IS_DIRECTORY);
    EQUAL(unlink(path), 0);
    /* A socket's node is not a socket. */
    EQUAL(mknod(path, S_IFSOCK | 0600, 0), 0);
    exactly("O_PATH of a node", open(path, O_PATH), 0);
#endif
    EQUAL(unlink(path), 0);

#if defined F_ADD_SEALS && defined __linux__
    static const int seals[] = {0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};
    int all = 0;

    exactly("memory file", memfd_create("is", MFD_CLOEXEC), FDPASSER_IS_FILE | BOTH);
    for (size_t i = 0; i < LENGTH(seals); i++) {
        fd = memfd_create("is", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        all |= seals[i];
        EQUAL(fcntl(fd, F_ADD_SEALS, all), 0);
        exactly("seals", fd, FDPASSER_IS_FILE | BOTH | (i < 3 ? 0 : FDPASSER_IS_SEALED));
    }
    fd = memfd_create("is", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    EQUAL(fcntl(fd, F_ADD_SEALS, all & ~F_SEAL_SHRINK), 0);
    exactly("it can shrink", fd, FDPASSER_IS_FILE | BOTH);
#endif

    round_name[0] = '\0';
    ERRNO(fdpasser_is(-1, FDPASSER_IS_PIPE), EBADF);
    ERRNO(fdpasser_is(-1, 0), EBADF);
    ERRNO(fdpasser_is(1 << 20, FDPASSER_IS_LISTENING), EBADF);
    ERRNO(fdpasser_is(0, ALL + 1), EINVAL);
    ERRNO(fdpasser_is(0, ~0u), EINVAL);
}
