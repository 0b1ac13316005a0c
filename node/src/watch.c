/* Passers and listeners in the event loop.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "addon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

/* A passer or a listener in the event loop, and the object of JavaScript that it belongs to. */
struct watch {
    struct thread *thread;
    napi_ref object; /* strong while somebody waits for something */
    bool strong;
    napi_async_cleanup_hook_handle hook;
    uv_poll_t poll;
    uv_timer_t timer;
    int polled;      /* what `poll` waits for */
    bool receiving;  /* somebody waits for a message or a connection */
    fdpasser *queue; /* NULL for a listener */
    int fd;          /* -1 when it is closed */
    int type;        /* SOCK_STREAM or another one */
    int handles;     /* of libuv, not yet closed */
    bool forgotten;  /* the object is gone */
};

static void set_strong(struct watch *watch, bool strong)
{
    if (strong == watch->strong || watch->thread->ends)
        return;
    watch->strong = strong;
    if (strong)
        napi_reference_ref(watch->thread->env, watch->object, NULL);
    else
        napi_reference_unref(watch->thread->env, watch->object, NULL);
}

static void free_watch(struct watch *watch)
{
    if (watch->handles > 0 || !watch->forgotten)
        return;
    leave(watch->thread);
    free(watch);
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;

    if (--watch->handles == 0 && watch->hook != NULL)
        napi_remove_async_cleanup_hook(watch->hook);
    free_watch(watch);
}

/* Closing the descriptor directly after uv_close() is right: uv_close() takes it out of epoll at once. */
static void close_watch(struct watch *watch)
{
    if (watch->fd < 0)
        return;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
    uv_close((uv_handle_t *)&watch->timer, on_closed);
    if (watch->queue != NULL)
        fdpasser_free(watch->queue);
    else
        close(watch->fd);
    watch->queue = NULL;
    watch->fd = -1;
    set_strong(watch, false);
}

static void forget_watch(napi_env env, void *data, void *hint)
{
    struct watch *watch = data;
    int fd = watch->fd;

    (void)hint;
    watch->strong = false;
    close_watch(watch);
    napi_delete_reference(env, watch->object);
    watch->forgotten = true;
    if (fd >= 0)
        say_unclosed(watch->thread, fd, true);
    free_watch(watch);
}

static void on_thread_end(napi_async_cleanup_hook_handle hook, void *data)
{
    (void)hook; /* on_closed() removes it */
    close_watch(data);
}

static void wake(struct watch *watch, int found)
{
    napi_env env = watch->thread->env;
    napi_handle_scope scope;
    napi_value object = NULL;

    if (napi_open_handle_scope(env, &scope) != napi_ok)
        return;
    napi_get_reference_value(env, watch->object, &object);
    if (object != NULL)
        call_back(watch->thread, watch->thread->ready, object, found);
    napi_close_handle_scope(env, scope);
}

static void on_ready(uv_poll_t *handle, int status, int events);

static void poll_for(struct watch *watch, int events)
{
    if (events == watch->polled)
        return;
    watch->polled = events;
    if (events != 0)
        uv_poll_start(&watch->poll, events, on_ready);
    else
        uv_poll_stop(&watch->poll);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    int found = 0;

    if (status < 0) {
        watch->polled = 0; /* libuv has stopped it */
        found = POLLERR;
    }
    if (events & UV_WRITABLE)
        found |= POLLOUT;
    if (events & UV_READABLE && watch->receiving)
        found |= POLLIN;
    else if (events & UV_READABLE) /* See arm(). Nothing is taken from the socket while nobody waits for it. */
        poll_for(watch, watch->polled & ~UV_READABLE);
    if (found != 0)
        wake(watch, found);
}

static void on_time(uv_timer_t *handle)
{
    wake(handle->data, 0);
}

/* Waits for at most `ms`, unless that is negative. If it `holds`, the process does not end meanwhile. */
static void wait_for(struct watch *watch, int events, int ms, bool holds)
{
    poll_for(watch, events);
    if (ms >= 0)
        uv_timer_start(&watch->timer, on_time, (uint64_t)ms, 0);
    else if (uv_is_active((uv_handle_t *)&watch->timer))
        uv_timer_stop(&watch->timer);
    (holds ? uv_ref : uv_unref)((uv_handle_t *)&watch->poll);
    (holds ? uv_ref : uv_unref)((uv_handle_t *)&watch->timer);
}

/* Waits for what a queue needs: the object, whether somebody waits for messages, whether that holds the process. */
FUNCTION(arm)
{
    ARGUMENTS(3);
    WATCH(argument[0]);
    bool receiving = is_true(env, argument[1]), sending = fdpasser_queued(watch->queue) > 0;
    int needed = fdpasser_events(watch->queue), ms = fdpasser_timeout_ms(watch->queue);
    int events = needed & POLLOUT ? UV_WRITABLE : 0;

    /* In a loop of receives the poll for reading would go and come each time. So it stays until it is in vain. */
    if (receiving ? needed & POLLIN : watch->polled & UV_READABLE)
        events |= UV_READABLE;
    watch->receiving = receiving;
    wait_for(watch, events, receiving || sending ? ms : -1, sending || (receiving && is_true(env, argument[2])));
    set_strong(watch, receiving || sending);
    return NULL;
}

