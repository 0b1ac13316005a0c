# SPDX-License-Identifier: MIT OR Apache-2.0
"""The calls that wait, one for each descriptor or message.

Each is the C function of a similar name, and the errno of its OSError is what that function's manual page says.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Optional, Union

from ._descriptor import Data, Descriptor, FileDescriptorLike, bytes_of, number_of
from ._library import EXCLUSIVE, MAX_DATA, MAX_PER_MESSAGE, Node, call, call_timed, lib

StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Peer(NamedTuple):
    """Who is at the other end of a connection."""

    uid: int
    gid: int
    pid: Optional[int]
    """None where the system does not tell."""


class Message(NamedTuple):
    """A message: its descriptors in order, and its data."""

    descriptors: list[Descriptor]
    data: bytes


class StrayBytes(OSError):
    """Bytes came without a descriptor (EBADMSG)."""

    data: bytes
    """The bytes. If they belong to a message whose descriptors are still to come, put them in front of its data."""


# --- connections ------------------------------------------------------------------------------------


class Listener(Descriptor):
    """A server's listening descriptor, and its node (socket file).

    At the end of a ``with`` block it removes the node and closes the descriptor. A forked child only closes.
    """

    __slots__ = ("_path", "_node", "_pid")

    def __init__(self, fd: int, path: bytes, node: Node) -> None:
        """Own a listener that fdpasser_server_with() made."""
        super().__init__(fd)
        self._path, self._node, self._pid = path, node, os.getpid()

    def unlink(self) -> bool:
        """Remove the node. Return whether it was there, and not another server's by now."""
        self.fileno()  # after a close another node may have the same identity
        if self._path.startswith(b"\0"):
            return False
        unlinked = call(lib.fdpasser_unlink, self._path, len(self._path), ctypes.byref(self._node), path=self._path)
        return unlinked == 1

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            if not self.closed and self._pid == os.getpid():
                self.unlink()
        finally:
            self.close()


def socketpair() -> tuple[Descriptor, Descriptor]:
    """Make a connected pair of passers, one for each side of a fork or for two threads."""
    fds = (ctypes.c_int * 2)()
    call(lib.fdpasser_socketpair, fds)
    return Descriptor(fds[0]), Descriptor(fds[1])


def server(path: StrPath, *, backlog: int = 0, mode: Optional[int] = None, exclusive: bool = False) -> Listener:
    """Make a listener at a path, in place of a socket that is there already.

    ``mode`` is that of the node, up to 0o777, whatever the umask says. With ``exclusive`` a server that is live is not
    replaced, but an OSError (EADDRINUSE). A path that begins with NUL is a Linux abstract address.
    """
    where, node = os.fsencode(path), Node()
    fd = call(
        lib.fdpasser_server_with,
        where,
        len(where),
        backlog,
        -1 if mode is None else mode,
        EXCLUSIVE if exclusive else 0,
        ctypes.byref(node),
        path=where,
    )
    return Listener(fd, where, node)


def accept(listener: FileDescriptorLike, *, timeout: Optional[float] = None) -> Descriptor:
    """Take the next connection from a listener.

    With a timeout, in seconds, it raises TimeoutError when that is over, and leaves the listener in non-blocking mode.
    """
    if timeout is None:
        return Descriptor(call(lib.fdpasser_accept, number_of(listener)))
    return Descriptor(call_timed(lib.fdpasser_accept_timed, number_of(listener), timeout=timeout))


def connect(path: StrPath, *, timeout: Optional[float] = None) -> Descriptor:
    """Connect to the server at a path.

    With a timeout, in seconds, it raises TimeoutError if the server's backlog is full for as long as that.
    """
    where = os.fsencode(path)
    if timeout is None:
        return Descriptor(call(lib.fdpasser_connect_n, where, len(where), path=where))
    return Descriptor(call_timed(lib.fdpasser_connect_timed, where, len(where), timeout=timeout, path=where))


def peer_cred(passer: FileDescriptorLike) -> Peer:
    """Tell which user, group and process are at the other end of a connection.

    They are those of the moment when the connection was made. Grant access by the user and not by the process, and
    refuse the overflow user, usually 65534.
    """
    uid, gid, pid = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_int()
    call(lib.fdpasser_peer_cred, number_of(passer), ctypes.byref(uid), ctypes.byref(gid), ctypes.byref(pid))
    return Peer(uid.value, gid.value, pid.value if pid.value >= 0 else None)


# --- sending ----------------------------------------------------------------------------------------


def send_fd(passer: FileDescriptorLike, fd: FileDescriptorLike, *, timeout: Optional[float] = None) -> None:
    """Send one descriptor. The caller keeps it, and may close it as soon as this returns.

    With a timeout, in seconds, it raises TimeoutError when that is over.
    """
    if timeout is None:
        call(lib.fdpasser_send_fd, number_of(passer), number_of(fd))
    else:
        call_timed(lib.fdpasser_send_fd_timed, number_of(passer), number_of(fd), timeout=timeout)


def send_fds(passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], *, per_message: int = 1) -> int:
    """Send descriptors in order, so many in each message. The caller keeps them.

    Return how many were sent. They are fewer than ``fds`` if an error came after the first message. If that error
    lasts, the next call raises it.
    """
    return _send_fds(lib.fdpasser_send_fds, passer, fds, per_message)


