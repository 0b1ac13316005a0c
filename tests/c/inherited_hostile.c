/* An environment that makes no sense is an error, and nothing is touched.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "inherited.h"

enum { HANDED_DOWN = 3 };

static void refused(const char *fds, const char *names, int want)
{
    int numbers[4] = {-7, -7, -7, -7};
    char name[FDPASSER_MAX_NAME + 1];

    snprintf(round_name, sizeof round_name, "\"%.40s\" \"%.40s\": ", fds, names ? names : "NULL");
    announce(fds, names);
    ERRNO(fdpasser_inherited(numbers, 4), want);
    EQUAL(numbers[0], -7);
    if (want == EINVAL)
        ERRNO(fdpasser_inherited_name(0, name, sizeof name), EINVAL);
    check_untouched(HANDED_DOWN);
}

static void counts(void)
{
    static const char *const counts[] = {
        "", " ", "-1", "-0", "+3", " 3", "3 ", "3\n", "3.0", "3e0", "0x3", "three", "\xff", "3\xff", "2147483645",
        "2147483647", "2147483648", "4294967297", "9223372036854775808", "18446744073709551617",
        "99999999999999999999999999999999999999999",
    };
    static char digits[100001];

    for (size_t i = 0; i < LENGTH(counts); i++)
        refused(counts[i], NULL, EINVAL);
    memset(digits, '3', sizeof digits - 1);
    refused(digits, NULL, EINVAL);
    refused("2147483644", NULL, EBADF); /* the largest that could be */
    refused("1000000", NULL, EBADF);
    refused("4", NULL, EBADF);
    refused("4", "a:b:c:d", EBADF);
    announce("003", NULL);
    EQUAL(fdpasser_inherited(NULL, 0), 3);
}

static void names(void)
{
    static const char *const names[] = {
        "", "a", "a:b", "a:b:c:d", ":::", "a:b:c:", "a:b:c\n", "a:\x1f:c", "a:\x7f:c", "a:\x80:c", "a:b:gr\303\266\303\237e",
        "\x1b[2J:b:c",
    };
    static char many[100000], longer[FDPASSER_MAX_NAME + 6];

    for (size_t i = 0; i < LENGTH(names); i++)
        refused("3", names[i], EINVAL);
    memset(many, ':', sizeof many - 1);
    refused("3", many, EINVAL);
    memset(many, 'a', sizeof many - 1);
    refused("3", many, EINVAL);
    memset(longer, 'n', sizeof longer);
    memcpy(longer + FDPASSER_MAX_NAME + 1, ":b:c", 5); /* one more than may be */
    refused("3", longer, EINVAL);
}

static void pids(void)
{
    static const char *const pids[] = {"", "-1", "x", "4294967296", "1 ", "99999999999999999999999"};
    char padded[30];

    for (size_t i = 0; i < LENGTH(pids); i++) {
        announce("3", NULL);
        variable("LISTEN_PID", pids[i]);
        ERRNO(fdpasser_inherited(NULL, 0), EINVAL);
    }
    snprintf(padded, sizeof padded, " %ld", (long)getpid());
    variable("LISTEN_PID", padded);
    ERRNO(fdpasser_inherited(NULL, 0), EINVAL);
    check_untouched(HANDED_DOWN);
}

/* A gap: what is open stays as it is. */
static void gap(void)
{
    announce("3", "a:b:c");
    close(4);
    ERRNO(fdpasser_inherited(NULL, 0), EBADF);
    EQUAL(is_close_on_exec(3), 0);
    EQUAL(is_close_on_exec(5), 0);
    EQUAL(dup2(3, 4), 4);
    EQUAL(fdpasser_inherited(NULL, 0), 3);
}

static void test(void)
{
    AS_SERVICE(HANDED_DOWN, counts());
    AS_SERVICE(HANDED_DOWN, names());
    AS_SERVICE(HANDED_DOWN, pids());
    AS_SERVICE(HANDED_DOWN, gap());
}
