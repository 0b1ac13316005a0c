# SPDX-License-Identifier: MIT OR Apache-2.0
"""Passers, servers and clients for asyncio.

A passer is a queue object of the library. The event loop says when its socket is ready, and the library does the work:
there is no thread, and nothing is polled. Use an object in the thread of its loop only.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import select
import socket
import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Optional, TypeVar, Union

from ._blocking import Peer, StrPath, accept, connect as _connect, peer_cred, server as _server
from ._descriptor import Data, Descriptor, FileDescriptorLike, Passable, Received, bytes_of, give_away, number_of
from ._library import MAX_DATA, MAX_PER_MESSAGE, call, failure, lib

__all__ = ["Handler", "Passer", "RefusedError", "Server", "connect", "serve"]

# How many connections one turn of the event loop accepts.
_ACCEPTS = 16

# How many descriptors a task can receive before the loop gets its turn.
_FAIR_SHARE = 64

# The pause before a client tries again to connect. There is no event for room in a server's backlog.
_BACKLOG_PAUSE = 0.02

Self = TypeVar("Self", bound="Passer")
_Waiters = deque["asyncio.Future[None]"]


class RefusedError(OSError):
    """The system refused to send a descriptor. The passer goes on with the next one."""

    descriptor: Descriptor
    """A duplicate of the descriptor that was refused, for the program to close."""


class Passer:
    """One end of a connection that descriptors travel over, in both directions.

    >>> async with Passer(fd) as passer:
    ...     await passer.send(file, data=b"name")
    ...     async for received in passer:
    ...         ...

    At its end ``async with`` waits until everything is sent, and closes the passer. If an exception ends it, the passer
    is closed at once.

    Cancelling loses nothing. If ``send`` is cancelled, that descriptor is not sent. If ``recv`` is cancelled, the
    descriptor that it would have returned is for the next ``recv``.
    """

    def __init__(self, fd: Passable, *, max_queued: int = 64, per_message: int = 1) -> None:
        """Own a connected passer from now on: a number, a Descriptor or a socket.socket.

        ``send`` waits while ``max_queued`` descriptors are queued. With a ``per_message`` above 1 several descriptors
        without data may travel in one message, for a peer that understands that.
        """
        self._queue: Any = None
        self._fd = -1
        self._loop = asyncio.get_running_loop()
        _check_options(max_queued, per_message)
        queue = lib.fdpasser_new(number_of(fd))
        if not queue:
            raise failure()
        give_away(fd)
        self._queue = queue
        call(lib.fdpasser_set_per_message, queue, per_message)
        call(lib.fdpasser_want_data, queue, 1)
        self._fd = call(lib.fdpasser_fileno, queue)
        self._in_packets = _type_of(self._fd) not in (None, socket.SOCK_STREAM)
        self._pid = os.getpid()
        self._max_queued = max_queued

        self._pushed = 0  # how many descriptors were queued since the start
        self._asked = 0  # how many the queue was asked for and has not handed out
        self._received: deque[Union[Received, OSError]] = deque()  # an error is about one message
        self._refused: deque[RefusedError] = deque()
        self._left = 0  # how many may be received before the loop has its turn
        self._ended = False
        self._errno: Optional[int] = None

        self._receivers: _Waiters = deque()
        self._senders: _Waiters = deque()
        self._drainers: _Waiters = deque()
        self._reading = self._writing = False
        self._soon: Optional[asyncio.Handle] = None
        self._later: Optional[asyncio.TimerHandle] = None

    # --- for programs -------------------------------------------------------------------------------

    async def send(self, fd: FileDescriptorLike, data: Data = b"") -> None:
        """Queue a descriptor, with up to 4096 bytes of data. The caller keeps the descriptor, and may close it.

        It waits while the queue is full. An error of the connection is raised here or by ``drain``.
        """
        text = bytes_of(data)
        while True:
            queue = self._open()
            self._raise_error()
            if self._queued() >= self._max_queued:
                await self._wait(self._senders)
                continue
            try:
                duplicate = fcntl.fcntl(number_of(fd), fcntl.F_DUPFD_CLOEXEC, 3)
            except OSError as full:
                if full.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                await asyncio.sleep(lib.fdpasser_retry_ms(full.errno) / 1000)
                continue
            if lib.fdpasser_push_send_message(queue, duplicate, text, len(text)) < 0:
                error = failure()
                os.close(duplicate)
                raise error
            self._pushed += 1
            self._arm()
            return

    async def drain(self) -> None:
        """Wait until everything that was queued is sent.

        It raises the error of the connection if that keeps something from being sent. If descriptors were refused, it
        raises a RefusedError for the first one, and forgets it: call it again for the next one.
        """
        until = self._pushed
        while self._open() and self._pushed - self._queued() < until:
            self._raise_error()
            await self._wait(self._drainers)
        if self._refused:
            raise self._refused.popleft()

    async def recv(self) -> Received:
        """Receive the next descriptor and its data. It waits until there is one.

        It raises EOFError if the peer has shut down in good order, and OSError if the connection failed. Before either
        it returns what has come. ``async for`` ends where this raises EOFError. On a socket of type SOCK_SEQPACKET or
        SOCK_DGRAM, EBADMSG and EMSGSIZE are about one message, and the next call goes on with the next one.
        """
        while not self._received:
            queue = self._open()
            self._raise_error()
            if self._ended:
                raise EOFError("the peer has shut down")
            waiting = sum(not waiter.done() for waiter in self._receivers)
            if self._asked <= waiting:
                call(lib.fdpasser_push_recv, queue, 1)
                self._asked += 1
            if self._left > 0 and waiting == 0 and lib.fdpasser_timeout_ms(queue) == 0:
                self._left -= 1  # there may be more, and nobody is before us
                self._process(0)
            else:
                await self._wait(self._receivers)
        received = self._received.popleft()
        if isinstance(received, OSError):
            raise received
        return received

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> Received:
        try:
            return await self.recv()
        except EOFError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Close the passer, everything that is queued, and what was received and not taken.

        To close it twice does no harm. Whoever waits for it gets a ValueError.
        """
        queue, self._queue = self._queue, None
        if queue is None:
            return
        try:
            self._disarm()
        finally:  # the loop may be closed already
            lib.fdpasser_free(queue)
            for received in self._received:
                if isinstance(received, Received):
                    received.close()
            self._received.clear()
            while self._refused:
                self._report(self._refused.popleft())
        for waiters in (self._receivers, self._senders, self._drainers):
            self._wake(waiters, len(waiters))

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            if kind is None and not self.closed:
                await self.drain()
        finally:
            self.close()

    @property
    def closed(self) -> bool:
        """Whether the passer was closed by this program."""
        return self._queue is None

    @property
    def queued(self) -> int:
        """How many descriptors are queued and not yet sent."""
        self._open()
        return self._queued()

    @property
    def drained(self) -> bool:
        """Whether everything is sent and the peer has received it. Only Linux can tell; there is no event for it."""
        return call(lib.fdpasser_drained, self._open()) == 1

    @property
    def peer(self) -> Peer:
        """Who is at the other end, as fdpasser.peer_cred() says."""
        return peer_cred(self.fileno())

    def fileno(self) -> int:
        """Return the number of the socket. Do not read or write it."""
        self._open()
        return self._fd

    def __repr__(self) -> str:
        return f"<Passer {'closed' if self.closed else self._fd}>"

    def __del__(self, _warn: Any = warnings.warn, _free: Any = lib.fdpasser_free) -> None:
        queue, self._queue = self._queue, None
        if queue is not None:
            _warn(f"unclosed Passer {self._fd}", ResourceWarning, source=self)
            _free(queue)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Passer cannot be copied or pickled")

    # --- waiting ------------------------------------------------------------------------------------

    def _open(self) -> Any:
        if self._queue is None:
            raise ValueError("the passer was closed")
        return self._queue

    def _raise_error(self) -> None:
        if self._errno is not None:
            raise OSError(self._errno, os.strerror(self._errno))

    def _queued(self) -> int:
        queued: int = lib.fdpasser_queued(self._queue)
        return queued

    async def _wait(self, waiters: _Waiters) -> None:
        """Wait to be woken. The caller looks again then, as another task may have been faster."""
        waiter = self._loop.create_future()
        waiters.append(waiter)
        self._arm()
        try:
            await waiter
        except BaseException:
            if waiter in waiters:
                waiters.remove(waiter)
            elif not waiter.cancelled():
                self._wake(waiters)  # it was for us, and somebody else can use it
            raise

    def _wake(self, waiters: _Waiters, count: int = 1) -> None:
        while waiters and count > 0:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    # --- the event loop -----------------------------------------------------------------------------

    def _arm(self) -> None:
        """Ask the loop for what the queue waits for."""
        queue = self._queue
        if queue is None:
            return
        receiving = _is_awaited(self._receivers)
        events, pause = lib.fdpasser_events(queue), lib.fdpasser_timeout_ms(queue)
        if not self._is_busy():
            pause = -1
        at_once = pause == 0
        if at_once and not self._soon:
            self._soon = self._loop.call_soon(self._work, 0)
        if self._later:
            self._later.cancel()
            self._later = None
        if pause > 0:
            self._later = self._loop.call_later(pause / 1000, self._work, 0)

        if receiving and not events & select.POLLIN:
            self._stop_reading()  # the table is full, or the end has come
        elif receiving and not at_once and not self._reading:
            self._loop.add_reader(self._fd, self._readable)
            self._reading = True
        if not events & select.POLLOUT:
            self._stop_writing()
        elif not at_once and not self._writing:
            self._loop.add_writer(self._fd, self._work, select.POLLOUT)
            self._writing = True

    def _disarm(self) -> None:
        if self._pid == os.getpid():  # after a fork the child's loop shares the parent's epoll
            self._stop_reading()
            self._stop_writing()
        for handle in (self._soon, self._later):
            if handle:
                handle.cancel()

    def _stop_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def _stop_writing(self) -> None:
        if self._writing:
            self._loop.remove_writer(self._fd)
            self._writing = False

    def _readable(self) -> None:
        # In a loop of receives the reader would go and come each time. So it stays, until it is called in vain. Nothing
        # is taken from the socket while nobody waits for it.
        if _is_awaited(self._receivers):
            self._work(select.POLLIN)
        else:
            self._stop_reading()

    def _work(self, events: int) -> None:
        """Do what there is to do. The loop calls this."""
        if self._soon:
            self._soon.cancel()
            self._soon = None
        self._left = _FAIR_SHARE
        if self._is_busy():  # and not one that was waited for until a moment ago
            self._process(events)

    def _is_busy(self) -> bool:
        return _is_awaited(self._receivers) or self._queued() > 0

    def _process(self, events: int) -> None:
        """Let the queue work, take what has come, and wake those who wait."""
        queue = self._queue
        state = lib.fdpasser_process(queue, events)
        if state < 0:
            error = failure()
            refused = lib.fdpasser_refused(queue)
            if refused >= 0:
                self._refused.append(_refused(error, refused))
            elif self._in_packets and error.errno in (errno.EBADMSG, errno.EMSGSIZE):
                self._received.append(error)
            elif self._errno is None:
                self._errno = error.errno
        elif state == 0:
            self._ended = True
        self._take()
        over = self._ended or self._errno is not None
        self._wake(self._receivers, len(self._receivers) if over else len(self._received))
        room = self._max_queued - self._queued()
        self._wake(self._senders, room if self._errno is None else len(self._senders))
        self._wake(self._drainers, len(self._drainers))
        self._arm()

    def _take(self) -> None:
        """Take what the queue was asked for and has."""
        data, size = ctypes.create_string_buffer(MAX_DATA), ctypes.c_size_t()
        while self._asked > 0:
            fd = lib.fdpasser_next_message(self._queue, data, MAX_DATA, ctypes.byref(size))
            if fd < 0:
                return
            self._asked -= 1
            self._received.append(Received(fd, ctypes.string_at(data, size.value)))

    def _report(self, error: RefusedError) -> None:
        """Tell of a refusal that nobody has asked for."""
        error.descriptor.close()
        self._loop.call_exception_handler({"message": "a descriptor was not sent", "exception": error})


