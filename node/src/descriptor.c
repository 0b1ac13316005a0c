/* Owners of descriptors, and where descriptors come from.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "addon.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static void forget_owned(napi_env env, void *data, void *hint)
{
    struct owned *owned = data;

    (void)env, (void)hint;
    if (owned->fd >= 0) {
        close(owned->fd);
        say_unclosed(owned->thread, owned->fd, false);
    }
    leave(owned->thread);
    free(owned);
}

napi_value own(napi_env env, int fd)
{
    struct owned *owned;
    napi_value result;

    if (fd < 0)
        return value(env, -errno);
    if ((owned = malloc(sizeof *owned)) == NULL) {
        close(fd);
        return value(env, -ENOMEM);
    }
    *owned = (struct owned){thread_of(env), fd};
    if (napi_create_external(env, owned, forget_owned, NULL, &result) != napi_ok) {
        close(fd);
        free(owned);
        return value(env, -ENOMEM);
    }
    owned->thread->users++;
    return result;
}

FUNCTION(own_number)
{
    ARGUMENTS(1);
    int fd = number(env, argument[0]);

    return own(env, fcntl(fd, F_GETFD) < 0 ? -1 : fd);
}

FUNCTION(duplicate)
{
    ARGUMENTS(1);
    return own(env, fcntl(number(env, argument[0]), F_DUPFD_CLOEXEC, 3));
}

FUNCTION(number_of)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    return value(env, owned->fd);
}

/* The number, which is the caller's from now on. */
FUNCTION(give)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    int fd = owned->fd;

    owned->fd = -1;
    return value(env, fd);
}

/* fs.closeSync() would warn in a worker, because fs did not open the descriptor. */
FUNCTION(close_owned)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    if (owned->fd >= 0)
        close(owned->fd);
    owned->fd = -1;
    return NULL;
}

/* O_RDONLY, O_WRONLY or O_RDWR */
FUNCTION(access_of)
{
    ARGUMENTS(1);
    int flags = fcntl(number(env, argument[0]), F_GETFL);

    return value(env, flags < 0 ? -errno : flags & O_ACCMODE);
}

/* Whether net.Server takes it: it loses the number of any other listening socket. */
FUNCTION(is_listening)
{
    ARGUMENTS(1);
    int fd = number(env, argument[0]), yes = 0, type = 0;
    socklen_t length = sizeof yes, type_length = sizeof type;
    struct sockaddr_storage address = {0};
    socklen_t address_length = sizeof address;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_length) < 0)
        return value(env, -errno);
    int family = address.ss_family;
    bool served = family == AF_UNIX || family == AF_INET || family == AF_INET6;
    return value(env, yes && type == SOCK_STREAM && served);
}

FUNCTION(make_pair)
{
    int fds[2];
    napi_value result;

    (void)info;
    if (fdpasser_socketpair(fds) < 0)
        return value(env, -errno);
    napi_create_array_with_length(env, 2, &result);
    for (uint32_t i = 0; i < 2; i++)
        napi_set_element(env, result, i, own(env, fds[i]));
    return result;
}

/* path, backlog, mode, exclusive, and a buffer for the node's identity */
FUNCTION(make_server)
{
    ARGUMENTS(5);
    fdpasser_node made;
    size_t length, room;
    char *path = bytes(env, argument[0], &length), *node = bytes(env, argument[4], &room);
    unsigned flags = is_true(env, argument[3]) ? FDPASSER_EXCLUSIVE : 0;
    int backlog = number(env, argument[1]), mode = number(env, argument[2]);
    int fd = fdpasser_server_with(path, length, backlog, mode, flags, &made);

    if (fd >= 0 && room == sizeof made)
        memcpy(node, &made, sizeof made);
    return own(env, fd);
}

FUNCTION(unlink_node)
{
    ARGUMENTS(2);
    fdpasser_node made;
    size_t length, room;
    char *path = bytes(env, argument[0], &length), *node = bytes(env, argument[1], &room);

    if (room != sizeof made)
        return value(env, -EINVAL);
    memcpy(&made, node, sizeof made);
    return value(env, negated(fdpasser_unlink(path, length, &made)));
}

FUNCTION(try_connect)
{
    ARGUMENTS(1);
    size_t length;
    char *path = bytes(env, argument[0], &length);

    return own(env, fdpasser_connect_timed(path, length, 0));
}
