/* The peer of a multiprocessing that waits for answers, as Python's does on macOS: each message has several descriptors
 * and their number as a byte, and the receiver writes an 'A' for it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"

enum { MOST = 3 };

int main(int argc, char **argv)
{
    char data[FDPASSER_MAX_DATA];
    int count, passer, fds[MOST], role = arguments(argc, argv, &count, &passer);
    size_t length;
    ssize_t n;

    for (int number = 1; role == 's' && number <= count; number += (int)n) {
        char how_many = (char)(count - number < MOST ? count - number + 1 : MOST);

        for (int i = 0; i < how_many; i++)
            fds[i] = numbered(number + i);
        if ((n = fdpasser_send_message(passer, fds, (size_t)how_many, &how_many, 1)) < 0)
            err(1, "fdpasser_send_message of %d", number);
        for (int i = 0; i < how_many; i++)
            close(fds[i]);
        /* The answer is a byte without a descriptor. */
        if (fdpasser_recv_message(passer, fds, MOST, data, sizeof data, &length) != -1 || errno != EBADMSG)
            err(1, "no answer to %d, but", number);
        if (length != 1 || data[0] != 'A')
            errx(1, "the answer to %d is '%.*s'", number, (int)length, data);
    }
    for (int number = 1; role == 'r'; number += (int)n) {
        if ((n = fdpasser_recv_message(passer, fds, MOST, data, sizeof data, &length)) < 0)
            err(1, "fdpasser_recv_message of %d", number);
        if (n == 0 && number == count + 1)
            break;
        if (n == 0)
            errx(1, "the end came before %d", number);
        if (number - 1 + n > count)
            errx(1, "more than %d came", count);
        if (length != 1 || data[0] != n)
            errx(1, "%zd came with '%.*s' as their number", n, (int)length, data);
        for (int i = 0; i < n; i++)
            check_number(fds[i], number + i);
        if (write(passer, "A", 1) != 1)
            err(1, "write");
    }
    return 0;
}