def _check_options(max_queued: int, per_message: int) -> None:
    if max_queued < 1:
        raise ValueError("max_queued must be above 0")
    if not 1 <= per_message <= MAX_PER_MESSAGE:
        raise ValueError(f"per_message must be 1 to {MAX_PER_MESSAGE}")


def _is_awaited(waiters: _Waiters) -> bool:
    while waiters and waiters[0].done():  # cancelled a moment ago
        waiters.popleft()
    return bool(waiters)


def _type_of(fd: int) -> Optional[int]:
    """Tell which type of socket it is. None if it is no socket."""
    try:
        lent = socket.socket(fileno=fd)
    except OSError:
        return None
    kind = lent.type
    lent.detach()
    return kind


def _refused(error: OSError, fd: int) -> RefusedError:
    refused = RefusedError(error.errno, error.strerror)
    refused.descriptor = Descriptor(fd)
    return refused


# --- servers and clients ----------------------------------------------------------------------------

Handler = Callable[[Passer], Awaitable[None]]


async def connect(path: StrPath, *, max_queued: int = 64, per_message: int = 1) -> Passer:
    """Connect to the server at a path. It waits while the server's backlog is full."""
    while True:
        try:
            passer = _connect(path, timeout=0)
        except TimeoutError:
            await asyncio.sleep(_BACKLOG_PAUSE)
            continue
        with passer:
            return Passer(passer, max_queued=max_queued, per_message=per_message)


