# SPDX-License-Identifier: MIT OR Apache-2.0
"""What all tests share: a count of descriptors around each of them, pairs of passers, and full tables."""

from __future__ import annotations

import errno
import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fdpasser

ROOT = Path(__file__).resolve().parent.parent

Pair = tuple[fdpasser.Descriptor, fdpasser.Descriptor]


def open_descriptors() -> list[int]:
    """Return which descriptors are open."""
    return [fd for fd in range(1024) if is_open(fd)]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Count the open descriptors before and after each test."""
    gc.collect()
    before = open_descriptors()
    yield
    gc.collect()
    assert open_descriptors() == before


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Make a pair of passers."""
    ours, theirs = fdpasser.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def node(tmp_path: Path) -> str:
    """Name a path for a server's node. tmp_path may be too long for an address."""
    return os.path.relpath(tmp_path / "node")


def crate() -> Path:
    """Return the directory of the Rust crate: around us, or inside in a source distribution."""
    return next(directory for directory in (ROOT / "libfdpasser", ROOT.parent) if (directory / "Cargo.toml").exists())


def identity(fd: fdpasser.FileDescriptorLike) -> tuple[int, int]:
    """Tell what a descriptor is, as duplicates of it have it too."""
    status = os.fstat(fd if isinstance(fd, int) else fd.fileno())
    return status.st_dev, status.st_ino


@contextmanager
def full_table() -> Iterator[None]:
    """Leave no free slot in the descriptor table."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    slot = os.dup(0)
    os.close(slot)
    filled = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (slot + 16, hard))
    try:
        while True:
            filled.append(os.dup(0))
    except OSError as error:
        assert error.errno == errno.EMFILE
    try:
        yield
    finally:
        for fd in filled:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def in_child(body: Callable[[], None]) -> int:
    """Run a function in a forked child. Return its process id. Its status is 0 if the function returned."""
    child = os.fork()
    if child == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def status_of(child: int) -> int:
    return os.waitpid(child, 0)[1]
