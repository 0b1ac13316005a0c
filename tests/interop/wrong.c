/* Senders that a receiver must not be content with: WRONG is swapped (the last two in the wrong order), missing (the
 * last one) or extra (one more).
 *
 * Usage: wrong WRONG send COUNT PASSER
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"

int main(int argc, char **argv)
{
    int count, passer, swapped, total;
    const char *what = argc > 1 ? argv[1] : "";

    if (arguments(argc - 1, argv + 1, &count, &passer) != 's')
        errx(1, "can only send");
    swapped = strcmp(what, "swapped") == 0;
    total = count + (strcmp(what, "extra") == 0) - (strcmp(what, "missing") == 0);
    if (!swapped && total == count)
        errx(1, "wrong in no known way: %s", what);
    for (int i = 1; i <= total; i++) {
        int number = !swapped ? i : i == count - 1 ? count : i == count ? count - 1 : i;
        int fd = numbered(number);

        if (send_fd(passer, fd) != 1)
            err(1, "send_fd of %d", number);
        close(fd);
    }
    return 0;
}
