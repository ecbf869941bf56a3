"""Builds the sequence scanner with the C compiler that comes as a wheel (ADR 0003), so no system compiler is needed."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class ZigBuildExt(build_ext):
    """Compiles `query_api/scan/scan.c` into a plain shared library that ctypes loads (no Python ABI)."""

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-O3", "-std=c11", "-shared", "-fPIC", "-g0", "-s", "-o", str(target)]
        subprocess.run([*command, *ext.sources], check=True)  # noqa: S603

    def get_ext_filename(self, fullname: str) -> str:
        suffix = ".dll" if sys.platform == "win32" else ".so"
        return fullname.replace(".", "/") + suffix


_ = sysconfig  # the wheel is platform-specific but not tied to one Python ABI

setup(
    ext_modules=[Extension("query_api.scan._scan", sources=["query_api/scan/scan.c"])],
    cmdclass={"build_ext": ZigBuildExt},
)
