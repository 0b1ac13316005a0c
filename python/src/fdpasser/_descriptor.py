# SPDX-License-Identifier: MIT OR Apache-2.0
"""Owners of descriptors."""

from __future__ import annotations

import ctypes
import os
import socket
import warnings
from types import TracebackType
from typing import Any, NoReturn, Optional, Protocol, TypeVar, Union

Self = TypeVar("Self", bound="Descriptor")


class HasFileno(Protocol):
    """Whatever has a descriptor: a file, a socket, a pipe of asyncio's transports, a :class:`Descriptor`."""

    def fileno(self) -> int:
        """Return the descriptor's number."""
        ...


FileDescriptorLike = Union[int, HasFileno]
Data = Union[bytes, bytearray, memoryview]


def number_of(fd: FileDescriptorLike) -> int:
    """Return the number of a descriptor that is lent."""
    number = fd if isinstance(fd, int) else fd.fileno()
    if number < 0:
        raise ValueError(f"{number} is no descriptor, or one that was closed")
    # ctypes would cut it, and so take another descriptor.
    if number != ctypes.c_int(number).value:
        raise OverflowError(f"{number} is too large for a descriptor")
    return number


def bytes_of(data: Data) -> bytes:
    """Return data as ctypes takes it."""
    return data if isinstance(data, bytes) else bytes(memoryview(data))


class Descriptor:
    """Owns a descriptor, and closes it.

    ``with`` closes it at the end. If nobody closes it, the garbage collector does, with a ResourceWarning. To hand it
    to another owner, detach it: ``socket.socket(fileno=d.detach())``, ``os.fdopen(d.detach())``.
    """

    __slots__ = ("_fd", "__weakref__")

    def __init__(self, fd: int) -> None:
        """Own the descriptor with the number ``fd`` from now on."""
        self._fd = -1
        self._fd = number_of(fd)

    def fileno(self) -> int:
        """Return the number. The descriptor stays this object's."""
        if self._fd < 0:
            raise ValueError("the descriptor was closed or detached")
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether the descriptor was closed or detached."""
        return self._fd < 0

    def detach(self) -> int:
        """Return the number, and own the descriptor no more."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Close the descriptor. To close it twice does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __del__(self, _warn: Any = warnings.warn, _close: Any = os.close) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _warn(f"unclosed {type(self).__name__} {fd}", ResourceWarning, source=self)
            _close(fd)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else self._fd}>"

    def __reduce__(self) -> NoReturn:
        # A copy would close the descriptor a second time.
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


class Received(Descriptor):
    """A descriptor that came over a passer, and the data that came with it."""

    __slots__ = ("data",)

    data: bytes
    """The bytes that were sent with it. Empty if there are none."""

    def __init__(self, fd: int, data: bytes = b"") -> None:
        """Own the descriptor with the number ``fd`` from now on."""
        super().__init__(fd)
        self.data = data


Passable = Union[int, Descriptor, socket.socket]
"""A descriptor whose owner can give it away."""


def give_away(fd: Passable) -> int:
    """Return the number of a descriptor, which has no owner from now on."""
    return fd if isinstance(fd, int) else fd.detach()
