/* What the C programs here share: numbered descriptors, their data, and the arguments that every program here has.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef NUMBERED_H
#define NUMBERED_H

#include <err.h>
#include <errno.h>
#include <fdpasser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pipe that reads as `number`, and then ends. */
static inline int numbered(int number)
{
    int ends[2], length;
    char text[16];

    length = snprintf(text, sizeof text, "%d", number);
    if (pipe(ends) != 0 || write(ends[1], text, (size_t)length) != length)
        err(1, "pipe");
    close(ends[1]);
    return ends[0];
}

/* Closes `fd`, which must read as `number` up to its end. */
static inline void check_number(int fd, int number)
{
    char expected[16], text[32];
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    if (n < 0)
        err(1, "read of what should be %d", number);
    text[length] = '\0';
    snprintf(expected, sizeof expected, "%d", number);
    if (strcmp(text, expected) != 0)
        errx(1, "'%s' came, not %s", text, expected);
    close(fd);
}

/* Reads the next line of standard input, which is the data of a descriptor. Returns its length. *line stays as it is
 * until the next call. */
static inline size_t next_line(char **line)
{
    static char *buffer;
    static size_t room;
    ssize_t n = getline(&buffer, &room, stdin);

    if (n < 0 && ferror(stdin))
        err(1, "standard input");
    if (n > 0 && buffer[n - 1] == '\n')
        n--;
    *line = buffer;
    return n < 0 ? 0 : (size_t)n;
}

/* A receiver prints the data of each descriptor. */
static inline void print_data(int number, const char *data, size_t length)
{
    printf("%d: ", number);
    fwrite(data, 1, length, stdout);
    putchar('\n');
}

/* The role, which is argv[1], is returned as 's'end or 'r'eceive. */
static inline int arguments(int argc, char **argv, int *count, int *passer)
{
    int role = argc != 4 ? 0 : strcmp(argv[1], "send") == 0 ? 's' : strcmp(argv[1], "recv") == 0 ? 'r' : 0;

    if (role == 0)
        errx(1, "usage: %s send|recv COUNT PASSER", argv[0]);
    *count = atoi(argv[2]);
    *passer = atoi(argv[3]);
    return role;
}

#endif
