# SPDX-License-Identifier: MIT OR Apache-2.0
"""The examples in README.md run as they stand, without a warning."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, crate

from fdpasser import _library

README = (ROOT / "README.md").read_text()


def example(name: str) -> str:
    found = re.search(rf"Save it as `{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", README, re.M | re.S)
    assert found, f"there is no {name}"
    return found[1]


@contextmanager
def started(name: str, *arguments: str, directory: Path) -> "Iterator[subprocess.Popen[str]]":
    """Start an example, with all warnings as errors."""
    (directory / name).write_text(example(name))
    command = [sys.executable, "-X", "dev", "-W", "error", name, *arguments]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def rest_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.read()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def give(directory: Path) -> Path:
    """Compile the program in C with the library that we have loaded ourselves."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = Path(_library.find()).resolve()
    if not library.exists():
        pytest.skip("the library is an installed one")
    (directory / "give.c").write_text(example("give.c"))
    # A wheel's library has no file with the name that a program asks the loader for.
    shutil.copy(library, directory / _library.SONAME)
    command = [compiler, "-Wall", "-Wextra", "-Werror", f"-I{crate() / 'include'}", "-o", "give", "give.c"]
    subprocess.run([*command, _library.SONAME, "-Wl,-rpath,."], cwd=directory, check=True)
    return directory / "give"


def test_from_c_to_python(directory: Path) -> None:
    program = give(directory)
    with started("take.py", directory=directory) as take:
        assert line_of(take) == "ready\n"
        done = subprocess.run([program], cwd=directory, stdout=subprocess.PIPE, text=True, check=True)
        assert done.stdout == "Python has the output of C\n"
        assert rest_of(take) == f"from user {os.getuid()}\n"
        assert take.wait() == 0
    assert not (directory / "node").exists()


def test_dispatcher_and_workers(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    get = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    with started("dispatcher.py", str(port), directory=directory) as dispatcher:
        assert line_of(dispatcher) == "ready\n"
        with started("worker.py", directory=directory) as first, started("worker.py", directory=directory) as second:
            pids = {int(line_of(dispatcher).split()[1]) for _ in range(2)}
            assert pids == {first.pid, second.pid}
            for number in range(20):
                with get(f"http://127.0.0.1:{port}/{number}", timeout=60) as answer:
                    path, pid = answer.read().decode().split(" from ")
                assert path == f"/{number}" and int(pid) in pids
            first.kill()
            first.wait()
            for number in range(4):  # the dispatcher finds that a worker is gone, and no client notices
                with get(f"http://127.0.0.1:{port}/{number}", timeout=60) as answer:
                    assert answer.read().decode() == f"/{number} from {second.pid}\n"
            dispatcher.kill()
            assert rest_of(second) == "" and second.wait() == 0
        assert rest_of(dispatcher) == ""


def test_readme_names_what_there_is() -> None:
    import fdpasser
    import fdpasser.asyncio

    for module, heading in (fdpasser, "### Blocking calls"), (fdpasser.asyncio, "### asyncio"):
        section = README.partition(heading)[2].partition("\n##")[0]
        cells = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
        for name in re.findall(r"`(?:await )?(?:passer\.)?(\w+)\(", cells):
            assert hasattr(module, name) or hasattr(fdpasser.asyncio.Passer, name), name
