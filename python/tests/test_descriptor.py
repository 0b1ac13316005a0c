# SPDX-License-Identifier: MIT OR Apache-2.0
"""Owners of descriptors close them once, give them away, and warn when they are forgotten."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import socket

import pytest
from conftest import Pair, is_open

import fdpasser


def test_with_closes() -> None:
    with fdpasser.Descriptor(os.dup(0)) as descriptor:
        number = descriptor.fileno()
        assert is_open(number) and not descriptor.closed
        assert repr(descriptor) == f"<Descriptor {number}>"
    assert not is_open(number) and descriptor.closed
    assert repr(descriptor) == "<Descriptor closed>"
    descriptor.close()
    with pytest.raises(ValueError, match="closed or detached"):
        descriptor.fileno()


def test_close_closes_nothing_of_others() -> None:
    descriptor = fdpasser.Descriptor(os.dup(0))
    number = descriptor.fileno()
    descriptor.close()
    assert os.dup(0) == number
    descriptor.close()
    os.close(number)  # it is still there


def test_detach_gives_it_away() -> None:
    descriptor = fdpasser.Descriptor(os.dup(0))
    number = descriptor.detach()
    descriptor.close()
    os.close(number)
    with pytest.raises(ValueError):
        descriptor.detach()


def test_forgotten() -> None:
    descriptor = fdpasser.Descriptor(os.dup(0))
    number = descriptor.fileno()
    with pytest.warns(ResourceWarning, match=f"unclosed Descriptor {number}"):
        del descriptor
        gc.collect()
    assert not is_open(number)


def test_no_second_owner() -> None:
    with fdpasser.Descriptor(os.dup(0)) as descriptor:
        for duplicate in copy.copy, copy.deepcopy, pickle.dumps:
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                duplicate(descriptor)


@pytest.mark.parametrize("number, error", [(-1, ValueError), (1 << 31, OverflowError), ((1 << 32) + 1, OverflowError)])
def test_no_descriptor(number: int, error: type[Exception], pair: Pair) -> None:
    with pytest.raises(error):
        fdpasser.Descriptor(number)
    with pytest.raises(error):
        fdpasser.send_fd(pair[0], number)
    with pytest.raises(BlockingIOError):
        fdpasser.try_recv_fds(pair[1])


def test_becomes_a_socket_and_a_file(pair: Pair) -> None:
    near, far = socket.socketpair()
    with near, far:
        fdpasser.send_fd(pair[0], far)
    reader, writer = os.pipe()
    fdpasser.send_fd(pair[0], writer)
    os.close(writer)

    with socket.socket(fileno=fdpasser.recv_fd(pair[1]).detach()) as received:
        assert received.family == socket.AF_UNIX
    with os.fdopen(fdpasser.recv_fd(pair[1]).detach(), "w") as file:
        file.write("through the pipe")
    with os.fdopen(reader) as file:
        assert file.read() == "through the pipe"
