/* One signal ends a call that waits to send a message of several descriptors: it does not go on to wait
 * with each of them singly. */
#include "signals.h"

static void test(void)
{
    int pair[2], fds[16], fewest = INT_MAX;
    pid_t sender;

    make_pair(pair);
    for (size_t i = 0; i < LENGTH(fds); i++)
        fds[i] = pair[0];
    while (fdpasser_try_send_fds(pair[0], fds, 1, 1) == 1)
        ;
    EQUAL(errno, EAGAIN);

    sender = start_signals(100);
    /* One that comes just before the call does not count; with luck it is not each time so. */
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
