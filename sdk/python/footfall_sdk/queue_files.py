"""Which process owns which queue file: whoever holds its lock, and nobody once that process ends.

A directory holds `queue-0.db`, `queue-1.db`, ... with a `.lock` beside each. A process (also a forked one)
takes the first file that nobody holds, so a restarted service finds what it left.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILES = 1024
_NAME = re.compile(r"queue-(\d+)\.db")


class FileClaim:
    """A queue file that this process holds until `release`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Gives the file up. In a forked child this closes the child's copy: the parent still holds it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def claim_file(directory: Path) -> FileClaim:
    """The first file of the directory that nobody holds, made if need be. OSError where that is forbidden."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(MAX_FILES):
        claim = _try_claim(directory / f"queue-{number}.db")
        if claim is not None:
            return claim
    raise OSError(f"all {MAX_FILES} queue files in {directory} are in use")


def claim_abandoned(directory: Path) -> Iterator[FileClaim]:
    """The other existing files of the directory that nobody holds: what ended processes left behind."""
    for path in sorted(directory.iterdir()):
        if _NAME.fullmatch(path.name):
            claim = _try_claim(path)
            if claim is not None:
                yield claim


def _try_claim(path: Path) -> FileClaim | None:
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _lock_or_raise(lock)
    except OSError:
        os.close(lock)
        return None
    return FileClaim(path, lock)


if sys.platform == "win32":
    import msvcrt

    def _lock_or_raise(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_or_raise(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
