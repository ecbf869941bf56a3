"""Builds the scanners (of sequences, of privacy) with the C compiler that comes as a wheel (ADR 0003).

The libraries are plain C that ctypes loads, so one wheel a platform serves every Python 3.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

# Flags of every build. The baseline of each processor family, never the building machine's: wheels travel.
FLAGS = [
    "-O3",
    "-std=c11",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-g0",
    "-s",
    "-Wall",
    "-Wextra",
    "-Werror",
]
_FILES = ("store", "sort", "scan", "walk", "matching", "found", "retention", "intervals", "paths")
SOURCES = [f"query_api/scan/{name}.c" for name in _FILES]
HEADERS = [f"query_api/scan/{name}.h" for name in ("scan", "retention", "paths")]
# glibc of 2014 (manylinux2014): the oldest that any supported dependency runs on.
LINUX_GLIBC = "2.17"


def zig_target() -> list[str]:
    """The `-target` of this platform; on others than Linux the compiler's own choice."""
    machine = platform.machine().lower()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        return []
    libc = "musl" if platform.libc_ver()[0] != "glibc" else f"gnu.{LINUX_GLIBC}"
    return ["-target", f"{machine}-linux-{libc}"]


class ZigBuildExt(build_ext):
    """Compiles the C files into one shared library."""

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = [sys.executable, "-m", "ziglang", "cc"]
        subprocess.run([*compiler, *zig_target(), *FLAGS, "-o", str(target), *ext.sources], check=True)  # noqa: S603

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"  # ctypes loads it by this name everywhere


class AnyPythonWheel(bdist_wheel):
    """Tags the wheel py3-none-<platform>: it holds native code, but none that depends on a Python's ABI."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        tag = super().get_tag()[2]
        if tag.startswith("linux_") and zig_target() and "musl" not in zig_target()[1]:
            tag = tag.replace("linux_", f"manylinux_{LINUX_GLIBC.replace('.', '_')}_")
        return "py3", "none", tag


setup(
    ext_modules=[
        Extension("query_api.scan._scan", sources=SOURCES, depends=HEADERS),
        Extension(
            "footfall.privacy._scan",
            sources=["footfall/privacy/scan.c", "footfall/privacy/entries.c"],
            depends=["footfall/privacy/scan.h", "footfall/privacy/digits.h"],
        ),
    ],
    cmdclass={"build_ext": ZigBuildExt, "bdist_wheel": AnyPythonWheel},
)
