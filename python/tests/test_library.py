# SPDX-License-Identifier: MIT OR Apache-2.0
"""The declarations are the header's, and the library is found or its absence is told."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import math
import os
import re
import subprocess
import sys

import pytest
from conftest import crate

import fdpasser
from fdpasser import _library

TYPES = {
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "size_t": ctypes.c_size_t,
    "ssize_t": ctypes.c_ssize_t,
    "void": None,
    "char *": ctypes.c_char_p,
    "void *": ctypes.c_char_p,
    "int *": _library.IntArray,
    "uid_t *": ctypes.POINTER(ctypes.c_uint),
    "gid_t *": ctypes.POINTER(ctypes.c_uint),
    "pid_t *": ctypes.POINTER(ctypes.c_int),
    "size_t *": ctypes.POINTER(ctypes.c_size_t),
    "fdpasser *": _library.Queue,
    "fdpasser_node *": ctypes.POINTER(_library.Node),
}

header = re.sub(r"/\*.*?\*/", "", (crate() / "include/fdpasser.h").read_text(), flags=re.S)


def type_of(declared: str) -> object:
    return TYPES[declared.replace("const ", "").strip()]


@pytest.mark.parametrize("name", _library.FUNCTIONS)
def test_function_is_declared_as_in_the_header(name: str) -> None:
    found = re.search(rf"^(\w[\w ]*[ *]){name}\(([^)]*)\);", header, re.M)
    assert found, "it is not in the header"
    parameters = [] if found[2] == "void" else re.split(r",\s+", found[2])
    declared = [type_of(re.sub(r"\w+$", "", parameter)) for parameter in parameters]
    assert _library.FUNCTIONS[name] == (type_of(found[1]), declared)


@pytest.mark.parametrize("name", ["MAX_PER_MESSAGE", "MAX_DATA", "EXCLUSIVE"])
def test_constant_is_the_header_s(name: str) -> None:
    found = re.search(rf"^#define FDPASSER_{name} (\d+)$", header, re.M)
    assert found and int(found[1]) == getattr(_library, name)


def test_soname_is_that_of_the_version() -> None:
    version = re.search(r'^version = "(\d+)\.(\d+)', (crate() / "Cargo.toml").read_text(), re.M)
    assert version
    abi = f"0.{version[2]}" if version[1] == "0" else version[1]
    assert _library.SONAME in (f"libfdpasser.so.{abi}", f"libfdpasser.{abi}.dylib")


@pytest.mark.parametrize(
    "library, complaint",
    [
        ("installed", f"cannot load libfdpasser: {_library.SONAME}"),
        ("/nowhere/libfdpasser.so", "cannot load libfdpasser: /nowhere"),
        (ctypes.util.find_library("c"), "has no function fdpasser_socketpair"),
    ],
)
def test_import_says_what_is_wrong_with_the_library(library: str, complaint: str) -> None:
    environment = {**os.environ, "FDPASSER_LIB": library, "LD_LIBRARY_PATH": ""}
    if library == "installed" and ctypes.util.find_library("fdpasser"):
        pytest.skip("libfdpasser is installed")
    done = subprocess.run(
        [sys.executable, "-c", "import fdpasser"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1
    assert complaint in done.stderr.splitlines()[-1]


def test_a_long_time_is_waited_for_in_parts() -> None:
    asked: list[int] = []

    def times_out(milliseconds: int) -> int:
        asked.append(milliseconds)
        ctypes.set_errno(errno.ETIMEDOUT)
        return 7 if len(asked) % 3 == 0 else -1

    for timeout in 2.2e6, 1e9, 1e300, math.inf, 10**400:
        assert _library.call_timed(times_out, timeout=timeout) == 7
    assert asked == [0x7FFFFFFF] * 15
    with pytest.raises(TimeoutError):
        _library.call_timed(times_out, timeout=2.1e6)
    assert 2.09e9 < asked[-1] <= 2.1e9 and len(asked) == 16


def test_the_rest() -> None:
    assert fdpasser.mode() in (1, 2)
    assert fdpasser.retry_ms(errno.EAGAIN) == 0
    assert fdpasser.retry_ms(errno.EMFILE) > 0
    assert fdpasser.retry_ms(errno.EPIPE) == -1
    assert all(hasattr(fdpasser, name) for name in fdpasser.__all__)
