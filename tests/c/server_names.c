/* A temporary name is nobody else's: no server's path, and no other process's temporary name, also after a fork.
 * What has the name already stays.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
/* Not in SysV mode: a mount needs no temporary name. */
#include "check.h"

#define SIGNS "!#$%+,:;=@[]^{}~"

enum { LONGEST = sizeof ((struct sockaddr_un *)0)->sun_path - 1, LONGEST_TO_UNLINK = 383 };

static int serve(const char *path, fdpasser_node *node)
{
    int listener = fdpasser_server_with(path, strlen(path), 5, -1, 0, node);

    OURS(listener);
    return listener;
}

/* The name under which the listener was bound. */
static struct sockaddr_un bound(int listener)
{
    struct sockaddr_un address = {0};
    socklen_t len = sizeof address;

    EQUAL(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    return address;
}

/* However short the server's own name is: the temporary one is of a reserved shape if the address has room. */
static void shape(size_t room)
{
    char path[LONGEST + 1] = {0};
    size_t n = LONGEST - room;
    struct sockaddr_un address;
    const char *name = address.sun_path + n;
    int listener;

    snprintf(round_name, sizeof round_name, "room for %zu bytes: ", room);
    memset(path, 'd', n - 1);
    EQUAL(mkdir(path, 0700), 0);
    strcpy(path + n - 1, "/a");
    listener = serve(path, NULL);
    address = bound(listener);
    check_serves_at(listener, path);
    close(listener);
    if (room >= 22) {
        EQUAL(strlen(name), 22);
        EQUAL(strncmp(name, ".fdpasser-", 10), 0);
        EQUAL(strspn(name + 10, "abcdefghijklmnopqrstuvwxyz234567"), 12);
    } else {
        EQUAL(strlen(name), room < 12 ? room : 12);
        EQUAL(strspn(name, SIGNS), strlen(name));
    }
    EQUAL(unlink(path), 0);
    path[n - 1] = '\0';
    EQUAL(rmdir(path), 0);
    round_name[0] = '\0';
}

enum { CHILDREN = 4 };

static void after_a_fork(void)
{
    struct sockaddr_un names[CHILDREN + 1];
    int listener = serve("s", NULL), answer[2];

    names[CHILDREN] = bound(listener);
    EQUAL(pipe(answer), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = spawn();

        if (child == 0) {
            struct sockaddr_un name = bound(serve("s", NULL));

            EQUAL(write(answer[1], &name, sizeof name), sizeof name);
            _exit(0);
        }
        join(child);
        EQUAL(read(answer[0], &names[i], sizeof names[i]), sizeof names[i]);
    }
    close_pair(answer);
    for (int i = 0; i < CHILDREN; i++)
        for (int j = i + 1; j <= CHILDREN; j++)
            CHECK(strcmp(names[i].sun_path, names[j].sun_path) != 0);
    close(listener);
    EQUAL(unlink("s"), 0);
}

/* Each child removes the node that its parent made for it. */
static void children_unlink(void)
{
    static const char *const paths[] = {"first", "second", "third"};

    for (int i = 0; i < (on_valgrind() ? 20 : 200); i++) {
        int listeners[LENGTH(paths)], go[2];
        fdpasser_node nodes[LENGTH(paths)];
        pid_t children[LENGTH(paths)];

        for (size_t j = 0; j < LENGTH(paths); j++)
            listeners[j] = serve(paths[j], &nodes[j]);
        EQUAL(pipe(go), 0);
        for (size_t j = 0; j < LENGTH(paths); j++)
            if ((children[j] = spawn()) == 0) {
                wait_at_gate(go);
                EQUAL(fdpasser_unlink(paths[j], strlen(paths[j]), &nodes[j]), 1);
                _exit(0);
            }
        close_pair(go);
        for (size_t j = 0; j < LENGTH(paths); j++) {
            join(children[j]);
            close(listeners[j]);
        }
        EQUAL(entries("."), 0);
    }
}

#ifdef __linux__
/* Twice: under gVisor a name that was removed counts as taken. */
static int can_keep(void)
{
    for (int i = 0; i < 2; i++) {
        close(open("from", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        if (syscall(SYS_renameat2, AT_FDCWD, "from", AT_FDCWD, "to", 1 /* RENAME_NOREPLACE */) != 0) {
            printf("not tried, whether what has the name stays: renameat2: %s\n", strerror(errno));
            EQUAL(unlink("from"), 0);
            return 0;
        }
        EQUAL(unlink("to"), 0);
    }
    return 1;
}

/* In so long a path there is room for one byte, and half of the names are taken. */
static void taken_names_stay(void)
{
    char directory[LONGEST_TO_UNLINK], path[LONGEST_TO_UNLINK + 1];

    if (!can_keep())
        return;
    memset(directory, 'd', sizeof directory);
    directory[190] = directory[LONGEST_TO_UNLINK - 2] = '\0';
    EQUAL(mkdir(directory, 0700), 0);
    directory[190] = '/';
    EQUAL(mkdir(directory, 0700), 0);
    memcpy(path, directory, sizeof directory);
    strcpy(path + LONGEST_TO_UNLINK - 2, "/s");
    EQUAL(chdir(directory), 0);
    for (size_t i = 0; i < strlen(SIGNS); i += 2)
        EQUAL(symlink("taken", (char[]){SIGNS[i], '\0'}), 0);
    for (int i = 0; i < 10; i++) {
        fdpasser_node node;
        int listener = serve("s", &node);

        EQUAL(chdir("../.."), 0);
        EQUAL(fdpasser_unlink(path, strlen(path), &node), 1);
        EQUAL(chdir(directory), 0);
        EQUAL(entries("."), strlen(SIGNS) / 2);
        close(listener);
    }
    for (size_t i = 0; i < strlen(SIGNS); i += 2)
        EQUAL(unlink((char[]){SIGNS[i], '\0'}), 0);
    EQUAL(chdir("../.."), 0);
    EQUAL(rmdir(directory), 0);
    directory[190] = '\0';
    EQUAL(rmdir(directory), 0);
}
#else
static void taken_names_stay(void)
{
    printf("not tried, whether what has the name stays: there is no renameat2\n");
}
#endif

static void test(void)
{
    static const size_t rooms[] = {1, 2, 11, 12, 13, 21, 22, 23, 50};
    char name[PATH_MAX];

    enter_directory(name);
    for (size_t i = 0; i < LENGTH(rooms); i++)
        shape(rooms[i]);
    after_a_fork();
    children_unlink();
    taken_names_stay();
    leave_directory(name);
}
