"""The log for tests and demonstrations: everything in memory, gone with the process.

It keeps every law but the first one's second half: nothing survives the process that holds it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from zlib import crc32

from footfall.eventlog.lanes import place
from footfall.eventlog.log import (
    RECORD_OVERHEAD_BYTES,
    DamagedRecord,
    LogClosed,
    LogError,
    LogFull,
    LogRecord,
    LogWriter,
    Membership,
    Owner,
    Position,
    Tally,
)


@dataclass(slots=True)
class _Partition:
    records: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # offset -> payload, checksum
    tallies: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    first: int = 0
    end: int = 0
    committed: int = 0
    stored_bytes: int = 0
    has_writer: bool = False


class MemoryLog:
    """Log in memory. `max_bytes` bounds the stored records of each partition."""

    def __init__(self, *, max_bytes: int, routes: bool = False, numbers: int = 1) -> None:
        """Where it `routes`, a lane has so many partitions (`numbers`)."""
        self._max_bytes = max_bytes
        self._numbers = numbers
        self._lock = threading.Lock()
        self._partitions: dict[int, _Partition] = {}
        self.routes = routes

    def open_writer(self, partition: int) -> LogWriter:
        """LogError if the partition has a writer already."""
        with self._lock:
            if self.routes:
                lane = range(partition, partition + self._numbers)
                opened_lane = {each: self._partitions.setdefault(each, _Partition()) for each in lane}
                writers = {
                    each: MemoryLogWriter(each, found, self._lock, self._max_bytes)
                    for each, found in opened_lane.items()
                }
                return _LaneWriter(partition, writers)
            opened = self._partitions.setdefault(partition, _Partition())
            if opened.has_writer:
                raise LogError(f"partition {partition} has a writer already")
            opened.has_writer = True
        return MemoryLogWriter(partition, opened, self._lock, self._max_bytes)

    def join(self, owner: Owner, name: str = "") -> Membership:  # noqa: ARG002
        """All numbers: there is nobody else in a process."""
        if not self.routes:
            raise LogError("a log that does not route is processed by one")
        owner.assign(range(self._numbers))
        return _AllNumbers(owner, range(self._numbers))

    def partitions(self) -> Sequence[int]:
        return sorted(self._partitions)

    def position(self, partition: int) -> Position:
        with self._lock:
            found = self._partition(partition)
            return Position(committed=found.committed, end=found.end)

    def positions(self) -> Mapping[int, Position]:
        return {partition: self.position(partition) for partition in self.partitions()}

    def read(self, partition: int, first: int, limit_bytes: int) -> Sequence[LogRecord]:
        records: list[LogRecord] = []
        size = 0
        with self._lock:
            found = self._partition(partition)
            for offset in range(max(first, found.first), found.end):
                payload, checksum = found.records[offset]
                size += len(payload)
                if records and size > limit_bytes:
                    break
                if checksum != crc32(payload):
                    if records:
                        break
                    raise DamagedRecord(partition, offset)
                records.append(LogRecord(partition, offset, payload))
        return records

    def commit(self, partition: int, next_offset: int) -> None:
        with self._lock:
            found = self._partition(partition)
            if next_offset > found.end:
                raise LogError(
                    f"partition {partition} ends at {found.end}: offset {next_offset} cannot be committed yet"
                )
            found.committed = max(found.committed, next_offset)

    def truncate(self, partition: int, before: int) -> int:
        with self._lock:
            found = self._partition(partition)
            removed = range(found.first, max(found.first, min(before, found.committed)))
            for offset in removed:
                payload, _ = found.records.pop(offset)
                found.stored_bytes -= _stored_size(payload)
            found.first = removed.stop
            return len(removed)

    def scrub(self, partition: int) -> bool:
        self.truncate(partition, self.position(partition).committed)
        return True

    def tallies(self, partition: int) -> Iterator[Tally]:
        return iter(self.tallies_and_end(partition)[0])

    def tallies_and_end(self, partition: int) -> tuple[list[Tally], int]:
        with self._lock:
            found = self._partition(partition)
            return [Tally(*key, count) for key, count in sorted(found.tallies.items())], found.end

    def close(self) -> None:
        """Keeps what it holds: as long as the object lives, it can be read again."""

    def _partition(self, partition: int) -> _Partition:
        try:
            return self._partitions[partition]
        except KeyError:
            raise LogError(
                f"no partition {partition} in memory: there are {sorted(self._partitions)}"
            ) from None


@dataclass(frozen=True, slots=True)
class _AllNumbers:
    """The one membership of a log in memory."""

    owner: Owner
    numbers: range

    def close(self) -> None:
        self.owner.revoke(self.numbers, 0.0)


class MemoryLogWriter:
    """LogWriter of a partition in memory: durable, as far as memory goes, at once."""

    routes = False

    def __init__(self, number: int, partition: _Partition, lock: threading.Lock, max_bytes: int) -> None:
        self._number = number
        self._partition = partition
        self._lock = lock
        self._max_bytes = max_bytes
        self._closed = False

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:  # noqa: ARG002
        future: Future[int] = Future()
        try:
            future.set_result(self._store(payload, tally))
        except LogError as error:
            future.set_exception(error)
        return future

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:  # noqa: ARG002
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._store(payload, tally))
        except LogError as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._partition.has_writer = False

    def _store(self, payload: bytes, tally: Tally) -> int:
        with self._lock:
            partition = self._partition
            if self._closed:
                raise LogClosed(f"the writer of partition {self._number} is closed")
            if partition.stored_bytes + _stored_size(payload) > self._max_bytes:
                raise LogFull(f"the log is at its limit of {self._max_bytes} bytes")
            offset = partition.end
            partition.records[offset] = (payload, crc32(payload))
            partition.tallies[tally.project, tally.door, tally.minute] += tally.count
            partition.stored_bytes += _stored_size(payload)
            partition.end += 1
            return offset


class _LaneWriter:
    """LogWriter of a lane: hands each record to the partition of its key."""

    routes = True

    def __init__(self, lane: int, writers: dict[int, MemoryLogWriter]) -> None:
        self._lane = lane
        self._writers = writers

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        return self._of(key).append(payload, tally)

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:
        return self._of(key).append_async(payload, tally)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _of(self, key: bytes) -> MemoryLogWriter:
        return self._writers[place(key, self._lane, len(self._writers))]


def _stored_size(payload: bytes) -> int:
    return len(payload) + RECORD_OVERHEAD_BYTES
