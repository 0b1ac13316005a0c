/* What the C programs here share: numbered descriptors, and the arguments that every program here has.
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
