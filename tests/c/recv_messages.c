/* fdpasser_try_recv_messages() receives several messages in one call, in order, until it has enough. The status says
 * why there are no more.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a message carries one descriptor. */
#include "check.h"

enum { MESSAGES = 16 };

static int fds[MESSAGES * MAX];
static int status;

/* Receives what is there. It must be numbered from `first` up. */
static void receive(int passer, unsigned messages, int first, int count)
{
    status = 99;
    EQUAL(fdpasser_try_recv_messages(passer, fds, LENGTH(fds), messages, &status), count);
    for (int i = 0; i < count; i++)
        RECEIVED(fds[i], first + i);
}

static const size_t sizes[][8] = {
    {MAX, MAX, MAX, MAX, MAX, MAX, MAX, MAX},
    {1, MAX, 1, 1, MAX, MAX, 2, MAX},
    {100, 200, 1, MAX, 150, 104, MAX, 1},
    {1, 1, 1, 1, 1, 1, 1, MAX},
};

/* Receives everything that was sent. The limit may be too low for all of it at once. */
static void receive_all(int passer, rlim_t limit, int sent)
{
    ssize_t n, received = 0;

    set_soft_limit(limit);
    while ((n = fdpasser_try_recv_messages(passer, fds, LENGTH(fds), MESSAGES, &status)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            RECEIVED(fds[i], (int)(received + i));
        received += n;
        CHECK(status == -EMFILE || status == -EAGAIN || status == 1);
    }
    EQUAL(n, 0);
    EQUAL(received, sent);
    EQUAL(status, -EAGAIN);
}

static void test(void)
{
    int pair[2];

    make_pair(pair);

    receive(pair[1], MESSAGES, 0, 0);
    EQUAL(status, -EAGAIN);

    for (int i = 0; i < 20; i++)
        send_numbered(pair[0], i, 1);
    receive(pair[1], 1, 0, 1);
    EQUAL(status, 1);
    receive(pair[1], MESSAGES, 1, 16);
    EQUAL(status, 1);
    receive(pair[1], MESSAGES, 17, 3);
    EQUAL(status, -EAGAIN);

    /* Mixed sizes, with the largest among them. */
    send_numbered(pair[0], 100, 2);
    send_numbered(pair[0], 102, MAX);
    send_numbered(pair[0], 102 + MAX, 1);
    receive(pair[1], MESSAGES, 100, MAX + 2);
    EQUAL(status, 1);
    receive(pair[1], MESSAGES, 102 + MAX, 1);
    EQUAL(status, -EAGAIN);

    /* No message more than it takes: the surplus is that of the last message. */
    send_numbered(pair[0], 0, 5);
    send_numbered(pair[0], 5, MAX);
    send_numbered(pair[0], 5 + MAX, 1);
    receive(pair[1], 5, 0, 5);
    EQUAL(status, 1);
    receive(pair[1], 1, 5, MAX);
    EQUAL(status, 1);
    receive(pair[1], 1, 5 + MAX, 1);
    EQUAL(status, 1);

    /* A bad message ends the call after what came before it. Nothing behind it is taken. */
    send_numbered(pair[0], 1, 1);
    hostile_send(pair[0], "x", 1, NULL, 0);
    receive(pair[1], MESSAGES, 1, 1);
    EQUAL(status, -EBADMSG);
    send_numbered(pair[0], 2, 1);
    receive(pair[1], MESSAGES, 2, 1);
    EQUAL(status, -EAGAIN);

    /* A full table: nothing is consumed. */
    send_numbered(pair[0], 7, 1);
    send_numbered(pair[0], 8, 1);
    set_soft_limit(64);
    fill_table();
    receive(pair[1], MESSAGES, 0, 0);
    EQUAL(status, -EMFILE);
    empty_table();
    receive(pair[1], MESSAGES, 7, 2);

    /* One proof of room covers no more than there is room for, wherever the limit is, and whatever
     * the earlier messages have taken. Each round has a new process: a table never becomes smaller,
     * and in a large one room is not proven for several messages at once. */
    if (!on_valgrind())
        set_soft_limit(hard_limit());
    for (rlim_t limit = 300; limit <= 2048 && !on_valgrind(); limit += 97) {
        for (size_t row = 0; row < LENGTH(sizes); row++) {
            int sent = 0;

            for (size_t i = 0; i < LENGTH(sizes[row]); i++) {
                send_numbered(pair[0], sent, sizes[row][i]);
                sent += (int)sizes[row][i];
            }
            IN_CHILD(receive_all(pair[1], limit, sent));
        }
    }

    ERRNO(fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), 0, &status), EINVAL);
    ERRNO(fdpasser_try_recv_messages(pair[1], fds, MAX, 2, &status), EINVAL);
    ERRNO(fdpasser_try_recv_messages(pair[1], fds, 0, 1, &status), EINVAL);
    ERRNO(fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), UINT_MAX, &status), EINVAL);
    ERRNO(fdpasser_try_recv_messages(pair[1], NULL, LENGTH(fds), 1, &status), EFAULT);
    ERRNO(fdpasser_try_recv_messages(pair[1], fds, LENGTH(fds), 1, NULL), EFAULT);
    receive(-1, 1, 0, 0);
    EQUAL(status, -EBADF);

    /* What was sent before the end comes first. */
    send_numbered(pair[0], 5, 1);
    close(pair[0]);
    receive(pair[1], MESSAGES, 5, 1);
    EQUAL(status, 0);
    close(pair[1]);

    /* What was sent before a reset comes first too. */
    make_pair(pair);
    send_numbered(pair[0], 6, 1);
    send_numbered(pair[1], 0, 1);
    close(pair[0]);
    receive(pair[1], MESSAGES, 6, 1);
    EQUAL(status, -ECONNRESET);
    close(pair[1]);
}
