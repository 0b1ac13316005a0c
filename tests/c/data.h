/* What the programs about data with descriptors share: data that can be told apart.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef DATA_H
#define DATA_H

#include "check.h"

enum { DATA = FDPASSER_MAX_DATA };

/* The data that belongs to the file with this number: the number, and bytes that depend on it. A shorter length has the
 * first bytes of it. A single byte is never a NUL. */
HELPER void make_data(unsigned char *data, int number, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (unsigned char)((unsigned)number * 31 + i * 7 + i / 256);
    if (len >= sizeof number)
        memcpy(data, &number, sizeof number);
    else if (len > 0)
        data[0] = (unsigned char)(1 + number % 255);
}

HELPER void check_data(const char *file, int line, const unsigned char *got, size_t got_len, int number, size_t len)
{
    unsigned char want[DATA];

    check_equal(file, line, "length of the data", (long long)got_len, (long long)len);
    make_data(want, number, len);
    if (memcmp(got, want, len) != 0)
        fail(file, line, "the data of this descriptor");
}

#define HAS_DATA(got, got_len, number, len) check_data(__FILE__, __LINE__, (got), (got_len), (number), (len))

/* Sends `n` files, numbered from `first` up, with the data of the first one. Returns what fdpasser_send_message() returned. */
HELPER ssize_t send_with_data(int passer, int first, size_t n, size_t len)
{
    unsigned char data[DATA + 1] = {0};
    int fds[MAX] = {0}, error;
    ssize_t result;

    CHECK(n <= MAX);
    for (size_t i = 0; i < n; i++)
        fds[i] = numbered(first + (int)i);
    make_data(data, first, len);
    result = fdpasser_send_message(passer, fds, n, data, len);
    error = errno;
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    errno = error;
    return result;
}

/* Receives what send_with_data() sends with these arguments. */
HELPER void receive_with_data(int passer, int first, size_t n, size_t len)
{
    unsigned char data[DATA];
    int fds[MAX];
    size_t got = 77777;

    EQUAL(fdpasser_recv_message(passer, fds, MAX, data, sizeof data, &got), n);
    for (size_t i = 0; i < n; i++)
        RECEIVED(fds[i], first + (int)i);
    HAS_DATA(data, got, first, len);
}

/* Nothing at all waits in the socket. */
HELPER void check_nothing_waits(int sock)
{
    char byte;

    ERRNO(recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
}

/* Sets the send buffer. Returns its size as the kernel has it, which is about twice as much. */
HELPER int set_send_buffer(int sock, int size)
{
    socklen_t len = sizeof size;

    EQUAL(setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    EQUAL(getsockopt(sock, SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
    return size;
}

#endif
