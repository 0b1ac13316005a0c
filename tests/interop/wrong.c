/* Senders that a receiver must not be content with. WRONG is
 *
 *   swapped       the last two descriptors in the wrong order
 *   missing       all but the last one
 *   extra         one more
 *   data-swapped  the data of the last two in the wrong order
 *   data-missing  none for the last one
 *   data-cut      one byte less for the last one
 *   data-changed  another byte for the last one
 *
 * Usage: wrong WRONG send COUNT PASSER
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "numbered.h"

struct data {
    char *bytes;
    size_t length;
};

static void swap(void *one, void *other, size_t size)
{
    char kept[sizeof(struct data)];

    memcpy(kept, one, size);
    memcpy(one, other, size);
    memcpy(other, kept, size);
}

int main(int argc, char **argv)
{
    const char *wrong = argc > 1 ? argv[1] : "";
    int count, passer, *numbers;
    struct data *data, *last;

    if (arguments(argc - 1, argv + 1, &count, &passer) != 's')
        errx(1, "can only send");
    if ((numbers = calloc((size_t)count + 1, sizeof *numbers)) == NULL ||
        (data = calloc((size_t)count + 1, sizeof *data)) == NULL)
        err(1, "calloc");
    for (int i = 0; i <= count; i++) {
        char *line;

        numbers[i] = i + 1;
        if ((data[i].length = next_line(&line)) > 0 && (data[i].bytes = malloc(data[i].length)) == NULL)
            err(1, "malloc");
        memcpy(data[i].bytes, line, data[i].length);
    }

    last = &data[count - 1];
    if (strncmp(wrong, "data-", 5) == 0 && (last[0].length == 0 || last[-1].length == 0))
        errx(1, "there is no data");
    if (strcmp(wrong, "swapped") == 0)
        swap(&numbers[count - 1], &numbers[count - 2], sizeof *numbers);
    else if (strcmp(wrong, "missing") == 0)
        count--;
    else if (strcmp(wrong, "extra") == 0)
        count++;
    else if (strcmp(wrong, "data-swapped") == 0)
        swap(&last[0], &last[-1], sizeof *last);
    else if (strcmp(wrong, "data-missing") == 0)
        last->length = 0;
    else if (strcmp(wrong, "data-cut") == 0)
        last->length--;
    else if (strcmp(wrong, "data-changed") == 0)
        last->bytes[last->length - 1] ^= 1;
    else
        errx(1, "wrong in no known way: %s", wrong);

    for (int i = 0; i < count; i++) {
        int fd = numbered(numbers[i]);

        if (fdpasser_send_message(passer, &fd, 1, data[i].bytes, data[i].length) != 1)
            err(1, "fdpasser_send_message of %d", numbers[i]);
        close(fd);
    }
    return 0;
}
