/* The first process of a kernel that tests/lib/Kernel.pm boots. It mounts the file systems that the programs need,
 * runs each program in /programs, and switches the machine off.
 *
 * For each program the console shows "begin NAME", the program's output, and "end NAME STATUS". STATUS is wait(2)'s.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAMS "/programs/"
#define DEADLINE 180 /* for one program, as in tests/c.t; it has a shorter one of its own */

static void switch_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static void need(int good, const char *what)
{
    if (good)
        return;
    printf("init: %s: %s\n", what, strerror(errno));
    switch_off();
}

static void make_file_systems(void)
{
    static const char *const types[][2] = {{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"},
                                           {"tmpfs", "/tmp"}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        mkdir(types[i][1], 0755);
        need(mount("none", types[i][1], types[i][0], 0, NULL) == 0, types[i][1]);
    }
    need(chmod("/tmp", 01777) == 0, "/tmp");
}

/* The kernel opens the console before there is one in /dev. */
static void open_console(void)
{
    int console = open("/dev/console", O_RDWR);

    need(dup2(console, 0) == 0 && dup2(console, 1) == 1 && dup2(console, 2) == 2, "/dev/console");
    if (console > 2)
        close(console);
}

static void bring_up_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int sock = socket(AF_INET, SOCK_DGRAM, 0);

    need(sock >= 0 && ioctl(sock, SIOCSIFFLAGS, &request) == 0, "lo");
    close(sock);
}

/* The limits that a service usually has. */
static void set_limits(void)
{
    struct rlimit limit = {1024, 524288};

    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
    setenv("PATH", "/bin", 1);
    setenv("TMPDIR", "/tmp", 1);
    setenv("FDPASSER_SLOW_CALLS", "1", 1); /* check.h then makes fewer system calls */
}

/* Ends all processes but this one. */
static void end_all(int signal)
{
    (void)signal;
    kill(-1, SIGKILL);
}

static void run(const char *name)
{
    char path[sizeof PROGRAMS + NAME_MAX];
    pid_t pid;
    int status = -1;

    snprintf(path, sizeof path, PROGRAMS "%s", name);
    printf("\nbegin %s\n", name); /* the line before may be unfinished */
    need((pid = fork()) != -1, "fork");
    if (pid == 0) {
        setsid();
        execl(path, path, (char *)NULL);
        printf("exec: %s\n", strerror(errno));
        _exit(127);
    }
    alarm(DEADLINE);
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    alarm(0);
    end_all(0);
    while (wait(NULL) != -1 || errno == EINTR)
        ;
    printf("\nend %s %d\n", name, status);
}

int main(void)
{
    struct dirent **programs;
    int count;

    setvbuf(stdout, NULL, _IONBF, 0);
    make_file_systems();
    open_console();
    bring_up_loopback();
    set_limits();
    need(sigaction(SIGALRM, &(struct sigaction){.sa_handler = end_all}, NULL) == 0, "SIGALRM");
    count = scandir(PROGRAMS, &programs, NULL, alphasort);
    need(count >= 0, PROGRAMS);
    for (int i = 0; i < count; i++)
        if (programs[i]->d_name[0] != '.')
            run(programs[i]->d_name);
    printf("init: all programs ended\n");
    switch_off();
}
