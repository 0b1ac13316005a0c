/* A plain addon for Node: sendmsg and recvmsg, one call for each descriptor, which may wait.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
} control;

static char byte;
static struct iovec iov = {&byte, 1};
static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

static napi_value value(napi_env env, int number)
{
    napi_value result = NULL;

    napi_create_int32(env, number, &result);
    return result;
}

/* passer, descriptor */
static napi_value send_one(napi_env env, napi_callback_info info)
{
    napi_value argument[2];
    size_t count = 2;
    int number[2];

    napi_get_cb_info(env, info, &count, argument, NULL, NULL);
    for (int i = 0; i < 2; i++)
        napi_get_value_int32(env, argument[i], &number[i]);
    msg.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &number[1], sizeof(int));
    return value(env, (int)sendmsg(number[0], &msg, MSG_NOSIGNAL));
}

/* passer */
static napi_value recv_one(napi_env env, napi_callback_info info)
{
    napi_value argument;
    size_t count = 1;
    int passer;

    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    napi_get_value_int32(env, argument, &passer);
    msg.msg_controllen = sizeof control.bytes;
    if (recvmsg(passer, &msg, MSG_CMSG_CLOEXEC) != 1)
        return value(env, -1);
    return value(env, *(int *)CMSG_DATA(&control.header));
}

NAPI_MODULE_INIT()
{
    napi_property_descriptor properties[] = {
        {"send", NULL, send_one, NULL, NULL, NULL, napi_default, NULL},
        {"recv", NULL, recv_one, NULL, NULL, NULL, napi_default, NULL},
    };

    napi_define_properties(env, exports, 2, properties);
    return exports;
}
