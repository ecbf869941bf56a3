"""A disk that loses power: an SQLite VFS that knows what was fsynced and forgets, at will, what was not.

Every write goes to the real file, so that SQLite reads what it wrote, and is remembered until the next fsync
of its file. When the power goes, the process is not told: it goes on writing to files that nobody will read.
`put_what_is_left` keeps in each file what was fsynced and, of what was not, any subset of its sectors, in any
order, some of them half written: what a disk with a volatile cache may do.

SQLite can share a write-ahead log between processes only through a VFS of its own, so connections on this one
are in exclusive locking mode.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR_BYTES = 512


@dataclass
class DiskFile:
    """What the disk holds for sure, and what it was told since."""

    durable: bytes
    length: int
    writes: list[tuple[int, bytes]] = field(default_factory=list)  # since the last fsync
    truncated: bool = False


class Disk:
    """All files below `directory`, as a disk with a volatile cache holds them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: dict[Path, DiskFile] = {}
        self.operations = 0
        self.lock = threading.RLock()
        self.off = False
        self.off_at: int | None = None
        self.when_off: Callable[[], object] = lambda: None

    def still_on(self) -> bool:
        """Asked before each write, truncation and fsync: here the power may go."""
        if not self.off:
            self.operations += 1
            if self.operations == self.off_at:
                self.off = True
                self.when_off()
        return not self.off

    def unsynced(self, suffix: str) -> int:
        """How many writes to files ending so the disk may still forget."""
        with self.lock:
            return sum(len(file.writes) for path, file in self.files.items() if path.name.endswith(suffix))

    def put_what_is_left(self, into: Path, random: Random) -> None:
        """Writes what the disk holds after the power went into files of the new directory `into`."""
        into.mkdir()
        for path, file in self.files.items():
            (into / path.name).write_bytes(_what_is_left(file, random))


class PowerLossFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._disk = disk
        super().__init__("unix", name, flags)
        with disk.lock:
            if path not in disk.files:
                content = path.read_bytes()
                disk.files[path] = DiskFile(content, len(content))
            self._file = disk.files[path]
            self._path = path

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        with self._disk.lock:
            if self._disk.still_on():
                self._file.writes.append((offset, bytes(data)))
                self._file.length = max(self._file.length, offset + len(data))
            super().xWrite(data, offset)

    def xTruncate(self, length: int) -> None:  # noqa: N802
        with self._disk.lock:
            if self._disk.still_on():
                self._file.truncated = True
                self._file.length = length
            super().xTruncate(length)

    def xSync(self, flags: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xSync(flags)
            if self._disk.still_on():
                self._file.durable = self._path.read_bytes()
                self._file.writes.clear()
                self._file.truncated = False


class PowerLossVFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__("powerloss", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return PowerLossFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        with self._disk.lock:
            super().xDelete(filename, syncdir)
            if self._disk.still_on():
                self._disk.files.pop(Path(filename), None)


@contextmanager
def disk_that_can_lose_power(directory: Path) -> Iterator[Disk]:
    """Within, every connection of apsw is on the disk, whoever opens it."""

    def lock_exclusively(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    disk = Disk(directory)
    vfs = PowerLossVFS(disk)
    apsw.connection_hooks.append(lock_exclusively)
    try:
        yield disk
    finally:
        apsw.connection_hooks.remove(lock_exclusively)
        vfs.unregister()


def _what_is_left(file: DiskFile, random: Random) -> bytes:
    """The durable content with some sectors of the later writes upon it."""
    keeps = random.choice([0.0, 0.3, 0.7, 1.0])
    content = bytearray(file.durable)
    if file.truncated and random.random() < 0.5:
        del content[file.length :]
    sectors = [
        (offset + start, data[start : start + SECTOR_BYTES])
        for offset, data in file.writes
        for start in range(0, len(data), SECTOR_BYTES)
    ]
    kept = [sector for sector in sectors if random.random() < keeps]
    if random.random() < 0.5:
        random.shuffle(kept)
    if kept and random.random() < 0.5:
        position, data = kept[-1]
        kept[-1] = (position, data[: random.randrange(len(data) + 1)])
    for position, data in kept:
        if len(content) < position + len(data):
            # A file may have grown before its data came: what stands there is anything.
            content += random.randbytes(position + len(data) - len(content))
        content[position : position + len(data)] = data
    return bytes(content)
