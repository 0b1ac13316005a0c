/* Whatever stands at the path of an exclusive server's lock file, the server starts or fails at once. What
 * is not a plain file of ours is ENOLCK, and it is neither changed nor removed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: sysv/server.c tests mounts. */
#include "check.h"
#include <grp.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#define LOCK ".s.fdpasser-lock"

static int serve(void)
{
    return fdpasser_server_with("s", 1, 1, -1, FDPASSER_EXCLUSIVE, NULL);
}

static void works(void)
{
    int listener = serve();

    OURS(listener);
    check_serves_at(listener, "s");
    close(listener);
    EQUAL(unlink("s"), 0);
    ERRNO(access(LOCK, F_OK), ENOENT);
}

/* Checks that the call fails with `error` and leaves everything as it was. */
static void fails(int error)
{
    struct stat before, after;
    int n = entries(".");

    EQUAL(lstat(LOCK, &before), 0);
    for (int i = 0; i < 3; i++)
        ERRNO(serve(), error);
    EQUAL(lstat(LOCK, &after), 0);
    EQUAL(after.st_ino, before.st_ino);
    EQUAL(after.st_mode, before.st_mode);
    EQUAL(after.st_uid, before.st_uid);
    EQUAL(after.st_size, before.st_size);
    EQUAL(after.st_mtime, before.st_mtime);
    EQUAL(entries("."), n);
}

static void refused(void)
{
    fails(ENOLCK);
    EQUAL(remove(LOCK), 0);
    works();
}

static void make_file(const char *path, const char *content)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    CHECK(fd != -1);
    EQUAL(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void kinds(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = LOCK};
    int fd, reader;
    char content[8] = {0};

    works();
    make_file(LOCK, ""); /* left over by a server that was killed */
    works();
    make_file(LOCK, "words");
    works();

    EQUAL(mkfifo(LOCK, 0600), 0);
    refused();
    EQUAL(mkfifo(LOCK, 0600), 0);
    reader = open(LOCK, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* then opening it works */
    CHECK(reader != -1);
    refused();
    close(reader);

    EQUAL(symlink("nowhere", LOCK), 0);
    refused();
    ERRNO(access("nowhere", F_OK), ENOENT);
    make_file("file", "words");
    EQUAL(symlink("file", LOCK), 0);
    refused();
    fd = open("file", O_RDONLY | O_CLOEXEC);
    EQUAL(read(fd, content, sizeof content), 5);
    EQUAL(memcmp(content, "words", 5), 0);
    close(fd);
    EQUAL(unlink("file"), 0);
    EQUAL(symlink(LOCK, LOCK), 0);
    refused();

    EQUAL(mkdir(LOCK, 0700), 0);
    refused();
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    EQUAL(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    refused();
    close(fd);

    if (mknod(LOCK, S_IFCHR | 0600, makedev(1, 3)) != 0)
        printf("no device node was tried: %s\n", strerror(errno));
    else
        refused();
}

/* Another server has the lock. */
static void is_starting(void)
{
    make_file(LOCK, "");
    {
        int fd = open(LOCK, O_RDWR | O_CLOEXEC);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        CHECK(fd != -1);
        EQUAL(fcntl(fd, F_SETLK, &whole), 0);
#ifdef __linux__
        EQUAL(syscall(SYS_flock, fd, 2 /* LOCK_EX */), 0);
#endif
        fails(EADDRINUSE);
        close(fd);
    }
    works();
}

enum { OTHER = 65533 };

static void become_other(void)
{
    if (setgroups(0, NULL) != 0 || setgid(OTHER) != 0 || setuid(OTHER) != 0)
        SKIP("root cannot become somebody else: %s", strerror(errno));
}

/* The file is root's, and the server is not. */
static void as_other(int error)
{
    become_other();
    if (error == 0)
        works();
    else
        fails(error);
}

static void other_users(void)
{
    static const mode_t directories[] = {01777, 0777};
    static const mode_t files[] = {0600, 0666};

    for (size_t i = 0; i < LENGTH(directories); i++) {
        EQUAL(chmod(".", directories[i]), 0);
        IN_CHILD(as_other(0));
        for (size_t j = 0; j < LENGTH(files); j++) {
            snprintf(round_name, sizeof round_name, "file %o in directory %o: ", files[j], directories[i]);
            make_file(LOCK, "root's");
            EQUAL(chmod(LOCK, files[j]), 0);
            IN_CHILD(as_other(ENOLCK));
            EQUAL(chown(LOCK, OTHER, OTHER), 0);
            fails(ENOLCK); /* the other way round */
            EQUAL(unlink(LOCK), 0);
        }
        EQUAL(mkfifo(LOCK, 0666), 0);
        EQUAL(chmod(LOCK, 0666), 0);
        IN_CHILD(as_other(ENOLCK));
        EQUAL(unlink(LOCK), 0);
    }
    round_name[0] = '\0';
}

static void read_only_directory(void)
{
    if (geteuid() == 0)
        become_other();
    ERRNO(serve(), EACCES);
    EQUAL(entries("."), 0);
}

static void test(void)
{
    char name[PATH_MAX];

    enter_directory(name);
    kinds();
    is_starting();
    if (geteuid() == 0)
        other_users();
    else
        printf("another user's files were not tried: this is not root\n");
    EQUAL(chmod(".", 0555), 0);
    IN_CHILD(read_only_directory());
    EQUAL(chmod(".", 0700), 0);
    leave_directory(name);
}
