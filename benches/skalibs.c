/* skalibs' unixmessage, which has a wire of its own: both ends are its.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <skalibs/unixmessage.h>

#include "peer.h"

/* skalibs never waits, so this does. */
static void wait_for(short events)
{
    struct pollfd p = {PASSER, events, 0};

    poll(&p, 1, -1);
}

static unixmessage_sender sender = UNIXMESSAGE_SENDER_INIT(PASSER);
static char main_buffer[UNIXMESSAGE_BUFSIZE], fd_buffer[UNIXMESSAGE_AUXBUFSIZE];
static unixmessage_receiver receiver;

static void flush(void)
{
    while (!unixmessage_sender_flush(&sender)) {
        if (errno != EAGAIN)
            err(1, "unixmessage_sender_flush");
        wait_for(POLLOUT);
    }
}

static void send_all(void)
{
    for (long left = n; left > 0; left -= per) {
        char byte = 0;
        unixmessage message = {&byte, 1, fds, (unsigned)next(left)};

        if (!unixmessage_put(&sender, &message))
            err(1, "unixmessage_put");
        flush();
    }
}

static void prepare_recv(void)
{
    if (!unixmessage_receiver_init(&receiver, PASSER, main_buffer, sizeof main_buffer, fd_buffer,
                                   sizeof fd_buffer))
        err(1, "unixmessage_receiver_init");
}

static void recv_all(void)
{
    for (long left = n; left > 0;) {
        unixmessage message;
        int result = unixmessage_receive(&receiver, &message);

        if (result < 0)
            err(1, "unixmessage_receive");
        if (result == 0) {
            wait_for(POLLIN);
            continue;
        }
        left -= message.nfds;
        for (unsigned i = 0; i < message.nfds; i++)
            close(message.fds[i]);
    }
}

const struct role roles[] = {
    {"send", NULL, send_all},
    {"recv", prepare_recv, recv_all},
    {NULL, NULL, NULL},
};
