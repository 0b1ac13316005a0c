#!/usr/bin/env python3
"""Sends or receives numbered descriptors: Python's ctypes. asyncio waits.

Usage: pass.py send|recv COUNT PASSER

PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
contents are "1", "2", and so on. The receiver checks that it gets these, in order, and nothing after them.

If the library is not installed, FDPASSER_LIBRARY says where it is:
    FDPASSER_LIBRARY=target/release/libfdpasser.so
"""
# SPDX-License-Identifier: MIT OR Apache-2.0
import asyncio
import collections
import ctypes
import errno
import os
import select
import sys
from ctypes import POINTER, c_int

# --- the library ---------------------------------------------------------------------------------

lib = ctypes.CDLL(os.environ.get("FDPASSER_LIBRARY", "libfdpasser.so.0.1"), use_errno=True)


class Object(ctypes.Structure):
    """An fdpasser. Only its address is known."""


for name, result, *arguments in [
    ("fdpasser_new", POINTER(Object), c_int),
    ("fdpasser_free", None, POINTER(Object)),
    ("fdpasser_fileno", c_int, POINTER(Object)),
    ("fdpasser_push_send_fd", c_int, POINTER(Object), c_int),
    ("fdpasser_push_recv", c_int, POINTER(Object), c_int),
    ("fdpasser_events", c_int, POINTER(Object)),
    ("fdpasser_timeout_ms", c_int, POINTER(Object)),
    ("fdpasser_process", c_int, POINTER(Object), c_int),
    ("fdpasser_refused", c_int, POINTER(Object)),
    ("fdpasser_next_fd", c_int, POINTER(Object)),
    ("fdpasser_queued", c_int, POINTER(Object)),
]:
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


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
            os.close(self._received.popleft())
        self._tell(error=OSError(errno.EBADF, "the passer was closed"))

    def push_send(self, fd):
        """Queues a descriptor. The passer owns it from now on."""
        if lib.fdpasser_push_send_fd(self._object, fd) < 0:
            raise failure()
        self._arm()

    async def flush(self, left=0):
        """Waits until at most that many of the queued descriptors are left."""
        while lib.fdpasser_queued(self._object) > left:
            await self._progress()

    async def recv(self):
        """Returns the next descriptor, for the caller to close, or None after the peer's orderly shutdown."""
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
        while (fd := lib.fdpasser_next_fd(self._object)) >= 0:
            self._received.append(fd)
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
        passer.push_send(reader)
        await passer.flush(left=16)
    await passer.flush()


async def receive(passer, count):
    for number in range(1, count + 1):
        fd = await passer.recv()
        if fd is None:
            raise SystemExit(f"the end came before {number}")
        with open(fd) as file:
            text = file.read()
        if text != str(number):
            raise SystemExit(f"{text!r} came, not {number}")
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
