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
#include "addon.h"

#include <poll.h>

/* What the library says of descriptors that the kernel destroyed. */
#ifdef __NetBSD__
#define DESTROYED ENOLINK
#else
#define DESTROYED ENOTRECOVERABLE
#endif

struct thread *thread_of(napi_env env)
{
    void *result = NULL;

    napi_get_instance_data(env, &result);
    return result;
}

void leave(struct thread *thread)
{
    if (--thread->users == 0)
        free(thread);
}

/* It runs after everything in the event loop was closed. */
static void thread_ends(void *data)
{
    struct thread *thread = data;

    thread->ends = true;
    napi_async_destroy(thread->env, thread->context);
}

static void forget_thread(napi_env env, void *thread, void *hint)
{
    (void)env, (void)hint;
    leave(thread);
}

/* Calls a function from the event loop. An exception in it is one of the event loop. */
void call_back(struct thread *thread, napi_ref function, napi_value object, int argument)
{
    napi_env env = thread->env;
    napi_value global, called, error, arguments[2] = {object, value(env, argument)};
    bool failed = false;

    napi_get_global(env, &global);
    napi_get_reference_value(env, function, &called);
    napi_make_callback(env, thread->context, global, called, 2, arguments, NULL);
    if (napi_is_exception_pending(env, &failed) == napi_ok && failed &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

/* An object was collected, and a descriptor was open in it. */
void say_unclosed(struct thread *thread, int fd, bool is_passer)
{
    napi_handle_scope scope;
    napi_value kind = NULL;

    if (thread->ends || napi_open_handle_scope(thread->env, &scope) != napi_ok)
        return;
    napi_get_boolean(thread->env, is_passer, &kind);
    call_back(thread, thread->unclosed, kind, fd);
    napi_close_handle_scope(thread->env, scope);
}

/* --- the module ---------------------------------------------------------------------------------- */

static FUNCTION(retry_ms)
{
    ARGUMENTS(1);
    return value(env, fdpasser_retry_ms(number(env, argument[0])));
}

/* Two functions: one for an object that is ready, and one for a descriptor that was not closed. */
static FUNCTION(start)
{
    ARGUMENTS(2);
    struct thread *thread = thread_of(env);

    napi_create_reference(env, argument[0], 1, &thread->ready);
    napi_create_reference(env, argument[1], 1, &thread->unclosed);
    return NULL;
}

#define CALLED(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}
#define NUMBER(name, number) {name, NULL, NULL, NULL, NULL, value(env, number), napi_enumerable, NULL}

NAPI_MODULE_INIT()
{
    napi_property_descriptor properties[] = {
        CALLED("accept", accept_one), CALLED("access", access_of), CALLED("arm", arm),
        CALLED("armListener", arm_listener), CALLED("ask", ask), CALLED("close", close_object),
        CALLED("closeOwned", close_owned), CALLED("connect", try_connect), CALLED("drained", drained),
        CALLED("duplicate", duplicate), CALLED("give", give), CALLED("isListening", is_listening),
        CALLED("numberOf", number_of), CALLED("own", own_number), CALLED("pair", make_pair), CALLED("peer", peer_of),
        CALLED("process", process), CALLED("push", push), CALLED("queued", queued), CALLED("retryMs", retry_ms),
        CALLED("server", make_server), CALLED("start", start), CALLED("unlink", unlink_node), CALLED("watch", make_watch),
        NUMBER("POLLOUT", POLLOUT), NUMBER("REFUSED", REFUSED), NUMBER("LOST", LOST),
        NUMBER("NODE_SIZE", sizeof(fdpasser_node)),
        /* Names that Node does not know. */
        NUMBER("ETOOMANYREFS", ETOOMANYREFS), NUMBER("DESTROYED", DESTROYED),
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
