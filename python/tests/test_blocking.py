# SPDX-License-Identifier: MIT OR Apache-2.0
"""The calls that wait."""

from __future__ import annotations

import array
import errno
import fcntl
import math
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Callable, NoReturn, Optional

import pytest
from conftest import Pair, full_table, identity, in_child, status_of

import fdpasser


def close_all(descriptors: Sequence[fdpasser.Descriptor]) -> None:
    for descriptor in descriptors:
        descriptor.close()


@contextmanager
def alarms(handler: Callable[[int, Optional[FrameType]], None], every: float = 0.01) -> Iterator[None]:
    """Have SIGALRM come again and again."""
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# --- one descriptor -----------------------------------------------------------------------------------


def test_one(pair: Pair, tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        fdpasser.send_fd(pair[0], file)
        fdpasser.send_fd(pair[0].fileno(), file.fileno())
        for passer in pair[1], pair[1].fileno():
            with fdpasser.recv_fd(passer) as received:
                assert received.fileno() > 2
                assert identity(received) == identity(file)
                assert fcntl.fcntl(received.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert not file.closed


def test_over_a_socket_object() -> None:
    near, far = socket.socketpair()
    with near, far:
        fdpasser.send_fd(near, 0)
        fdpasser.recv_fd(far).close()


def test_the_end(pair: Pair) -> None:
    fdpasser.send_fd(pair[0], 0)
    pair[0].close()
    fdpasser.recv_fd(pair[1]).close()
    for receive in (
        fdpasser.recv_fd,
        fdpasser.recv_fds,
        fdpasser.try_recv_fds,
        fdpasser.recv_message,
        fdpasser.try_recv_message,
    ):
        with pytest.raises(EOFError):
            receive(pair[1])
    with pytest.raises(BrokenPipeError):
        fdpasser.send_fd(pair[1], 0)


def test_timeouts(pair: Pair) -> None:
    for timeout in 0, 0.02:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            fdpasser.recv_fd(pair[1], timeout=timeout)
        assert time.monotonic() - start >= timeout
    with pytest.raises(TimeoutError):
        while True:
            fdpasser.send_fd(pair[0], 0, timeout=0.001)
    for forever in 60, 2**31, 1e300, math.inf:
        fdpasser.recv_fd(pair[1], timeout=forever).close()
        fdpasser.send_fd(pair[0], 0, timeout=forever)
    for wrong in -1, -1e-9, -math.inf, math.nan:
        with pytest.raises(ValueError, match="a timeout must be a number from 0 up"):
            fdpasser.recv_fd(pair[1], timeout=wrong)


def test_errno_is_the_header_s(pair: Pair) -> None:
    with pytest.raises(OSError) as bad:
        fdpasser.send_fd(pair[0], 999)
    assert bad.value.errno == errno.EBADF
    reader, writer = os.pipe()
    with fdpasser.Descriptor(reader), fdpasser.Descriptor(writer), pytest.raises(OSError) as pipe:
        fdpasser.send_fd(writer, 0)
    assert pipe.value.errno == errno.ENOTSOCK
    with pytest.raises(FileNotFoundError) as missing:
        fdpasser.connect("/nowhere/node")
    assert missing.value.filename == "/nowhere/node"


# --- several, and data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("per_message", [1, 3, 253])
def test_several(pair: Pair, per_message: int) -> None:
    pipes = [os.pipe() for _ in range(5)]
    writers = [fdpasser.Descriptor(writer) for _, writer in pipes]
    assert fdpasser.send_fds(pair[0], writers, per_message=per_message) == 5
    received: list[fdpasser.Descriptor] = []
    while len(received) < 5:
        received += fdpasser.recv_fds(pair[1])
    assert [identity(fd) for fd in received] == [identity(fd) for fd in writers]
    close_all(received + writers + [fdpasser.Descriptor(reader) for reader, _ in pipes])
    with pytest.raises(BlockingIOError):
        fdpasser.try_recv_fds(pair[1])


def test_no_room(pair: Pair) -> None:
    fdpasser.send_fds(pair[0], [0, 0, 0], per_message=3)
    with pytest.raises(OSError) as large:
        fdpasser.recv_fds(pair[1], 2)
    assert large.value.errno == errno.EMSGSIZE
    with pytest.raises(ValueError):
        fdpasser.recv_fds(pair[1], 0)


def test_try_send_fds_says_how_many(pair: Pair) -> None:
    sent = fdpasser.try_send_fds(pair[0], [0] * 100_000)
    assert 0 < sent < 100_000
    with pytest.raises(BlockingIOError):
        fdpasser.try_send_fds(pair[0], [0])
    assert fdpasser.send_fds(pair[0], []) == 0
    with pytest.raises(ValueError):
        fdpasser.send_fds(pair[0], [0], per_message=-1)


@pytest.mark.parametrize("data", [b"", b"text", b"\0\0", b"\xff" * 2048, bytearray(b"array"), memoryview(b"view")])
def test_data(pair: Pair, data: fdpasser.Data) -> None:
    fdpasser.send_message(pair[0], [0, 1], data)
    message = fdpasser.recv_message(pair[1])
    assert message.data == data and type(message.data) is bytes
    assert [identity(fd) for fd in message.descriptors] == [identity(0), identity(1)]
    close_all(message.descriptors)


def test_data_without_waiting(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        fdpasser.try_recv_message(pair[1])
    with pytest.raises(BlockingIOError):
        while True:
            fdpasser.try_send_message(pair[0], [0], b"data")
    message = fdpasser.try_recv_message(pair[1], 1)
    assert message.data == b"data"
    close_all(message.descriptors)


def test_data_that_is_too_long(pair: Pair) -> None:
    with pytest.raises(OSError) as long:
        fdpasser.send_message(pair[0], [0], b"x" * (fdpasser.MAX_DATA + 1))
    assert long.value.errno == errno.EMSGSIZE
    with pytest.raises(OSError) as alone:
        fdpasser.send_message(pair[0], [], b"x")
    assert alone.value.errno == errno.EINVAL


def test_bytes_alone(pair: Pair) -> None:
    os.write(pair[0].fileno(), b"stray")
    with pytest.raises(fdpasser.StrayBytes) as stray:
        fdpasser.recv_message(pair[1])
    assert stray.value.data == b"stray" and stray.value.errno == errno.EBADMSG


def test_python_s_own_functions_are_on_the_same_wire(pair: Pair) -> None:
    with socket.socket(fileno=os.dup(pair[0].fileno())) as near:
        near.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
        with fdpasser.recv_fd(pair[1]) as received:
            assert identity(received) == identity(0)
        fdpasser.send_fd(pair[1], 1)
        data, fds, _, _ = socket.recv_fds(near, 10, 10)
    assert data == b"\0" and identity(fds[0]) == identity(1)
    os.close(fds[0])


# --- a full table, signals, forks, threads ---------------------------------------------------------------


def test_full_table(pair: Pair) -> None:
    fdpasser.send_message(pair[0], [0], b"kept")
    with full_table():
        for receive in fdpasser.recv_fd, fdpasser.recv_fds, fdpasser.recv_message:
            with pytest.raises(OSError) as full:
                receive(pair[1])
            assert full.value.errno == errno.EMFILE
    message = fdpasser.recv_message(pair[1])
    assert message.data == b"kept"
    close_all(message.descriptors)


def test_a_signal_s_handler_runs_and_the_wait_goes_on(pair: Pair) -> None:
    times = []

    def handler(number: int, frame: Optional[FrameType]) -> None:
        times.append(number)
        if len(times) == 3:
            fdpasser.send_fd(pair[0], 0)

    with alarms(handler):
        fdpasser.recv_fd(pair[1]).close()
    assert len(times) >= 3


def test_a_signal_does_not_prolong_a_timeout(pair: Pair) -> None:
    start = time.monotonic()
    with alarms(lambda number, frame: None), pytest.raises(TimeoutError):
        fdpasser.recv_fd(pair[1], timeout=0.1)
    assert 0.1 <= time.monotonic() - start < 60


class Enough(Exception):
    pass


def enough(number: int, frame: Optional[FrameType]) -> NoReturn:
    raise Enough


def test_a_handler_that_raises_ends_a_wait(pair: Pair, node: str) -> None:
    with alarms(enough), pytest.raises(Enough):
        fdpasser.recv_fd(pair[1])
    with alarms(enough), pytest.raises(Enough):
        while True:
            fdpasser.send_fd(pair[0], 0)
    with fdpasser.server(node) as listener, alarms(enough), pytest.raises(Enough):
        fdpasser.accept(listener)


def test_fork(pair: Pair) -> None:
    reader, writer = os.pipe()

    def give() -> None:
        pair[0].close()
        fdpasser.send_message(pair[1], [writer], b"from the child")

    child = in_child(give)
    pair[1].close()
    os.close(writer)
    message = fdpasser.recv_message(pair[0])
    assert message.data == b"from the child"
    with pytest.raises(EOFError):
        fdpasser.recv_fd(pair[0])
    with os.fdopen(message.descriptors[0].detach(), "w") as file:
        file.write("hello")
    with os.fdopen(reader) as file:
        assert file.read() == "hello"
    assert status_of(child) == 0


def test_other_threads_run_meanwhile(pair: Pair) -> None:
    received = []
    thread = threading.Thread(target=lambda: received.append(fdpasser.recv_fd(pair[1])))
    thread.start()
    fdpasser.send_fd(pair[0], 0)
    thread.join()
    received[0].close()


# --- servers and clients ---------------------------------------------------------------------------------


def test_server(node: str) -> None:
    with fdpasser.server(node, mode=0o600) as listener:
        assert stat.S_IMODE(os.stat(node).st_mode) == 0o600
        with fdpasser.connect(Path(node)) as client, fdpasser.accept(listener) as connection:
            assert fdpasser.peer_cred(connection) == (os.getuid(), os.getgid(), os.getpid())
            fdpasser.send_fd(client, 0)
            fdpasser.recv_fd(connection).close()
    assert not os.path.exists(node)
    with pytest.raises(ValueError):
        listener.unlink()


def test_server_is_replaced_and_leaves_its_successor_alone(node: str) -> None:
    with fdpasser.server(node) as first:
        with pytest.raises(OSError) as busy:
            fdpasser.server(node, exclusive=True)
        assert busy.value.errno == errno.EADDRINUSE and busy.value.filename == node
        with fdpasser.server(node) as second:
            assert not first.unlink()
            assert os.path.exists(node)
            assert second.unlink()
    assert not os.path.exists(node)


def test_a_forked_child_leaves_the_node(node: str) -> None:
    def leave() -> None:
        with listener:
            pass

    with fdpasser.server(node) as listener:
        assert status_of(in_child(leave)) == 0
        assert os.path.exists(node)
        fdpasser.connect(node).close()


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="abstract addresses are Linux's")
def test_abstract_address() -> None:
    with fdpasser.server(f"\0fdpasser {os.getpid()}") as listener:
        fdpasser.connect(f"\0fdpasser {os.getpid()}".encode()).close()
        assert not listener.unlink()


def test_timeouts_of_connections(node: str) -> None:
    clients = []
    with fdpasser.server(node, backlog=1) as listener:
        with pytest.raises(TimeoutError):
            fdpasser.accept(listener, timeout=0.01)
        with pytest.raises(TimeoutError) as late:
            while True:
                clients.append(fdpasser.connect(node, timeout=0.01))
        assert late.value.filename == node
        fdpasser.accept(listener, timeout=math.inf).close()
        clients.append(fdpasser.connect(node, timeout=math.inf))
    close_all(clients)
