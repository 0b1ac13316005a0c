/* What the files of the module share.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ADDON_H
#define ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <fdpasser.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

/* A thread of JavaScript: the main one or a worker. */
struct thread {
    napi_env env;
    uv_loop_t *loop;
    napi_async_context context;
    napi_ref ready, unclosed; /* functions */
    bool ends;
    int users; /* what has a pointer to it */
};

struct thread *thread_of(napi_env env);
void leave(struct thread *thread);
void call_back(struct thread *thread, napi_ref function, napi_value object, int argument);
void say_unclosed(struct thread *thread, int fd, bool is_passer);

/* A descriptor that an object of JavaScript owns. */
struct owned {
    struct thread *thread;
    int fd; /* -1 when it is closed or given away */
};

/* An owner for a descriptor. If fd is negative, the negated errno. */
napi_value own(napi_env env, int fd);

/* A function that JavaScript calls. */
#define FUNCTION(name) napi_value name(napi_env env, napi_callback_info info)
#define ARGUMENTS(count)        \
    napi_value argument[count]; \
    size_t arguments = count;   \
    napi_get_cb_info(env, info, &arguments, argument, NULL, NULL)

/* While a worker is terminated JavaScript still runs for a moment, but N-API fails. Then what is returned does not matter. */
#define OWNED(external)                                                     \
    struct owned *owned = NULL;                                             \
    if (napi_get_value_external(env, external, (void **)&owned) != napi_ok) \
        return NULL
#define WATCH(object)                                         \
    struct watch *watch = NULL;                               \
    if (napi_unwrap(env, object, (void **)&watch) != napi_ok) \
        return NULL

static inline int negated(int result)
{
    return result < 0 ? -errno : result;
}

static inline napi_value value(napi_env env, int number)
{
    napi_value result = NULL;

    napi_create_int32(env, number, &result);
    return result;
}

static inline int number(napi_env env, napi_value value)
{
    int32_t result = -1;

    napi_get_value_int32(env, value, &result);
    return result;
}

static inline bool is_true(napi_env env, napi_value value)
{
    bool result = false;

    napi_get_value_bool(env, value, &result);
    return result;
}

static inline char *bytes(napi_env env, napi_value value, size_t *length)
{
    void *data = NULL;

    *length = 0;
    napi_get_buffer_info(env, value, &data, length);
    return *length > 0 ? data : "";
}

/* process() adds one of these to an errno. */
enum { REFUSED = 0x10000, LOST = 0x20000 };

/* descriptor.c */
FUNCTION(own_number);
FUNCTION(duplicate);
FUNCTION(number_of);
FUNCTION(give);
FUNCTION(close_owned);
FUNCTION(access_of);
FUNCTION(is_listening);
FUNCTION(make_pair);
FUNCTION(make_server);
FUNCTION(unlink_node);
FUNCTION(try_connect);

/* watch.c */
FUNCTION(make_watch);
FUNCTION(close_object);
FUNCTION(arm);
FUNCTION(arm_listener);
FUNCTION(accept_one);
FUNCTION(peer_of);
FUNCTION(push);
FUNCTION(ask);
FUNCTION(queued);
FUNCTION(drained);
FUNCTION(process);

#endif
