/* Not in SysV mode: there are no datagrams. */
/* fdpasser_notify() sends one datagram with its descriptors, to a path or to an abstract address; 0 if nobody asked.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "notify.h"

static char text[70000];

static void sends(int is_abstract)
{
    int fd = manager(SOCK_DGRAM, is_abstract), fds[MAX], got[MAX];

    EQUAL(fdpasser_notify("READY=1", NULL, 0), 1);
    EQUAL(told(fd, text, sizeof text, got, 0), 0);
    CHECK(strcmp(text, "READY=1") == 0);

    fds[0] = numbered(7);
    fds[1] = numbered(8);
    EQUAL(fdpasser_notify("FDSTORE=1\nFDNAME=one", fds, 1), 1);
    EQUAL(fdpasser_notify("FDSTORE=1\nFDNAME=two\n", fds, 2), 1);
    EQUAL(told(fd, text, sizeof text, got, MAX), 1);
    CHECK(strcmp(text, "FDSTORE=1\nFDNAME=one") == 0);
    RECEIVED(got[0], 7);
    EQUAL(told(fd, text, sizeof text, got, MAX), 2);
    CHECK(strcmp(text, "FDSTORE=1\nFDNAME=two\n") == 0);
    RECEIVED(got[0], 7);
    RECEIVED(got[1], 8);
    EQUAL(number_of(fds[0]), 7); /* they are still ours */

    for (size_t i = 2; i < MAX; i++)
        fds[i] = fds[1];
    EQUAL(fdpasser_notify("FDSTORE=1", fds, MAX), 1);
    EQUAL(told(fd, text, sizeof text, got, MAX), MAX);
    for (size_t i = 0; i < MAX; i++)
        RECEIVED(got[i], i == 0 ? 7 : 8);

    memset(text, 'x', 4096);
    text[4096] = '\0';
    EQUAL(fdpasser_notify(text, fds, 2), 1);
    EQUAL(told(fd, text, sizeof text, got, MAX), 2);
    EQUAL(strlen(text), 4096);
    close(got[0]);
    close(got[1]);
    text[4096] = 'x';
    ERRNO(fdpasser_notify(text, NULL, 0), EMSGSIZE);
    memset(text, 'x', sizeof text - 1);
    ERRNO(fdpasser_notify(text, NULL, 0), EMSGSIZE);
    ERRNO(recv(fd, text, 1, MSG_DONTWAIT), EAGAIN); /* nothing of them has come */

    close(fds[0]);
    close(fds[1]);
    close(fd);
    ERRNO(fdpasser_notify("READY=1", NULL, 0), ECONNREFUSED);
    if (!is_abstract) {
        EQUAL(unlink(manager_path), 0);
        ERRNO(fdpasser_notify("READY=1", NULL, 0), ENOENT);
    }
}

static void nobody_asked(void)
{
    EQUAL(unsetenv("NOTIFY_SOCKET"), 0);
    EQUAL(fdpasser_notify("READY=1", NULL, 0), 0);
    EQUAL(fdpasser_notify("FDSTORE=1", &(int){0}, 1), 0);
    EQUAL(setenv("NOTIFY_SOCKET", "", 1), 0);
    EQUAL(fdpasser_notify("READY=1", NULL, 0), 0);
}

static void addresses(void)
{
    static const char *const wrong[] = {"notify", "./notify", "../notify", " /notify", "@", "vsock:2:1234", "\n"};
    char longer[200];

    for (size_t i = 0; i < LENGTH(wrong); i++) {
        snprintf(round_name, sizeof round_name, "\"%s\": ", wrong[i]);
        EQUAL(setenv("NOTIFY_SOCKET", wrong[i], 1), 0);
        ERRNO(fdpasser_notify("READY=1", NULL, 0), EINVAL);
    }
    for (size_t len = 107; len < sizeof longer; len++) {
        memset(longer, 'n', len);
        longer[len] = '\0';
        longer[0] = '/';
        EQUAL(setenv("NOTIFY_SOCKET", longer, 1), 0);
        ERRNO(fdpasser_notify("READY=1", NULL, 0), len > 107 ? ENAMETOOLONG : ENOENT);
        longer[0] = '@';
        EQUAL(setenv("NOTIFY_SOCKET", longer, 1), 0);
        ERRNO(fdpasser_notify("READY=1", NULL, 0), len > 108 ? ENAMETOOLONG : ECONNREFUSED);
    }
    EQUAL(setenv("NOTIFY_SOCKET", "/dev/null", 1), 0);
    ERRNO(fdpasser_notify("READY=1", NULL, 0), ECONNREFUSED);
    int stream = manager(SOCK_STREAM, 0);
    ERRNO(fdpasser_notify("READY=1", NULL, 0), EPROTOTYPE);
    close(stream);
    EQUAL(unlink(manager_path), 0);
}

static void arguments(void)
{
    int many[MAX + 1] = {0}, fd = manager(SOCK_DGRAM, 1);

    /* With somebody who asks and without. */
    for (int i = 0; i < 2; i++) {
        ERRNO(fdpasser_notify(NULL, NULL, 0), EFAULT);
        ERRNO(fdpasser_notify("READY=1", NULL, 1), EFAULT);
        ERRNO(fdpasser_notify("", NULL, 0), EINVAL);
        ERRNO(fdpasser_notify("READY=1", many, MAX + 1), EINVAL);
        ERRNO(fdpasser_notify("READY=1", many, (size_t)-1), EINVAL);
        ERRNO(fdpasser_notify("READY=1", &(int){-1}, 1), EBADF);
        if (i == 0)
            ERRNO(fdpasser_notify("READY=1", &(int){1 << 20}, 1), EBADF);
        ERRNO(recv(fd, text, 1, MSG_DONTWAIT), EAGAIN);
        EQUAL(unsetenv("NOTIFY_SOCKET"), 0);
    }
    close(fd);
}

static void full_table_fails(void)
{
    int fd = manager(SOCK_DGRAM, 1);

    set_soft_limit(64);
    fill_table();
    ERRNO(fdpasser_notify("READY=1", NULL, 0), EMFILE);
    free_slots(1);
    EQUAL(fdpasser_notify("READY=1", NULL, 0), 1);
    empty_table();
    close(fd);
}

static void test(void)
{
    EQUAL(signal(SIGPIPE, SIG_DFL) == SIG_ERR, 0);
    sends(0);
#ifdef __linux__
    sends(1);
#endif
    nobody_asked();
    addresses();
    arguments();
    IN_CHILD(full_table_fails());
}
