# SPDX-License-Identifier: MIT OR Apache-2.0
"""What all tests share: a deadline, a count of descriptors around each of them, and pairs of passers."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fdpasser

DEADLINE = 120  # seconds, for a test

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
    faulthandler.dump_traceback_later(DEADLINE, exit=True, file=sys.__stderr__)
    gc.collect()
    before = open_descriptors()
    yield
    gc.collect()
    assert open_descriptors() == before
    faulthandler.cancel_dump_traceback_later()


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
