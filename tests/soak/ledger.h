/* The ledger: an append-only file of 16-byte records that all processes of a run write to and that the
 * driver adds up at the end (see `soak`). One write(2) in append mode is one record, whoever dies when.
 *
 * A descriptor's number is stream << 24 | serial: the offset of the open file that is passed, which
 * all copies of a descriptor share and no two opens do. The file is the ledger itself. */

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
    uint16_t who;   /* the process or thread that writes */
    uint32_t value; /* an errno or a count */
    union {
        uint64_t number;
        char text[8];
    } u;
};

/* what     the descriptor `number`                what      about the process
 * 'P'      pushed: the library is asked           'I'       fault `text` injected, errno `value`
 * 'A'      accepted: it said that it was sent     'S'       error `value` seen in direction `text`
 * 'F'      reported failed, with errno `value`    'D'       ENOTRECOVERABLE reported
 * 'R'      received                               'M'       EMSGSIZE reported
 *                                                 'X'       closes a passer that may have unread ones
 *                                                 'K'       is about to be killed
 *                                                 'W'       ready
 *                                                 'H'       `value` hostile messages of kind `text`
 *                                                 'h', 'g'  `number` unnumbered sent, received
 *                                                 'L'       leaked `number` descriptors
 *                                                 'O'       `value` KiB at first, `number` at the end */

static inline void ledger_write(int fd, struct record r)
{
    int saved = errno;
    if (write(fd, &r, sizeof r) != (ssize_t)sizeof r)
        abort(); /* without a ledger nothing is proven */
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
