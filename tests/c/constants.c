/* The constants have their documented values, and fdpasser_retry_ms() answers for every errno and
 * for numbers that are not an errno.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    static const struct {
        int error, sign;
    } table[] = {{EAGAIN, 0},       {EWOULDBLOCK, 0},   {EINTR, 0},         {EMFILE, 1},
                 {ENFILE, 1},       {ETOOMANYREFS, 1},  {ENOBUFS, 1},       {ENOMEM, 1},
                 {EPIPE, -1},       {ECONNRESET, -1},   {EBADMSG, -1},      {EMSGSIZE, -1},
                 {ENOTRECOVERABLE, -1}, {EBADF, -1},    {EINVAL, -1},       {EOPNOTSUPP, -1},
                 {EPERM, -1},       {ENOTSOCK, -1},     {ENOTCONN, -1},     {EAFNOSUPPORT, -1},
                 {EFAULT, -1},      {EEXIST, -1},       {ENAMETOOLONG, -1}, {EIO, -1},
                 {0, -1},           {-1, -1},           {INT_MAX, -1},      {INT_MIN, -1}};
    int passing = 0;

#ifdef FDPASSER_SYSV
    EQUAL(fdpasser_mode(), FDPASSER_MODE_SYSV);
#else
    EQUAL(fdpasser_mode(), FDPASSER_MODE_BSD);
#endif
    EQUAL(FDPASSER_MODE_BSD, 1);
    EQUAL(FDPASSER_MODE_SYSV, 2);
    EQUAL(FDPASSER_MAX_PER_MESSAGE, 253);
    EQUAL(FDPASSER_LOCAL, 256);
    EQUAL(fdpasser_version(), FDPASSER_VERSION);
    EQUAL(FDPASSER_VERSION, FDPASSER_VERSION_MAJOR << 16 | FDPASSER_VERSION_MINOR << 8 | FDPASSER_VERSION_PATCH);

    for (size_t i = 0; i < LENGTH(table); i++) {
        int ms = fdpasser_retry_ms(table[i].error);

        if (ms > 0)
            CHECK(ms <= 1000); /* long enough not to spin, and too short to be noticed */
        EQUAL((ms > 0) - (ms < 0), table[i].sign);
    }
    /* No other number may be retried. */
    for (int error = -10; error < 5000; error++)
        passing += fdpasser_retry_ms(error) >= 0;
    EQUAL(passing, 7);
}
