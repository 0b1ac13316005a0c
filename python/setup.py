# SPDX-License-Identifier: MIT OR Apache-2.0
"""Puts the C library into the wheel, and its Rust sources into the source distribution.

The library in the wheel is the first of these that there is:

1. the file that FDPASSER_LIB names;
2. what cargo builds from the sources in this directory (libfdpasser/) or around it.

With FDPASSER_LIB=installed, and where there is no cargo but an installed libfdpasser, the wheel has no library. Then the
package loads the installed one.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.errors import SetupError

HERE = Path(__file__).resolve().parent
CARGO = os.environ.get("CARGO", "cargo")
BUNDLED = "libfdpasser.dylib" if sys.platform == "darwin" else "libfdpasser.so"


def crate_directory() -> Path:
    for directory in HERE / "libfdpasser", HERE.parent:
        if (directory / "src/ffi.rs").exists():
            return directory
    raise SetupError("the Rust sources are missing")


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def brings_the_library() -> bool:
    named = os.environ.get("FDPASSER_LIB")
    if named or succeeds(CARGO, "--version"):
        return named != "installed"
    if succeeds("pkg-config", "--exists", "fdpasser"):
        return False
    raise SetupError("neither cargo (Rust 1.81 or newer) nor an installed libfdpasser was found")


CRATE = crate_directory()
VERSION = re.search(r'^version = "(.*)"', (CRATE / "Cargo.toml").read_text(), re.M)[1]
for licence in CRATE.glob("LICENSE-*"):
    shutil.copy(licence, HERE)


class WithLibrary(Distribution):
    def has_ext_modules(self) -> bool:
        return brings_the_library()


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if brings_the_library():
            package = HERE / "src" if self.editable_mode else Path(self.build_lib)
            shutil.copy(self.library(), package / "fdpasser" / BUNDLED)

    def library(self) -> Path:
        named = os.environ.get("FDPASSER_LIB")
        if named:
            if not Path(named).is_file() or named.endswith(".a"):
                raise SetupError(f"FDPASSER_LIB has to name a shared library: {named}")
            return Path(named)
        target = Path(self.get_finalized_command("build").build_base).resolve() / "cargo"
        manifest = str(CRATE / "Cargo.toml")
        subprocess.run(
            [CARGO, "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", str(target)],
            check=True,
        )
        return target / "release" / BUNDLED


class WheelForEveryPython(bdist_wheel):
    """ctypes loads the library, so the wheel depends on the system and not on the Python."""

    def get_tag(self) -> "tuple[str, str, str]":
        platform = super().get_tag()[2]
        return "py3", "none", platform


class SourcesWithCrate(sdist):
    def make_release_tree(self, base_dir: str, files: "list[str]") -> None:
        super().make_release_tree(base_dir, files)
        for name in self.crate_files():
            to = Path(base_dir, "libfdpasser", name)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CRATE / name, to)

    def crate_files(self) -> "list[Path]":
        if CRATE != HERE.parent:
            return [path.relative_to(CRATE) for path in CRATE.rglob("*") if path.is_file()]
        listed = output_of(CARGO, "package", "--list", "--allow-dirty", "--locked", "--manifest-path", f"{CRATE}/Cargo.toml")
        # cargo also lists what it would generate.
        return [Path(name) for name in listed.splitlines() if (CRATE / name).exists()]


setup(
    version=VERSION,
    distclass=WithLibrary,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": WheelForEveryPython, "sdist": SourcesWithCrate},
)
