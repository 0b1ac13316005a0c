/* libuv: uv_write2() over an IPC pipe, and uv_accept() at the other end. A message has one descriptor,
 * which is a pipe or a socket.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <uv.h>

#include "peer.h"

#define IN_FLIGHT 64 /* writes that are queued at a time */

static uv_pipe_t ipc, payload;
static uv_write_t writes[IN_FLIGHT];
static long left;

static void check(int status, const char *what)
{
    if (status < 0)
        errx(1, "%s: %s", what, uv_strerror(status));
}

static void prepare(void)
{
    left = n;
    check(uv_pipe_init(uv_default_loop(), &ipc, 1), "uv_pipe_init");
    check(uv_pipe_open(&ipc, PASSER), "uv_pipe_open");
    check(uv_pipe_init(uv_default_loop(), &payload, 0), "uv_pipe_init");
    check(uv_pipe_open(&payload, fds[0]), "uv_pipe_open");
}

static void on_written(uv_write_t *write, int status);

static void write_one(uv_write_t *write)
{
    static char byte;
    uv_buf_t buf = uv_buf_init(&byte, 1);

    left--;
    check(uv_write2(write, (uv_stream_t *)&ipc, &buf, 1, (uv_stream_t *)&payload, on_written),
          "uv_write2");
}

static void on_written(uv_write_t *write, int status)
{
    check(status, "write");
    if (left > 0)
        write_one(write);
}

static void send_all(void)
{
    for (int i = 0; i < IN_FLIGHT && left > 0; i++)
        write_one(&writes[i]);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char room[65536];

    (void)handle, (void)size;
    *buf = uv_buf_init(room, sizeof room);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    check((int)count, "read");
    while (uv_pipe_pending_count((uv_pipe_t *)stream) > 0) {
        uv_pipe_t *got = malloc(sizeof *got);

        if (got == NULL)
            err(1, "malloc");
        check(uv_pipe_init(uv_default_loop(), got, 0), "uv_pipe_init");
        check(uv_accept(stream, (uv_stream_t *)got), "uv_accept");
        uv_close((uv_handle_t *)got, on_closed);
        if (--left == 0)
            uv_read_stop(stream);
    }
}

static void recv_all(void)
{
    check(uv_read_start((uv_stream_t *)&ipc, on_alloc, on_read), "uv_read_start");
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

const struct role roles[] = {
    {"send", prepare, send_all},
    {"recv", prepare, recv_all},
    {NULL, NULL, NULL},
};
