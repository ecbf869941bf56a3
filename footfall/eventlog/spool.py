"""The spool's file: log records that wait on a collector's own disk, with what the log needs to take each.

A partition of a SqliteLog for each lane. What a record says of itself beside its payload (key, tally, when it
came) goes before the payload, since the file's own tallies are sums.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from footfall.crash_points import reach
from footfall.eventlog.log import DamagedRecord, Tally
from footfall.eventlog.sqlite_log import SqliteLog

_READ_BYTES: Final = 1 << 20
_WAVE_RECORDS: Final = 512
_UNCOUNTED: Final = Tally("", "", 0, 0)
"""The spool counts nothing: the log does, once it has the record."""

_log = structlog.get_logger(__name__)


class _Head(msgspec.Struct, array_like=True):
    key: bytes
    project: str
    door: str
    minute: int
    count: int
    at: float


class Spooled(NamedTuple):
    """One record that waits."""

    offset: int
    payload: bytes
    tally: Tally
    key: bytes
    at: float  # Unix time at which it came


_write_head = msgspec.msgpack.Encoder().encode
_read_head = msgspec.msgpack.Decoder(_Head).decode


def _pack(payload: bytes, tally: Tally, key: bytes) -> bytes:
    """A record as it lies in the file."""
    head = _write_head(_Head(key, tally.project, tally.door, tally.minute, tally.count, time.time()))
    return len(head).to_bytes(4, "big") + head + payload


def _unpack(offset: int, packed: bytes) -> Spooled:
    end = 4 + int.from_bytes(packed[:4], "big")
    head = _read_head(packed[4:end])
    tally = Tally(head.project, head.door, head.minute, head.count)
    return Spooled(offset, packed[end:], tally, head.key, head.at)


class Spool:
    """One lane's. Appending is safe in several threads; what drains it is one thread."""

    def __init__(self, directory: Path, lane: int, *, max_bytes: int) -> None:
        """LogError if another process has it."""
        self._directory = directory
        self._log = SqliteLog(directory, max_bytes=max_bytes)
        self._lane = lane
        self._writer = self._log.open_writer(lane)
        self._is_clean = False

    def append(self, payload: bytes, tally: Tally, key: bytes) -> Future[int]:
        """Durable when the future is done; it may raise LogFull, LogClosed."""
        return self._writer.append(_pack(payload, tally, key), _UNCOUNTED)

    @property
    def waiting(self) -> int:
        """Records that wait."""
        return self._log.position(self._lane).lag

    @property
    def stored_bytes(self) -> int:
        """What the records in the file take, of the limit."""
        return self._log.stored_bytes(self._lane)

    def next_wave(self) -> list[Spooled]:
        """The oldest records, of each key one at most: they may be appended all at once, and their order by
        key is kept.
        """
        wave: list[Spooled] = []
        keys: set[bytes] = set()
        for record in self._read():
            if record.key in keys or len(wave) == _WAVE_RECORDS:
                break
            keys.add(record.key)
            wave.append(record)
        return wave

    def drained(self, before: int) -> None:
        """Records before that offset are in the log. No byte of them stays once nothing waits."""
        self._is_clean = False
        self._log.commit(self._lane, before)
        reach("S2")
        self._log.truncate(self._lane, before)

    def put_aside(self, record: Spooled, why: Exception) -> None:
        """Keeps in a file of its own what the log will never take: it was accepted, and is not lost."""
        place = self._directory / "refused" / f"{self._lane}-{record.offset}.record"
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with place.open("wb") as file:
            file.write(record.payload)
            file.flush()
            os.fsync(file.fileno())
        _log.error("spool.refused_record", file=str(place), project=record.tally.project, error=str(why))

    def tidy(self) -> None:
        """Takes what was drained out of the file's free space, too, where nothing waits."""
        if not self._is_clean and not self.waiting:
            self._is_clean = self._log.scrub(self._lane)

    def close(self) -> None:
        """What was appended is durable."""
        self._writer.close()
        self._log.close()

    def _read(self) -> Iterator[Spooled]:
        position = self._log.position(self._lane)
        first = position.committed
        while first < position.end:
            try:
                records = self._log.read(self._lane, first, _READ_BYTES)
            except DamagedRecord as damage:
                _log.error("spool.damaged_record", lane=self._lane, offset=damage.offset)
                first = damage.offset + 1
                continue
            if not records:
                return
            for record in records:
                yield _unpack(record.offset, record.payload)
            first = records[-1].offset + 1