def try_send_fds(passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], *, per_message: int = 1) -> int:
    """Do what send_fds() does, but raise BlockingIOError instead of waiting."""
    return _send_fds(lib.fdpasser_try_send_fds, passer, fds, per_message)


def send_message(passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], data: Data = b"") -> None:
    """Send one message: up to 4096 bytes of data, with 1 to 253 descriptors. The caller keeps them.

    Data is for a peer that is known to read it. Without data the message is the one that send_fd() sends.
    """
    _send_message(lib.fdpasser_send_message, passer, fds, data)


def try_send_message(passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], data: Data = b"") -> None:
    """Do what send_message() does, but raise BlockingIOError instead of waiting."""
    _send_message(lib.fdpasser_try_send_message, passer, fds, data)


def _send_fds(function: Any, passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], per_message: int) -> int:
    if per_message < 0:
        raise ValueError("per_message must not be negative")
    numbers = _array(fds)
    return call(function, number_of(passer), numbers, len(numbers), per_message)


def _send_message(function: Any, passer: FileDescriptorLike, fds: Sequence[FileDescriptorLike], data: Data) -> None:
    numbers, text = _array(fds), bytes_of(data)
    call(function, number_of(passer), numbers, len(numbers), text, len(text))


def _array(fds: Sequence[FileDescriptorLike]) -> ctypes.Array[ctypes.c_int]:
    return (ctypes.c_int * len(fds))(*map(number_of, fds))


# --- receiving --------------------------------------------------------------------------------------


def recv_fd(passer: FileDescriptorLike, *, timeout: Optional[float] = None) -> Descriptor:
    """Receive one descriptor, which the object that is returned owns. Data that comes with it is dropped.

    It raises EOFError if the peer has shut down in good order. With a timeout, in seconds, it raises TimeoutError when
    that is over.
    """
    if timeout is None:
        fd = call(lib.fdpasser_recv_fd, number_of(passer))
    else:
        fd = call_timed(lib.fdpasser_recv_fd_timed, number_of(passer), timeout=timeout)
    return Descriptor(_not_the_end(fd))


def recv_fds(passer: FileDescriptorLike, most: int = MAX_PER_MESSAGE) -> list[Descriptor]:
    """Receive all descriptors of the next message, in order. Data that comes with them is dropped.

    If the message has more than ``most`` descriptors they are closed, and it raises OSError (EMSGSIZE). It raises
    EOFError if the peer has shut down in good order.
    """
    return _recv_fds(lib.fdpasser_recv_fds, passer, most)


def try_recv_fds(passer: FileDescriptorLike, most: int = MAX_PER_MESSAGE) -> list[Descriptor]:
    """Do what recv_fds() does, but raise BlockingIOError instead of waiting."""
    return _recv_fds(lib.fdpasser_try_recv_fds, passer, most)


def recv_message(passer: FileDescriptorLike, most: int = MAX_PER_MESSAGE) -> Message:
    """Receive the next message: its descriptors, in order, and its data.

    It raises as recv_fds() does. Bytes that come without a descriptor are in the exception, a StrayBytes.
    """
    return _recv_message(lib.fdpasser_recv_message, passer, most)


def try_recv_message(passer: FileDescriptorLike, most: int = MAX_PER_MESSAGE) -> Message:
    """Do what recv_message() does, but raise BlockingIOError instead of waiting."""
    return _recv_message(lib.fdpasser_try_recv_message, passer, most)


def _recv_fds(function: Any, passer: FileDescriptorLike, most: int) -> list[Descriptor]:
    numbers = _room(most)
    count = call(function, number_of(passer), numbers, len(numbers))
    return [Descriptor(fd) for fd in numbers[: _not_the_end(count)]]


def _recv_message(function: Any, passer: FileDescriptorLike, most: int) -> Message:
    numbers, data, size = _room(most), ctypes.create_string_buffer(MAX_DATA), ctypes.c_size_t()
    try:
        count = call(function, number_of(passer), numbers, len(numbers), data, MAX_DATA, ctypes.byref(size))
    except OSError as error:
        if error.errno != errno.EBADMSG:
            raise
        stray = StrayBytes(error.errno, error.strerror)
        stray.data = ctypes.string_at(data, size.value)
        raise stray from None
    return Message([Descriptor(fd) for fd in numbers[: _not_the_end(count)]], ctypes.string_at(data, size.value))


def _room(most: int) -> ctypes.Array[ctypes.c_int]:
    if most < 1:
        raise ValueError("there must be room for a descriptor")
    return (ctypes.c_int * min(most, MAX_PER_MESSAGE))()


def _not_the_end(result: int) -> int:
    if result == 0:
        raise EOFError("the peer has shut down")
    return result


# --- the rest ---------------------------------------------------------------------------------------


def retry_ms(error: int) -> int:
    """Tell whether a call that failed with this errno is worth repeating, and when.

    0: poll the passer, then try again. Above 0: leave that direction alone for so many milliseconds. -1: the error is
    not temporary.
    """
    answer: int = lib.fdpasser_retry_ms(error)
    return answer


def mode() -> int:
    """Tell which interface the library was built for: 1 for SCM_RIGHTS over local sockets, 2 for STREAMS."""
    answer: int = lib.fdpasser_mode()
    return answer
