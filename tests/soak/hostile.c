/* The hostile peer. It connects to PATH again and again, and sends everything that a peer can send.
 *
 *   hostile PATH LEDGER ID SEED MESSAGES
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#define _GNU_SOURCE
#include "ledger.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { MAX = 253, KINDS = 16, SELF = KINDS - 1 };

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 16) % sides);
}

static void die(const char *what)
{
    fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
    exit(3);
}

static int good(int fd, const char *what)
{
    if (fd < 0)
        die(what);
    return fd;
}

/* One descriptor of each kind. The last place is for the passer itself. */
static int kinds[KINDS];

static void make_kinds(void)
{
    int n = 0, two[2];
    good(pipe(two), "pipe");
    kinds[n++] = two[0];
    kinds[n++] = two[1];
    good(socketpair(AF_UNIX, SOCK_STREAM, 0, two), "socketpair");
    kinds[n++] = two[0];
    kinds[n++] = two[1];
    kinds[n++] = good(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
    kinds[n++] = good(socket(AF_INET, SOCK_STREAM, 0), "socket");
    kinds[n++] = good(epoll_create1(0), "epoll");
    kinds[n++] = good(eventfd(0, 0), "eventfd");
    kinds[n++] = good(memfd_create("soak", 0), "memfd");
    kinds[n++] = good(open("/", O_PATH), "O_PATH");
    kinds[n++] = good(open("/", O_RDONLY | O_DIRECTORY), "directory");
    kinds[n++] = good(open("/dev/null", O_RDWR), "/dev/null");
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    kinds[n++] = terminal < 0 ? dup(kinds[0]) : terminal;
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    kinds[n++] = process < 0 ? dup(kinds[0]) : process;
    kinds[n++] = dup(2);
}

enum kind { ONE, SEVERAL, MOST, BYTE, BYTES, MANY, CREDS, MIXED, BLOCKS, CYCLE, OOB, HALF, RESET, END };
static const char *const names[] = {"one",   "several", "most",   "byte",  "bytes", "manybyte", "creds",
                                    "mixed", "blocks",  "cycle",  "oob",
                                    "halfclos", "reset"};
static unsigned done[END];
static unsigned long descriptors;

/* Appends a control message to `msg`. */
static void add(struct msghdr *msg, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    msg->msg_controllen += CMSG_SPACE(len);
}

/* Returns false once the peer is gone. */
static bool send_one(int passer, enum kind kind)
{
    static char bytes[70000];
    static union {
        struct cmsghdr align;
        char room[2 * CMSG_SPACE(MAX * sizeof(int)) + 4096];
    } control;
    struct iovec iov = {bytes, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    struct ucred us = {getpid(), getuid(), getgid()};
    int fds[MAX];
    unsigned n = 0;

    memset(&control, 0, sizeof control);
    kinds[SELF] = passer;
    for (int i = 0; i < MAX; i++)
        fds[i] = kinds[kind == CYCLE ? SELF : roll(KINDS)];
    switch (kind) {
    case ONE: case CYCLE: n = 1; break;
    case SEVERAL: n = 2 + roll(20); break;
    case MOST: n = MAX - roll(3); break;
    case BYTE: case OOB: break;
    case BYTES: iov.iov_len = 2 + roll(20); break;
    case MANY: iov.iov_len = roll(50) ? 100 + roll(300) : 1 + roll(sizeof bytes); n = roll(3); break;
    case CREDS: add(&msg, SCM_CREDENTIALS, &us, sizeof us); break;
    case MIXED:
        add(&msg, SCM_CREDENTIALS, &us, sizeof us);
        n = roll(30);
        iov.iov_len = 1 + roll(3);
        break;
    case BLOCKS:
        for (unsigned i = 1 + roll(9); i > 0; i--) {
            unsigned some = 1 + roll(25);
            add(&msg, SCM_RIGHTS, fds, some * sizeof *fds);
            n += some;
        }
        break;
    default: break;
    }
    if (n && kind != BLOCKS)
        add(&msg, SCM_RIGHTS, fds, n * sizeof *fds);
    if (!msg.msg_controllen)
        msg.msg_control = NULL;
    bytes[0] = (char)roll(256);

    ssize_t sent;
    while ((sent = sendmsg(passer, &msg, kind == OOB ? MSG_OOB : 0)) < 0) {
        if (errno == EPIPE || errno == ECONNRESET)
            return false;
        if (kind == OOB && errno == EOPNOTSUPP)
            break; /* this kernel has no out-of-band data; the byte counts as sent */
        if (errno != EINTR && errno != ENOBUFS && errno != ENOMEM && errno != ETOOMANYREFS)
            die("sendmsg");
        poll(NULL, 0, 1);
    }
    descriptors += n;
    done[kind]++;
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int ledger = atoi(argv[2]);
    unsigned id = (unsigned)atoi(argv[3]), left = (unsigned)atoi(argv[5]);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    dice = ((uint64_t)atoi(argv[4]) + 1) * 0x9E3779B97F4A7C15u;
    signal(SIGPIPE, SIG_IGN);
    make_kinds();

    while (left > 0) {
        int passer = good(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        good(connect(passer, (struct sockaddr *)&address, sizeof address), "connect");
        bool tame = roll(2); /* a run of messages that do not make the Perl module fail at once */
        for (unsigned n = 1 + roll(100); n > 0 && left > 0; n--, left--) {
            enum kind kind = tame ? (enum kind)roll(MOST + 1) : (enum kind)roll(HALF);
            if (kind == MOST && roll(8))
                kind = ONE; /* large messages take time */
            if (!send_one(passer, kind))
                break;
        }
        if (left && !roll(3)) {
            char byte;
            shutdown(passer, SHUT_WR);
            while (recv(passer, &byte, 1, 0) > 0)
                continue;
            done[HALF]++;
        } else {
            struct pollfd p = {passer, POLLIN, 0};
            /* Half of the peers send us something, sooner or later. */
            if (poll(&p, 1, roll(8) ? 0 : 50) == 1 && p.revents == POLLIN)
                done[RESET]++; /* this close leaves something unread */
        }
        close(passer);
    }
    for (int kind = 0; kind < END; kind++)
        ledger_text(ledger, 'H', id, done[kind], names[kind]);
    ledger_number(ledger, 'h', id, 0, descriptors);
    return 0;
}
