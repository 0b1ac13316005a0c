/* One signal ends a call that waits to send a message of several descriptors. The call does not go
 * on to send each of them in a message of its own.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "signals.h"

static void test(void)
{
    int pair[2], fds[16], fewest = INT_MAX;
    pid_t sender;

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = pair[0];
    fill_socket(pair[0]);

    sender = start_signals(100);
    /* A signal that comes just before the call does not interrupt it. That can happen, but not
     * every time. */
    for (int i = 0; i < 20 && fewest > 1; i++) {
        signals_seen = 0;
        ERRNO(fdpasser_send_fds(pair[0], fds, LENGTH(fds), LENGTH(fds)), EINTR);
        if (signals_seen < fewest)
            fewest = signals_seen;
    }
    EQUAL(fewest, 1);
    stop_signals(sender);
    close_pair(pair);
}
