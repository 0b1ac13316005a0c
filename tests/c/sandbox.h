/* A sandbox that refuses system calls which a proof may need, and nothing else.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "queue.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/time.h>

enum { SELECT = 1, GETRLIMIT = 2, GETSOCKOPT = 4, SETSOCKOPT = 8, ALL = 15 };

static const struct {
    int group, number;
    unsigned first; /* the first argument, where one number serves many calls */
} calls[] = {
#ifdef __NR_select
    {SELECT, __NR_select, 0},
#endif
#ifdef __NR__newselect
    {SELECT, __NR__newselect, 0},
#endif
#ifdef __NR_pselect6
    {SELECT, __NR_pselect6, 0},
#endif
#ifdef __NR_pselect6_time64
    {SELECT, __NR_pselect6_time64, 0},
#endif
#ifdef __NR_getrlimit
    {GETRLIMIT, __NR_getrlimit, 0},
#endif
#ifdef __NR_ugetrlimit
    {GETRLIMIT, __NR_ugetrlimit, 0},
#endif
#ifdef __NR_prlimit64
    {GETRLIMIT, __NR_prlimit64, 0},
#endif
#ifdef __NR_getsockopt
    {GETSOCKOPT, __NR_getsockopt, 0},
#endif
#ifdef __NR_setsockopt
    {SETSOCKOPT, __NR_setsockopt, 0},
#endif
#ifdef __NR_socketcall
    {GETSOCKOPT, __NR_socketcall, 15},
    {SETSOCKOPT, __NR_socketcall, 14},
#endif
};

/* Where the lower half of the first argument is. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_ARGUMENT (offsetof(struct seccomp_data, args) + 4)
#else
#define FIRST_ARGUMENT offsetof(struct seccomp_data, args)
#endif

/* Refuses these groups of calls with this errno from here on. */
HELPER void refuse(unsigned groups, int error)
{
    const struct sock_filter number = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    const struct sock_filter first = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT);
    const struct sock_filter refusal = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    struct sock_filter filter[2 + 5 * LENGTH(calls)];
    struct sock_fprog program = {0, filter};
    struct timeval no_time = {0, 0};
    struct rlimit limit;
    int value = 0;
    socklen_t length = sizeof value;
    unsigned short n = 0;
    unsigned refused = 0;

    if (on_valgrind())
        SKIP("the filter would hold for valgrind too");
    filter[n++] = number;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        if (!(calls[i].group & groups))
            continue;
        if (calls[i].first == 0) {
            filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
            filter[n++] = refusal;
        } else {
            filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 4);
            filter[n++] = first;
            filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].first, 0, 1);
            filter[n++] = refusal;
            filter[n++] = number;
        }
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = n;
    EQUAL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
        SKIP("seccomp: %s", strerror(errno));

    /* No test of the library if the filter does not see the calls. */
    refused |= select(0, NULL, NULL, NULL, &no_time) == -1 ? SELECT : 0;
    refused |= getrlimit(RLIMIT_NOFILE, &limit) == -1 ? GETRLIMIT : 0;
    refused |= getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &length) == -1 && errno == error ? GETSOCKOPT : 0;
    refused |= setsockopt(0, SOL_SOCKET, SO_OOBINLINE, &value, length) == -1 && errno == error ? SETSOCKOPT : 0;
    if (refused != groups)
        SKIP("the filter refuses 0x%x instead of 0x%x here", refused, groups);
}

#endif
