# SPDX-License-Identifier: MIT OR Apache-2.0
"""The C library: where it is, how its functions are declared, and how they are called."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import sys
import time
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_ulonglong, c_void_p
from pathlib import Path
from typing import Any, Optional

# The names that an installed library has for the loader. They change with the ABI.
SONAME = "libfdpasser.0.1.dylib" if sys.platform == "darwin" else "libfdpasser.so.0.1"

# A wheel brings the library under this name.
BUNDLED = "libfdpasser.dylib" if sys.platform == "darwin" else "libfdpasser.so"

MAX_PER_MESSAGE = 253
MAX_DATA = 4096
EXCLUSIVE = 1

_FOREVER = 1e12  # seconds
_LONGEST_MS = 0x7FFFFFFF  # of an int


class Object(ctypes.Structure):
    """A queue object. Only its address is known."""


class Node(ctypes.Structure):
    """Identifies a server's node (socket file)."""

    _fields_ = [("device", c_ulonglong), ("inode", c_ulonglong)]


Queue = POINTER(Object)
IntArray = POINTER(c_int)

# name: (what it returns, what it takes). tests/test_library.py compares this with the header.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "fdpasser_socketpair": (c_int, [IntArray]),
    "fdpasser_server_with": (c_int, [c_char_p, c_size_t, c_int, c_int, c_uint, POINTER(Node)]),
    "fdpasser_unlink": (c_int, [c_char_p, c_size_t, POINTER(Node)]),
    "fdpasser_accept": (c_int, [c_int]),
    "fdpasser_accept_timed": (c_int, [c_int, c_int]),
    "fdpasser_connect_n": (c_int, [c_char_p, c_size_t]),
    "fdpasser_connect_timed": (c_int, [c_char_p, c_size_t, c_int]),
    "fdpasser_peer_cred": (c_int, [c_int, POINTER(c_uint), POINTER(c_uint), POINTER(c_int)]),
    "fdpasser_send_fd": (c_int, [c_int, c_int]),
    "fdpasser_send_fd_timed": (c_int, [c_int, c_int, c_int]),
    "fdpasser_recv_fd": (c_int, [c_int]),
    "fdpasser_recv_fd_timed": (c_int, [c_int, c_int]),
    "fdpasser_send_fds": (c_ssize_t, [c_int, IntArray, c_size_t, c_uint]),
    "fdpasser_try_send_fds": (c_ssize_t, [c_int, IntArray, c_size_t, c_uint]),
    "fdpasser_send_message": (c_ssize_t, [c_int, IntArray, c_size_t, c_char_p, c_size_t]),
    "fdpasser_try_send_message": (c_ssize_t, [c_int, IntArray, c_size_t, c_char_p, c_size_t]),
    "fdpasser_recv_message": (c_ssize_t, [c_int, IntArray, c_size_t, c_char_p, c_size_t, POINTER(c_size_t)]),
    "fdpasser_try_recv_message": (c_ssize_t, [c_int, IntArray, c_size_t, c_char_p, c_size_t, POINTER(c_size_t)]),
    "fdpasser_recv_fds": (c_ssize_t, [c_int, IntArray, c_size_t]),
    "fdpasser_try_recv_fds": (c_ssize_t, [c_int, IntArray, c_size_t]),
    "fdpasser_retry_ms": (c_int, [c_int]),
    "fdpasser_new": (Queue, [c_int]),
    "fdpasser_free": (None, [Queue]),
    "fdpasser_fileno": (c_int, [Queue]),
    "fdpasser_set_per_message": (c_int, [Queue, c_uint]),
    "fdpasser_push_send_message": (c_int, [Queue, c_int, c_char_p, c_size_t]),
    "fdpasser_want_data": (c_int, [Queue, c_int]),
    "fdpasser_push_recv": (c_int, [Queue, c_int]),
    "fdpasser_events": (c_int, [Queue]),
    "fdpasser_timeout_ms": (c_int, [Queue]),
    "fdpasser_process": (c_int, [Queue, c_int]),
    "fdpasser_refused": (c_int, [Queue]),
    "fdpasser_next_message": (c_int, [Queue, c_char_p, c_size_t, POINTER(c_size_t)]),
    "fdpasser_queued": (c_int, [Queue]),
    "fdpasser_drained": (c_int, [Queue]),
    "fdpasser_mode": (c_int, []),
}


def find() -> str:
    """Return what to load: the file that FDPASSER_LIB names, the one in this package, or an installed library."""
    named = os.environ.get("FDPASSER_LIB")
    if named:
        return SONAME if named == "installed" else named
    bundled = Path(__file__).with_name(BUNDLED)
    return str(bundled) if bundled.exists() else SONAME


def load() -> ctypes.CDLL:
    """Load the library and declare its functions. ctypes releases the GIL while one of them runs."""
    path = find()
    try:
        library = ctypes.CDLL(path, use_errno=True)
    except OSError as error:
        raise ImportError(f"cannot load libfdpasser: {error}. FDPASSER_LIB can name its file") from error
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            raise ImportError(f"{path} has no function {name}: it is another version of libfdpasser")
        function.restype, function.argtypes = result, arguments
    return library


lib = load()


def failure(path: Optional[bytes] = None) -> OSError:
    """Return the exception for the errno of the last call."""
    number = ctypes.get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(path))


def call(function: Any, *arguments: Any, path: Optional[bytes] = None) -> int:
    """Call a function of the library, and raise OSError if it returns -1.

    A signal ends the call with EINTR. Python runs its handlers before the call is made again; if one of them raises,
    the call is not made again.
    """
    while True:
        result: int = function(*arguments)
        if result >= 0:
            return result
        if ctypes.get_errno() != errno.EINTR:
            raise failure(path)


def call_timed(function: Any, *arguments: Any, timeout: float, path: Optional[bytes] = None) -> int:
    """Call a function whose last parameter is a time in milliseconds. Signals do not make it wait any longer.

    An infinite timeout is for ever. A time that the parameter cannot hold is waited for in parts.
    """
    if not timeout >= 0:
        raise ValueError(f"a timeout must be a number from 0 up, not {timeout}")
    deadline = time.monotonic() + min(timeout, _FOREVER)
    while True:
        left = max(0, math.ceil((deadline - time.monotonic()) * 1000))
        result: int = function(*arguments, min(left, _LONGEST_MS))
        if result >= 0:
            return result
        error = ctypes.get_errno()
        if error != errno.EINTR and not (error == errno.ETIMEDOUT and left > _LONGEST_MS):
            raise failure(path)
