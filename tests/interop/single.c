/* One blocking call for each descriptor.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"

int main(int argc, char **argv)
{
    int count, passer, fd;

    if (arguments(argc, argv, &count, &passer) == 's') {
        for (int number = 1; number <= count; number++) {
            fd = numbered(number);
            if (send_fd(passer, fd) != 1)
                err(1, "send_fd of %d", number);
            close(fd);
        }
        return 0;
    }
    for (int number = 1; number <= count; number++) {
        if ((fd = recv_fd(passer)) < 0)
            err(1, "recv_fd of %d", number);
        if (fd == 0)
            errx(1, "the end came before %d", number);
        check_number(fd, number);
    }
    if ((fd = recv_fd(passer)) < 0)
        err(1, "recv_fd of the end");
    if (fd != 0)
        errx(1, "more than %d came", count);
    return 0;
}
