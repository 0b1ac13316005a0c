/* The ledger is an append-only file of 16-byte records. All processes of a run write to it, and the driver
 * (`soak`) adds it up at the end. Each record is one write(2) in append mode, so it is whole or missing,
 * whenever a process dies.
 *
 * A descriptor's number is stream << 24 | serial. It is the file offset of the descriptor that is passed:
 * duplicates share the offset, and every open() has its own. The file that is passed is the ledger itself.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef LEDGER_H
#define LEDGER_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
    char what;
    char pad;
    uint16_t who;   /* the process or thread that writes the record */
    uint32_t value; /* an errno or a count */
    union {
        uint64_t number;
        char text[8];
    } u;
};

/* what     about the descriptor `number`          what      about the process
 * 'P'      pushed: handed to the library          'I'       fault `text` injected, with errno `value`
 * 'A'      accepted: reported as sent             'S'       error `value` seen in call `text`
 * 'F'      reported as failed, errno `value`      'D'       ENOTRECOVERABLE was reported
 * 'R'      received                               'M'       EMSGSIZE was reported
 *                                                 'X'       closes a passer that may have some unread
 *                                                 'K'       will be killed now
 *                                                 'W'       ready
 *                                                 'H'       sent `value` hostile messages of kind `text`
 *                                                 'h', 'g'  sent, received `number` without a number
 *                                                 'L'       leaked `number` descriptors
 *                                                 'O'       used `value` KiB early, `number` at the end */

static inline void ledger_write(int fd, struct record r)
{
    int saved = errno;
    if (write(fd, &r, sizeof r) != (ssize_t)sizeof r)
        abort(); /* without the ledger the run proves nothing */
    errno = saved;
}

static inline void ledger_number(int fd, char what, unsigned who, unsigned value, uint64_t number)
{
    ledger_write(fd, (struct record){what, 0, (uint16_t)who, value, {number}});
}

static inline void ledger_text(int fd, char what, unsigned who, unsigned value, const char *text)
{
    struct record r = {what, 0, (uint16_t)who, value, {0}};
    memcpy(r.u.text, text, strnlen(text, sizeof r.u.text));
    ledger_write(fd, r);
}

#endif
