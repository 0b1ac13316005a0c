/* With too many descriptors in flight, sending pauses although the socket polls writable. It goes
 * on by itself when the peer has taken some.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "queue.h"

enum { TOTAL = 300 };

/* STREAMS do not tell what the peer has taken. */
static void check_drained(fdpasser *p, int drained)
{
    if (SYSV)
        ERRNO(fdpasser_drained(p), EOPNOTSUPP);
    else
        EQUAL(fdpasser_drained(p), drained);
}

static void as_user(void)
{
    static fdpasser *p; /* static, so that valgrind finds it in the children of set_soft_limit() */
    int pair[2], received = 0;

    drop_privileges("is exempt from the limit");
    make_pair(pair);
    p = make_passer(pair[0]);
    for (int i = 0; i < TOTAL; i++)
        push_numbered(p, i);
    set_soft_limit(24);
    for (int i = 0; i < 2 * TOTAL && fdpasser_events(p) != 0; i++)
        EQUAL(fdpasser_process(p, POLLOUT), 1);
    if (fdpasser_queued(p) == 0 || fdpasser_timeout_ms(p) < 0)
        SKIP("this kernel, or a capability that is left, does not limit descriptors in flight");
    CHECK(fdpasser_timeout_ms(p) > 0);
    check_drained(p, 0);

    /* The descriptors that were sent first have left low numbers free. */
    while (received < TOTAL) {
        int fds[MAX];
        ssize_t n = fdpasser_try_recv_fds(pair[1], fds, MAX);

        if (n > 0)
            RECEIVED(fds[0], received++);
        else
            EQUAL(turn(p), 1);
    }
    EQUAL(fdpasser_queued(p), 0);
    check_drained(p, 1);
    fdpasser_free(p);
    close(pair[1]);
}

static void test(void)
{
    IN_CHILD(as_user());
}
