/* With the SysV interface there are no datagrams: fdpasser_notify() fails if somebody wants to know.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "check.h"

static void test(void)
{
    EQUAL(unsetenv("NOTIFY_SOCKET"), 0);
    EQUAL(fdpasser_notify("READY=1", NULL, 0), 0);
    EQUAL(setenv("NOTIFY_SOCKET", "/manager", 1), 0);
    ERRNO(fdpasser_notify("READY=1", NULL, 0), EOPNOTSUPP);
    ERRNO(fdpasser_notify("READY=1", &(int){0}, 1), EOPNOTSUPP);
    ERRNO(fdpasser_notify("", NULL, 0), EINVAL);
}
