/* A malloc() that says when there is no memory. CAN_REFUSE is 0 where it cannot stand in front of the real one.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef NO_MEMORY_H
#define NO_MEMORY_H

#include "check.h"

/* Sizes that are refused; both 0: none. Volatile, because the compiler knows that a malloc() does not look at them. */
static __attribute__((unused)) volatile size_t refuse_from, refuse_to;

#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_REFUSE = 0 };
#else
enum { CAN_REFUSE = 1 };

void *__libc_malloc(size_t size);
void *__libc_realloc(void *old, size_t size);

static int refused(size_t size)
{
    if (size < refuse_from || size >= refuse_to)
        return 0;
    errno = ENOMEM;
    return 1;
}

/* Weak, so that a program that is linked with glibc's archive can be linked; its own malloc() is not called then. */
__attribute__((weak)) void *malloc(size_t size)
{
    return refused(size) ? NULL : __libc_malloc(size);
}

__attribute__((weak)) void *realloc(void *old, size_t size)
{
    return refused(size) ? NULL : __libc_realloc(old, size);
}
#endif

HELPER void need_refusals(void)
{
    enum { ANY = 7777 };
    void *volatile got;

    refuse_from = ANY;
    refuse_to = ANY + 1;
    got = malloc(ANY);
    refuse_from = refuse_to = 0;
    if (!CAN_REFUSE || got != NULL || on_valgrind()) {
        free(got);
        SKIP("another malloc() is in the way: valgrind's, a sanitizer's, glibc's archive, or one that is not glibc's");
    }
}

#endif
