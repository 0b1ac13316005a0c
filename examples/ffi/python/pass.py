#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Sends or receives numbered descriptors with data: Python's ctypes. asyncio waits.

Usage: pass.py send|recv COUNT PASSER

PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
the number and the data of each.

If the library is not installed, FDPASSER_LIBRARY says where it is:
    FDPASSER_LIBRARY=target/release/libfdpasser.so
"""
import asyncio
import collections
import ctypes
import errno
import os
import select
import sys
from ctypes import POINTER, c_char_p, c_int, c_size_t

# --- the library ---------------------------------------------------------------------------------

lib = ctypes.CDLL(os.environ.get("FDPASSER_LIBRARY", "libfdpasser.so.0.1"), use_errno=True)


class Object(ctypes.Structure):
    """An fdpasser. Only its address is known."""


for name, result, *arguments in [
    ("fdpasser_new", POINTER(Object), c_int),
    ("fdpasser_free", None, POINTER(Object)),
    ("fdpasser_fileno", c_int, POINTER(Object)),
    ("fdpasser_push_send_message", c_int, POINTER(Object), c_int, c_char_p, c_size_t),
    ("fdpasser_want_data", c_int, POINTER(Object), c_int),
    ("fdpasser_push_recv", c_int, POINTER(Object), c_int),
    ("fdpasser_events", c_int, POINTER(Object)),
    ("fdpasser_timeout_ms", c_int, POINTER(Object)),
    ("fdpasser_process", c_int, POINTER(Object), c_int),
    ("fdpasser_refused", c_int, POINTER(Object)),
    ("fdpasser_next_message", c_int, POINTER(Object), c_char_p, c_size_t, POINTER(c_size_t)),
    ("fdpasser_queued", c_int, POINTER(Object)),
]:
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments

MAX_DATA = 4096  # FDPASSER_MAX_DATA, the most bytes that go with a descriptor


def failure():
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


class Passer:
    """One end of a connection, on asyncio's running loop. Only that loop's thread may use it."""

    def __init__(self, fd):
        """Owns fd from now on."""
        self._object = lib.fdpasser_new(fd)
        if not self._object:
            raise failure()
        if lib.fdpasser_want_data(self._object, 1) < 0:
            error = failure()
            lib.fdpasser_free(self._object)
            raise error
        self._fd = lib.fdpasser_fileno(self._object)
        self._loop = asyncio.get_running_loop()
        self._timer = None
        self._worked = self._loop.create_future()
        self._received = collections.deque()
        self._ended = False
        self._error = None

    def close(self):
        """Also closes what is still queued and what was received but not taken."""
        self._watch(0, -1)
        lib.fdpasser_free(self._object)
        self._object = None
        while self._received:
            os.close(self._received.popleft()[0])
        self._tell(error=OSError(errno.EBADF, "the passer was closed"))

    def push_send(self, fd, data=b""):
        """Queues a descriptor and a copy of its data. The passer owns the descriptor from now on."""
        if lib.fdpasser_push_send_message(self._object, fd, data, len(data)) < 0:
            raise failure()
        self._arm()

    async def flush(self, left=0):
        """Waits until at most that many of the queued descriptors are left."""
        while lib.fdpasser_queued(self._object) > left:
            await self._progress()

    async def recv(self):
        """Returns the next descriptor, for the caller to close, and its data. After the peer's orderly shutdown there is
        None."""
        lib.fdpasser_push_recv(self._object, 1)
        self._arm()
        while not self._received:
            if self._ended:
                return None
            await self._progress()
        return self._received.popleft()

    async def _progress(self):
        if self._error:
            raise self._error
        await asyncio.shield(self._worked)

    def _work(self, revents):
        """The loop calls this when the socket is ready or the time is over."""
        state = lib.fdpasser_process(self._object, revents)
        error = failure() if state < 0 else None
        refused = lib.fdpasser_refused(self._object)
        if refused >= 0:
            os.close(refused)
        data, length = ctypes.create_string_buffer(MAX_DATA), c_size_t()
        while (fd := lib.fdpasser_next_message(self._object, data, MAX_DATA, length)) >= 0:
            self._received.append((fd, data[: length.value]))
        self._arm()
        self._tell(ended=state == 0, error=error)

    def _tell(self, ended=False, error=None):
        self._ended = ended
        self._error = self._error or error
        worked, self._worked = self._worked, self._loop.create_future()
        worked.set_result(None)

    def _arm(self):
        self._watch(lib.fdpasser_events(self._object), lib.fdpasser_timeout_ms(self._object))

    def _watch(self, events, timeout):
        if events & select.POLLIN:
            self._loop.add_reader(self._fd, self._work, select.POLLIN)
        else:
            self._loop.remove_reader(self._fd)
        if events & select.POLLOUT:
            self._loop.add_writer(self._fd, self._work, select.POLLOUT)
        else:
            self._loop.remove_writer(self._fd)
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(timeout / 1000, self._work, 0) if timeout >= 0 else None


# --- the program ---------------------------------------------------------------------------------


async def send(passer, count):
    for number in range(1, count + 1):
        reader, writer = os.pipe()
        os.write(writer, b"%d" % number)
        os.close(writer)
        line = sys.stdin.buffer.readline()  # the loop stands still meanwhile
        passer.push_send(reader, line.rstrip(b"\n"))
        await passer.flush(left=16)
    await passer.flush()


async def receive(passer, count):
    for number in range(1, count + 1):
        received = await passer.recv()
        if received is None:
            raise SystemExit(f"the end came before {number}")
        fd, data = received
        with open(fd) as file:
            text = file.read()
        if text != str(number):
            raise SystemExit(f"{text!r} came, not {number}")
        sys.stdout.buffer.write(b"%d: %s\n" % (number, data))
    if await passer.recv() is not None:
        raise SystemExit(f"more than {count} came")


async def main():
    try:
        role, count, fd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        go = {"send": send, "recv": receive}[role]
    except (IndexError, KeyError, ValueError):
        raise SystemExit("usage: pass.py send|recv COUNT PASSER") from None
    passer = Passer(fd)
    try:
        await go(passer, count)
    finally:
        passer.close()


asyncio.run(main())
