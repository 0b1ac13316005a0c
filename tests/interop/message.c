/* One blocking call for each descriptor with its data.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"

int main(int argc, char **argv)
{
    char *line, data[FDPASSER_MAX_DATA];
    int count, passer, fd;
    size_t length;
    ssize_t n;

    if (arguments(argc, argv, &count, &passer) == 's') {
        for (int number = 1; number <= count; number++) {
            fd = numbered(number);
            length = next_line(&line);
            if (fdpasser_send_message(passer, &fd, 1, line, length) != 1)
                err(1, "fdpasser_send_message of %d", number);
            close(fd);
        }
        return 0;
    }
    for (int number = 1; number <= count; number++) {
        if ((n = fdpasser_recv_message(passer, &fd, 1, data, sizeof data, &length)) < 0)
            err(1, "fdpasser_recv_message of %d", number);
        if (n == 0)
            errx(1, "the end came before %d", number);
        check_number(fd, number);
        print_data(number, data, length);
    }
    if ((n = fdpasser_recv_message(passer, &fd, 1, data, sizeof data, &length)) < 0)
        err(1, "fdpasser_recv_message of the end");
    if (n != 0)
        errx(1, "more than %d came", count);
    return 0;
}