async def serve(
    handler: Handler,
    where: Union[StrPath, Descriptor],
    *,
    backlog: int = 0,
    mode: Optional[int] = None,
    exclusive: bool = False,
    max_queued: int = 64,
    per_message: int = 1,
) -> Server:
    """Serve at a path, or on a listener: one that fdpasser.server() made, or one that was received or inherited.

    Each connection is a task that calls ``handler`` with a passer. At the end of the handler the passer sends what is
    queued and is closed. ``backlog``, ``mode`` and ``exclusive`` are those of fdpasser.server().
    """
    _check_options(max_queued, per_message)
    if isinstance(where, Descriptor):
        return Server(handler, where, max_queued=max_queued, per_message=per_message)
    listener = _server(where, backlog=backlog, mode=mode, exclusive=exclusive)
    try:
        return Server(handler, listener, max_queued=max_queued, per_message=per_message)
    except BaseException:
        with listener:
            raise


class Server:
    """A server that ``serve`` has started. It owns its listener.

    >>> async with await serve(handler, path) as server:
    ...     await server.serve_forever()

    At its end ``async with`` closes the server and waits for its handlers. If an exception ends it, such as a
    cancellation, the handlers are cancelled first.
    """

    def __init__(self, handler: Handler, listener: Descriptor, *, max_queued: int, per_message: int) -> None:
        """Use ``serve``."""
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._listener = listener
        self._max_queued, self._per_message = max_queued, per_message
        self._handlers: set[asyncio.Task[None]] = set()
        self._closed = self._loop.create_future()
        self._pause: Optional[asyncio.TimerHandle] = None
        self._pid = os.getpid()
        self._resume()

    async def serve_forever(self) -> None:
        """Wait until the server is closed."""
        await asyncio.shield(self._closed)

    def close(self) -> None:
        """Accept no more connections, and remove the server's node. Handlers that run go on."""
        if self._closed.done():
            return
        self._closed.set_result(None)
        if self._pause:
            self._pause.cancel()
        elif self._pid == os.getpid():  # after a fork the child's loop shares the parent's epoll
            self._loop.remove_reader(self._listener.fileno())
        with self._listener:
            pass  # a Listener removes its node

    async def wait_closed(self) -> None:
        """Wait until the server is closed and all its handlers have ended."""
        await asyncio.shield(self._closed)
        while self._handlers:
            await asyncio.wait(self._handlers)

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
        if kind is not None:
            for task in self._handlers:
                task.cancel()
        await self.wait_closed()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                connection = accept(self._listener, timeout=0)
            except TimeoutError:
                return
            except OSError as error:
                pause = lib.fdpasser_retry_ms(error.errno)
                if pause > 0:  # the table is full
                    self._loop.remove_reader(self._listener.fileno())
                    self._pause = self._loop.call_later(pause / 1000, self._resume)
                    return
                if pause == 0 or error.errno == errno.ECONNABORTED:
                    continue
                self._report("the server cannot accept", error)
                self.close()
                return
            with connection:
                passer = Passer(connection, max_queued=self._max_queued, per_message=self._per_message)
            task = self._loop.create_task(self._handle(passer))
            self._handlers.add(task)
            task.add_done_callback(partial(self._forget, passer))

    def _forget(self, passer: Passer, task: asyncio.Task[None]) -> None:
        self._handlers.discard(task)
        passer.close()  # a task that was cancelled before it started has not done so

    async def _handle(self, passer: Passer) -> None:
        try:
            async with passer:
                await self._handler(passer)
        except Exception as error:
            self._report(f"the handler of {passer!r} failed", error)

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})
