/* The N-API module: queue objects of libfdpasser in Node's event loop.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * It does what JavaScript cannot do, and nothing else. lib/ calls it with arguments that are right, and makes errors of
 * the numbers that it returns: a negative one is a negated errno, as everywhere in Node.
 *
 * A thread of JavaScript (the main one or a worker) has a `struct thread`. Nothing is shared between threads. All that is
 * open when a thread ends is closed: a worker may end while its process goes on.
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <fcntl.h>
#include <fdpasser.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* process() adds one of these to an errno. */
enum { REFUSED = 0x10000, LOST = 0x20000 };

struct thread {
    napi_env env;
    uv_loop_t *loop;
    napi_async_context context;
    napi_ref ready, unclosed; /* functions */
    bool ends;
    int users; /* what has a pointer to it */
};

/* A descriptor that an object of JavaScript owns. */
struct owned {
    struct thread *thread;
    int fd; /* -1 when it is closed or given away */
};

/* A passer or a listener in the event loop, and the object of JavaScript that it belongs to. */
struct watch {
    struct thread *thread;
    napi_ref object; /* strong while somebody waits for something */
    bool strong;
    napi_async_cleanup_hook_handle hook;
    uv_poll_t poll;
    uv_timer_t timer;
    int polled;     /* what `poll` waits for */
    bool receiving; /* somebody waits for a message */
    fdpasser *queue; /* NULL for a listener */
    int fd;         /* -1 when it is closed */
    int type;       /* SOCK_STREAM or another one */
    int handles;    /* of libuv, not yet closed */
    bool forgotten; /* the object is gone */
};

/* --- numbers and values ------------------------------------------------------------------------- */

#define ARGUMENTS(count)                  \
    napi_value argument[count];           \
    size_t arguments = count;             \
    napi_get_cb_info(env, info, &arguments, argument, NULL, NULL)

static int negated(int result)
{
    return result < 0 ? -errno : result;
}

static napi_value value(napi_env env, int number)
{
    napi_value result = NULL;

    napi_create_int32(env, number, &result);
    return result;
}

static int number(napi_env env, napi_value value)
{
    int32_t result = -1;

    napi_get_value_int32(env, value, &result);
    return result;
}

static bool is_true(napi_env env, napi_value value)
{
    bool result = false;

    napi_get_value_bool(env, value, &result);
    return result;
}

static char *bytes(napi_env env, napi_value value, size_t *length)
{
    void *data = NULL;

    *length = 0;
    napi_get_buffer_info(env, value, &data, length);
    return *length > 0 ? data : "";
}

/* While a worker is terminated JavaScript still runs for a moment, but N-API fails. Then what is returned does not matter. */
#define WATCH(object)                                      \
    struct watch *watch = NULL;                            \
    if (napi_unwrap(env, object, (void **)&watch) != napi_ok) \
        return NULL

#define OWNED(external)                                                    \
    struct owned *owned = NULL;                                            \
    if (napi_get_value_external(env, external, (void **)&owned) != napi_ok) \
        return NULL

/* --- threads ------------------------------------------------------------------------------------ */

static struct thread *thread_of(napi_env env)
{
    void *result = NULL;

    napi_get_instance_data(env, &result);
    return result;
}

static void leave(struct thread *thread)
{
    if (--thread->users == 0)
        free(thread);
}

static void thread_ends(void *thread)
{
    ((struct thread *)thread)->ends = true;
}

static void forget_thread(napi_env env, void *thread, void *hint)
{
    (void)env, (void)hint;
    leave(thread);
}

