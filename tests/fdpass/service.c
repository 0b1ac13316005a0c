/* A service: says what it was handed, gives its manager a file to keep, and then is ready.
 *
 * Usage: service REPORT. It appends to this file. Without a manager that wants to be notified it ends then.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <err.h>
#include <fdpasser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char name[FDPASSER_MAX_NAME + 1], kept[20] = "";
    int fds[8], told;
    ssize_t n = fdpasser_inherited(fds, 8);
    FILE *report = argc == 2 ? fopen(argv[1], "ae") : NULL;

    if (report == NULL)
        err(1, "the report");
    if (n < 0)
        err(1, "fdpasser_inherited");
    for (int i = 0; i < n; i++) {
        if (fdpasser_inherited_name((size_t)i, name, sizeof name) < 0)
            err(1, "fdpasser_inherited_name");
        if (fdpasser_is(fds[i], FDPASSER_IS_LISTENING | FDPASSER_IS_STREAM) == 1)
            fprintf(report, "%s listens\n", name);
        else if (fdpasser_is(fds[i], FDPASSER_IS_FILE) == 1 && pread(fds[i], kept, sizeof kept - 1, 0) >= 0)
            fprintf(report, "%s has %s\n", name, kept);
        else
            fprintf(report, "%s is something else\n", name);
    }
    if (kept[0] == '\0') {
        int file = memfd_create("kept", MFD_CLOEXEC);

        if (file < 0 || pwrite(file, "a word", 6, 0) != 6)
            err(1, "memfd_create");
        told = fdpasser_notify("FDSTORE=1\nFDNAME=sessions", &file, 1);
        if (told < 0)
            err(1, "fdpasser_notify: FDSTORE");
    }
    fclose(report);
    told = fdpasser_notify("READY=1\nSTATUS=serving", NULL, 0);
    if (told < 0)
        err(1, "fdpasser_notify: READY");
    if (told == 1)
        pause();
    return 0;
}