/* Waits for a connection, or for `ms` if that is not negative: the object, ms, whether that holds the process. */
FUNCTION(arm_listener)
{
    ARGUMENTS(3);
    WATCH(argument[0]);
    int ms = number(env, argument[1]);

    watch->receiving = true;
    wait_for(watch, ms < 0 ? UV_READABLE : 0, ms, is_true(env, argument[2]));
    set_strong(watch, true);
    return NULL;
}

/* Takes over a descriptor: the object, the owner, and per_message, which is 0 for a listener. */
FUNCTION(make_watch)
{
    ARGUMENTS(3);
    struct thread *thread = thread_of(env);
    OWNED(argument[1]);
    int per_message = number(env, argument[2]), error;
    struct watch *watch = calloc(1, sizeof *watch);
    socklen_t length = sizeof watch->type;

    if (watch == NULL)
        return value(env, -ENOMEM);
    watch->thread = thread;
    watch->fd = owned->fd;
    watch->forgotten = true;
    watch->poll.data = watch->timer.data = watch;
    if ((error = uv_poll_init(thread->loop, &watch->poll, watch->fd)) != 0) {
        free(watch);
        return value(env, error);
    }
    uv_timer_init(thread->loop, &watch->timer);
    watch->handles = 2;
    thread->users++;
    if (per_message > 0 && (watch->queue = fdpasser_new(watch->fd)) == NULL) {
        error = -errno;
        uv_close((uv_handle_t *)&watch->poll, on_closed);
        uv_close((uv_handle_t *)&watch->timer, on_closed);
        return value(env, error);
    }
    if (per_message > 0) {
        fdpasser_set_per_message(watch->queue, (unsigned)per_message);
        fdpasser_want_data(watch->queue, 1);
        getsockopt(watch->fd, SOL_SOCKET, SO_TYPE, &watch->type, &length);
    }
    owned->fd = -1;
    napi_add_async_cleanup_hook(env, on_thread_end, watch, &watch->hook);
    if (napi_wrap(env, argument[0], watch, forget_watch, NULL, &watch->object) != napi_ok) {
        close_watch(watch);
        return value(env, -ENOMEM);
    }
    watch->forgotten = false;
    return value(env, 0);
}

FUNCTION(close_object)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    close_watch(watch);
    return NULL;
}

/* --- connections ---------------------------------------------------------------------------------- */

FUNCTION(accept_one)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return own(env, fdpasser_accept(watch->fd));
}

FUNCTION(peer_of)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    uid_t uid;
    gid_t gid;
    pid_t pid;
    napi_value result, part;

    if (fdpasser_peer_cred(watch->fd, &uid, &gid, &pid) < 0)
        return value(env, -errno);
    double parts[] = {uid, gid, pid};
    napi_create_array_with_length(env, 3, &result);
    for (uint32_t i = 0; i < 3; i++) {
        napi_create_double(env, parts[i], &part);
        napi_set_element(env, result, i, part);
    }
    return result;
}

/* --- the queue ---------------------------------------------------------------------------------- */

/* Queues a duplicate of a descriptor: the object, the number, the data. */
FUNCTION(push)
{
    ARGUMENTS(3);
    WATCH(argument[0]);
    size_t length;
    char *data = bytes(env, argument[2], &length);
    int fd = fcntl(number(env, argument[1]), F_DUPFD_CLOEXEC, 3), result;

    if (fd < 0)
        return value(env, -errno);
    result = negated(fdpasser_push_send_message(watch->queue, fd, data, length));
    if (result < 0)
        close(fd);
    return value(env, result);
}

FUNCTION(ask)
{
    ARGUMENTS(2);
    WATCH(argument[0]);
    return value(env, negated(fdpasser_push_recv(watch->queue, number(env, argument[1]))));
}

FUNCTION(queued)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return value(env, fdpasser_queued(watch->queue));
}

FUNCTION(drained)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return value(env, negated(fdpasser_drained(watch->queue)));
}

/* Takes what has come, and appends it to an array: owner, data, owner, data ... */
static void take(napi_env env, fdpasser *queue, napi_value into)
{
    char data[FDPASSER_MAX_DATA];
    size_t length;
    uint32_t at = 0;

    for (int fd; (fd = fdpasser_next_message(queue, data, sizeof data, &length)) >= 0; at += 2) {
        napi_value buffer = NULL;

        napi_set_element(env, into, at, own(env, fd));
        if (length > 0)
            napi_create_buffer_copy(env, length, data, NULL, &buffer);
        else
            napi_get_undefined(env, &buffer);
        napi_set_element(env, into, at + 1, buffer);
    }
}

/* Sends and receives: the object, what the poll found, an array for what has come. It returns 1 if the connection is
 * open, 0 at its end, or an errno: with REFUSED of one descriptor, with LOST of one message, negated of the connection.
 */
FUNCTION(process)
{
    ARGUMENTS(3);
    WATCH(argument[0]);
    int state = fdpasser_process(watch->queue, number(env, argument[1])), error = errno, refused;

    if (state < 0) {
        state = -error;
        if ((refused = fdpasser_refused(watch->queue)) >= 0) {
            close(refused);
            state = REFUSED + error;
        } else if (watch->type != SOCK_STREAM && (error == EBADMSG || error == EMSGSIZE)) {
            state = LOST + error;
        }
    }
    take(env, watch->queue, argument[2]);
    return value(env, state);
}
