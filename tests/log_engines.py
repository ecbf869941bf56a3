"""The implementations of the log as tests restart and hurt them."""

from __future__ import annotations

import itertools
import os
import struct
import time
from pathlib import Path
from typing import Protocol

import apsw
import pytest

from footfall.eventlog.log import Log, LogWriter, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.opening import open_log
from footfall.eventlog.sqlite_log import SqliteLog

PLENTY = 1 << 30
TALLY = Tally("bank", "native", 29_000_000, 1)


class Engine(Protocol):
    """A log that can be restarted and hurt."""

    has_byte_limit: bool
    """Else `max_bytes` means nothing to it."""

    routes: bool
    """Whether it has a fixed number of partitions, with any number of writers each."""

    def open(self, max_bytes: int = PLENTY) -> Log: ...

    def restart(self, log: Log) -> Log:
        """The log as another process would find it after this one ended."""
        ...

    def damage(self, log: Log, partition: int, offset: int) -> None:
        """Flips a bit of a stored payload."""
        ...


class MemoryEngine:
    has_byte_limit = True
    routes = False

    def open(self, max_bytes: int = PLENTY) -> Log:
        return MemoryLog(max_bytes=max_bytes)

    def restart(self, log: Log) -> Log:
        return log

    def damage(self, log: Log, partition: int, offset: int) -> None:
        assert isinstance(log, MemoryLog)
        records = log._partitions[partition].records
        payload, checksum = records[offset]
        records[offset] = (bytes([payload[0] ^ 1]) + payload[1:], checksum)


class SqliteEngine:
    has_byte_limit = True
    routes = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._max_bytes = PLENTY

    def open(self, max_bytes: int = PLENTY) -> Log:
        self._max_bytes = max_bytes
        return SqliteLog(self._directory, max_bytes=max_bytes)

    def restart(self, log: Log) -> Log:
        log.close()
        return SqliteLog(self._directory, max_bytes=self._max_bytes)

    def damage(self, log: Log, partition: int, offset: int) -> None:
        connection = apsw.Connection(str(self._directory / f"partition-{partition:04d}.db"))
        rows = connection.execute("SELECT first_offset, directory, payloads FROM groups").fetchall()
        first, directory, payloads = max(row for row in rows if row[0] <= offset)
        lengths = [length for _, length, _ in struct.iter_unpack("<BII", directory)]
        hurt = bytearray(payloads)
        hurt[sum(lengths[: offset - first])] ^= 1
        connection.execute("UPDATE groups SET payloads = ? WHERE first_offset = ?", (bytes(hurt), first))
        connection.close()


class KafkaEngine:
    """A topic of its own on a broker that others use, too."""

    has_byte_limit = False
    routes = True
    _numbers = itertools.count()

    def __init__(self, bootstrap: str, data: Path | None) -> None:
        """`data` is the broker's directory, where it can be reached."""
        self._data = data
        self.topic = f"log-{os.getpid()}-{next(self._numbers)}-{time.time_ns()}"
        self.url = f"kafka://{bootstrap}/{self.topic}?partitions=3&truncate=yes"

    def open(self, max_bytes: int = PLENTY) -> Log:
        return open_log(self.url, max_bytes=max_bytes)

    def restart(self, log: Log) -> Log:
        log.close()
        return self.open()

    def damage(self, log: Log, partition: int, offset: int) -> None:
        if self._data is None:
            pytest.skip("the broker's files are out of reach")
        (segment,) = (self._data / f"{self.topic}-{partition}").glob("*.log")
        content = bytearray(segment.read_bytes())
        at = 0
        while True:
            base, length = struct.unpack_from(">qi", content, at)
            (delta,) = struct.unpack_from(">i", content, at + 23)
            if base <= offset <= base + delta:
                break
            at += 12 + length
        content[at + 12 + length - 1] ^= 1
        with segment.open("r+b") as file:  # in place: the broker has it open
            file.seek(at + 12 + length - 1)
            file.write(content[at + 12 + length - 1 : at + 12 + length])


def append_all(writer: LogWriter, payloads: list[bytes], tally: Tally = TALLY) -> list[int]:
    futures = [writer.append(payload, tally) for payload in payloads]
    return [future.result(10) for future in futures]


def payloads_of(log: Log, partition: int = 0, first: int = 0, limit_bytes: int = PLENTY) -> list[bytes]:
    return [record.payload for record in log.read(partition, first, limit_bytes)]
