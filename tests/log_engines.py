"""The implementations of the log as tests restart and hurt them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Protocol

import apsw

from footfall.eventlog.log import Log, LogWriter, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.sqlite_log import SqliteLog

PLENTY = 1 << 30
TALLY = Tally("bank", "native", 29_000_000, 1)


class Engine(Protocol):
    """A log that can be restarted and hurt."""

    def open(self, max_bytes: int = PLENTY) -> Log: ...

    def restart(self, log: Log) -> Log:
        """The log as another process would find it after this one ended."""
        ...

    def damage(self, log: Log, partition: int, offset: int) -> None:
        """Flips a bit of a stored payload."""
        ...


class MemoryEngine:
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


def append_all(writer: LogWriter, payloads: list[bytes], tally: Tally = TALLY) -> list[int]:
    futures = [writer.append(payload, tally) for payload in payloads]
    return [future.result(10) for future in futures]


def payloads_of(log: Log, partition: int = 0, first: int = 0, limit_bytes: int = PLENTY) -> list[bytes]:
    return [record.payload for record in log.read(partition, first, limit_bytes)]
