"""The audit log's anchor: a small file that says which row was the newest, under the installation's key.

Without it, whoever can write the database could cut off the newest rows, and what is left would still be a
whole chain.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from footfall.workspace.audit_chain import START, AuditKey

_BYTES = 256  # written at once, into one sector of any disk


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row's number and code; 0 and START before the first row."""

    sequence: int
    mac: str


NO_ROWS = Head(0, START)


class Anchor:
    """Several processes may read and write it at once."""

    def __init__(self, file: Path, key: AuditKey) -> None:
        self.file = file
        self._key = key

    def read(self) -> Head | None:
        """None if there is none, or it is not this installation's. OSError if it cannot be read."""
        try:
            descriptor = os.open(self.file, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with _locked(descriptor, fcntl.LOCK_SH):
            return self._parse(os.pread(descriptor, _BYTES, 0))

    def advance(self, head: Head) -> None:
        """Durable on return. It never goes back: another process may have written a later row meanwhile."""
        is_new = not self.file.exists()
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        with _locked(descriptor, fcntl.LOCK_EX):
            known = self._parse(os.pread(descriptor, _BYTES, 0))
            if known is None or known.sequence <= head.sequence:
                os.pwrite(descriptor, self._write(head), 0)
                os.fdatasync(descriptor)
        if is_new:
            sync_directory(self.file.parent)

    def text(self) -> str | None:
        """What `adopt` takes, on another machine of the installation; None if there is none."""
        head = self.read()
        return None if head is None else self._write(head).decode().rstrip()

    def read_text(self, text: str) -> Head | None:
        """None if it is not this installation's."""
        return self._parse(text.encode())

    def _write(self, head: Head) -> bytes:
        code = self._key.anchor(head.sequence, head.mac)
        return json.dumps({"sequence": head.sequence, "mac": head.mac, "code": code}).encode().ljust(_BYTES)

    def _parse(self, text: bytes) -> Head | None:
        try:
            given = json.loads(text)
            head, code = Head(int(given["sequence"]), str(given["mac"])), str(given["code"])
        except (ValueError, KeyError, TypeError):
            return None
        right = self._key.anchor(head.sequence, head.mac)
        return head if hmac.compare_digest(right.encode(), code.encode()) else None


@contextmanager
def _locked(descriptor: int, how: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """The names of its files are durable on return. OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