/* Calls a function from the event loop. An exception in it is one of the event loop. */
static void call(struct thread *thread, napi_ref function, napi_value object, int argument)
{
    napi_env env = thread->env;
    napi_value called, error, arguments[2] = {object, value(env, argument)};
    bool failed = false;

    if (object == NULL)
        napi_get_undefined(env, &arguments[0]);
    napi_get_reference_value(env, function, &called);
    napi_value global;
    napi_get_global(env, &global);
    napi_make_callback(env, thread->context, global, called, 2, arguments, NULL);
    if (napi_is_exception_pending(env, &failed) == napi_ok && failed &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

/* An object was collected, and a descriptor was open in it. */
static void say_unclosed(struct thread *thread, int fd, bool is_passer)
{
    napi_handle_scope scope;
    napi_value kind = NULL;

    if (thread->ends || napi_open_handle_scope(thread->env, &scope) != napi_ok)
        return;
    if (is_passer)
        napi_get_boolean(thread->env, true, &kind);
    call(thread, thread->unclosed, kind, fd);
    napi_close_handle_scope(thread->env, scope);
}

/* --- descriptors -------------------------------------------------------------------------------- */

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

/* An owner for a descriptor, or the error if fd is negative. */
static napi_value own(napi_env env, int fd)
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

static napi_value own_number(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    int fd = number(env, argument[0]);

    return own(env, fcntl(fd, F_GETFD) < 0 ? -1 : fd);
}

static napi_value duplicate(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    return own(env, fcntl(number(env, argument[0]), F_DUPFD_CLOEXEC, 3));
}

static napi_value number_of(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    return value(env, owned->fd);
}

/* The number, which is the caller's from now on. */
static napi_value give(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    int fd = owned->fd;

    owned->fd = -1;
    return value(env, fd);
}

/* fs.closeSync() would warn in a worker, because fs did not open the descriptor. */
static napi_value close_owned(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    OWNED(argument[0]);
    if (owned->fd >= 0)
        close(owned->fd);
    owned->fd = -1;
    return NULL;
}

/* O_RDONLY, O_WRONLY or O_RDWR */
static napi_value access_of(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    int flags = fcntl(number(env, argument[0]), F_GETFL);

    return value(env, flags < 0 ? -errno : flags & O_ACCMODE);
}

static napi_value is_listening(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    int yes = 0;
    socklen_t length = sizeof yes;
    int result = getsockopt(number(env, argument[0]), SOL_SOCKET, SO_ACCEPTCONN, &yes, &length);

    return value(env, result < 0 ? -errno : yes);
}

/* --- connections -------------------------------------------------------------------------------- */

static napi_value make_pair(napi_env env, napi_callback_info info)
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
static napi_value make_server(napi_env env, napi_callback_info info)
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

static napi_value unlink_node(napi_env env, napi_callback_info info)
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

static napi_value accept_one(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return own(env, fdpasser_accept(watch->fd));
}

static napi_value try_connect(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    size_t length;
    char *path = bytes(env, argument[0], &length);

    return own(env, fdpasser_connect_timed(path, length, 0));
}

/* --- the event loop ----------------------------------------------------------------------------- */

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
        call(watch->thread, watch->thread->ready, object, found);
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
    int found = (events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0);

    if (status < 0) {
        watch->polled = 0; /* libuv has stopped it */
        found = POLLERR;
    } else if (events == UV_READABLE && !watch->receiving) {
        /* See arm(). Nothing is taken from the socket while nobody waits for it. */
        poll_for(watch, watch->polled & ~UV_READABLE);
        return;
    }
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
static napi_value arm(napi_env env, napi_callback_info info)
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
static napi_value arm_listener(napi_env env, napi_callback_info info)
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
static napi_value make_watch(napi_env env, napi_callback_info info)
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

static napi_value close_object(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    close_watch(watch);
    return NULL;
}

static napi_value fileno_of(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return value(env, watch->fd);
}

static napi_value peer_of(napi_env env, napi_callback_info info)
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
static napi_value push(napi_env env, napi_callback_info info)
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

static napi_value ask(napi_env env, napi_callback_info info)
{
    ARGUMENTS(2);
    WATCH(argument[0]);
    return value(env, negated(fdpasser_push_recv(watch->queue, number(env, argument[1]))));
}

static napi_value queued(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    WATCH(argument[0]);
    return value(env, fdpasser_queued(watch->queue));
}

static napi_value drained(napi_env env, napi_callback_info info)
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
static napi_value process(napi_env env, napi_callback_info info)
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

/* --- the module --------------------------------------------------------------------------------- */

static napi_value retry_ms(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    return value(env, fdpasser_retry_ms(number(env, argument[0])));
}

static napi_value text_of(napi_env env, napi_callback_info info)
{
    ARGUMENTS(1);
    napi_value result = NULL;

    napi_create_string_utf8(env, strerror(number(env, argument[0])), NAPI_AUTO_LENGTH, &result);
    return result;
}

/* Two functions: one for an object that is ready, and one for a descriptor that was not closed. */
static napi_value start(napi_env env, napi_callback_info info)
{
    ARGUMENTS(2);
    struct thread *thread = thread_of(env);

    napi_create_reference(env, argument[0], 1, &thread->ready);
    napi_create_reference(env, argument[1], 1, &thread->unclosed);
    return NULL;
}

#define FUNCTION(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}
#define NUMBER(name, number) {name, NULL, NULL, NULL, NULL, value(env, number), napi_enumerable, NULL}

NAPI_MODULE_INIT()
{
    napi_property_descriptor properties[] = {
        FUNCTION("accept", accept_one), FUNCTION("access", access_of), FUNCTION("arm", arm), FUNCTION("armListener", arm_listener),
        FUNCTION("ask", ask), FUNCTION("close", close_object), FUNCTION("closeOwned", close_owned),
        FUNCTION("connect", try_connect),
        FUNCTION("drained", drained), FUNCTION("duplicate", duplicate), FUNCTION("fileno", fileno_of), FUNCTION("give", give), FUNCTION("isListening", is_listening),
        FUNCTION("numberOf", number_of), FUNCTION("own", own_number), FUNCTION("pair", make_pair),
        FUNCTION("peer", peer_of), FUNCTION("process", process), FUNCTION("push", push),
        FUNCTION("queued", queued), FUNCTION("retryMs", retry_ms), FUNCTION("server", make_server),
        FUNCTION("start", start), FUNCTION("text", text_of), FUNCTION("unlink", unlink_node),
        FUNCTION("watch", make_watch),
        NUMBER("POLLOUT", POLLOUT), NUMBER("REFUSED", REFUSED), NUMBER("LOST", LOST),
        NUMBER("NODE_SIZE", sizeof(fdpasser_node)),
        /* Names that Node does not know. */
        NUMBER("ETOOMANYREFS", ETOOMANYREFS), NUMBER("ENOTRECOVERABLE", ENOTRECOVERABLE),
    };
    struct thread *thread = calloc(1, sizeof *thread);
    napi_value name;

    if (thread == NULL) {
        napi_throw_error(env, NULL, "out of memory");
        return NULL;
    }
    thread->env = env;
    thread->users = 1;
    napi_get_uv_event_loop(env, &thread->loop);
    napi_create_string_utf8(env, "fdpasser", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, NULL, name, &thread->context);
    napi_set_instance_data(env, thread, forget_thread, NULL);
    napi_add_env_cleanup_hook(env, thread_ends, thread);
    napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
    return exports;
}
