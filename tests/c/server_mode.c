/* The node has the mode that was asked for, whatever the umask, and the umask stays as it is. At no
 * moment does the node allow more.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
#include "check.h"
#include <pthread.h>

static int serve(const char *path, int mode)
{
    return fdpasser_server_with(path, strlen(path), 0, mode, 0, NULL);
}

static void modes(void)
{
    static const mode_t umasks[] = {0, 022, 077, 0777};
    static const int modes[] = {0600, 0660, 0666, 0777, 0700, 0, -1};

    for (size_t i = 0; i < LENGTH(umasks); i++)
        for (size_t j = 0; j < LENGTH(modes); j++)
            for (int there = 0; there < 2; there++) {
                struct stat node;
                int old = there ? fdpasser_server("s", 5) : -1, listener;

                umask(umasks[i]);
                listener = serve("s", modes[j]);
                OURS(listener);
                EQUAL(umask(022), umasks[i]);
                EQUAL(lstat("s", &node), 0);
                CHECK(S_ISSOCK(node.st_mode));
                EQUAL(node.st_mode & 07777, modes[j] >= 0 ? (mode_t)modes[j] : 0777 & ~umasks[i]);
                EQUAL(entries("."), 1);
                if (modes[j] == 0600)
                    check_serves_at(listener, "s");
                if (old != -1)
                    close(old);
                close(listener);
                EQUAL(unlink("s"), 0);
            }
}

static int stop;

/* Collects what any node in this directory ever allows. */
static void *watch(void *seen)
{
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        DIR *dir = opendir(".");
        struct dirent *entry;

        CHECK(dir != NULL);
        while ((entry = readdir(dir)) != NULL) {
            struct stat node;

            if (fstatat(dirfd(dir), entry->d_name, &node, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISSOCK(node.st_mode)) {
                __atomic_fetch_or((mode_t *)seen, node.st_mode & 0777, __ATOMIC_SEQ_CST);
                __atomic_fetch_add((mode_t *)seen + 1, 1, __ATOMIC_SEQ_CST);
            }
        }
        closedir(dir);
    }
    return NULL;
}

static void never_more(void)
{
    mode_t seen[2] = {0, 0};
    pthread_t watcher;

    umask(0);
    EQUAL(pthread_create(&watcher, NULL, watch, seen), 0);
    for (int i = 0; i < 300 || __atomic_load_n(&seen[1], __ATOMIC_SEQ_CST) < 100; i++) {
        int listener = serve("s", 0600);

        OURS(listener);
        close(listener);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    EQUAL(pthread_join(watcher, NULL), 0);
    EQUAL(seen[0], 0600);
    umask(022);
    EQUAL(unlink("s"), 0);
}

static void refused(void)
{
    fdpasser_node node = {7, 8};
    int fd;

    ERRNO(fdpasser_server_with(NULL, 0, 0, -1, 0, &node), EFAULT);
    ERRNO(fdpasser_server_with("", 0, 0, -1, 0, &node), ENOENT);
    ERRNO(fdpasser_server_with("", 0, 0, -1, FDPASSER_EXCLUSIVE, &node), ENOENT);
    ERRNO(fdpasser_server_with("s", 1, 0, -2, 0, &node), EINVAL);
    ERRNO(fdpasser_server_with("s", 1, 0, 01000, 0, &node), EINVAL);
    ERRNO(fdpasser_server_with("s", 1, 0, INT_MAX, 0, &node), EINVAL);
    ERRNO(fdpasser_server_with("s", 1, 0, -1, 2, &node), EINVAL);
    ERRNO(fdpasser_server_with("s", 1, 0, -1, UINT_MAX, &node), EINVAL);
    ERRNO(fdpasser_server_with("s", SIZE_MAX, 0, -1, 0, &node), ENAMETOOLONG);
    ERRNO(fdpasser_server_with("a\0b", 3, 0, -1, 0, &node), EINVAL);
    ERRNO(fdpasser_server_with("no/s", 4, 0, -1, 0, &node), ENOENT);
    ERRNO(fdpasser_server_with("no/s", 4, 0, -1, FDPASSER_EXCLUSIVE, &node), ENOENT);
    ERRNO(fdpasser_server_with("\0x", 2, 0, 0600, 0, &node), EINVAL);
    fd = open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd != -1);
    ERRNO(fdpasser_server_with("s", 1, 0, 0600, 0, &node), EEXIST);
    ERRNO(fdpasser_server_with("s", 1, 0, 0600, FDPASSER_EXCLUSIVE, &node), EEXIST);
    ERRNO(fdpasser_server_with(".", 1, 0, 0600, FDPASSER_EXCLUSIVE, &node), EEXIST);
    ERRNO(fdpasser_server_with("/", 1, 0, 0600, FDPASSER_EXCLUSIVE, &node), EEXIST);
    CHECK(node.device == 7 && node.inode == 8);
    close(fd);
    EQUAL(entries("."), 1);
    EQUAL(unlink("s"), 0);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    modes();
    never_more();
    refused();
    leave_directory(name);
}
