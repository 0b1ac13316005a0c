/* What idle passers cost a C program: its heap, its resident memory and its descriptors before and
 * after it makes as many as the command line says.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <fdpasser.h>

#include <dirent.h>
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long resident(void)
{
    long size, pages;
    FILE *statm = fopen("/proc/self/statm", "r");

    if (statm == NULL || fscanf(statm, "%ld %ld", &size, &pages) != 2)
        err(1, "/proc/self/statm");
    fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

static long descriptors(void)
{
    long count = 0;
    DIR *dir = opendir("/proc/self/fd");

    if (dir == NULL)
        err(1, "/proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* A passer; its peer is gone, so that it alone holds a descriptor. */
static void idle_passer(void)
{
    int pair[2];

    if (fdpasser_socketpair(pair) != 0)
        err(1, "fdpasser_socketpair");
    close(pair[1]);
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? atol(argv[1]) : 0, before, open;
    size_t heap;

    if (count <= 0)
        errx(1, "usage: idle COUNT");
    idle_passer(); /* what is there only once */
    resident();
    open = descriptors();
    before = resident();
    heap = mallinfo2().uordblks;
    for (long i = 0; i < count; i++)
        idle_passer();
    printf("%.1f %.1f %.3f\n", (double)(mallinfo2().uordblks - heap) / (double)count,
           (double)(resident() - before) / (double)count, (double)(descriptors() - open) / (double)count);
    return 0;
}
