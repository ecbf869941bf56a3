"""A partition of the SQLite log: one file, its tables, and the few statements that read and write them.

records   offset -> packing, payload in that packing, its checksum
tallies   (project, door, minute) -> count, of everything ever appended
state     one row: first_offset (below it all was truncated), end_offset, stored_bytes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import apsw
import zstandard

from footfall.eventlog.log import DamagedRecord, LogRecord, Tally
from footfall.eventlog.sqlite_file import write_transaction

RECORD_OVERHEAD_BYTES = 64
"""What a record costs beside its payload, so that a byte limit also bounds many tiny records."""

REMOVED_RECORDS_AT_ONCE = 512
REMOVED_BYTES_AT_ONCE = 8 << 20
"""What one transaction of a truncation removes at most: the writer waits no longer than that takes."""

PACKED_FROM_BYTES = 1024
"""Smaller payloads are stored as they are."""

_PLAIN, _ZSTD = 0, 1

SCHEMA = """
CREATE TABLE records (
    offset INTEGER PRIMARY KEY, packing INTEGER NOT NULL, checksum INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE tallies (
    project TEXT NOT NULL, door TEXT NOT NULL, minute INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (project, door, minute)
) WITHOUT ROWID;
CREATE TABLE state (
    first_offset INTEGER NOT NULL, end_offset INTEGER NOT NULL, stored_bytes INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0)
"""


class State(NamedTuple):
    """The row of `state`."""

    first_offset: int
    end_offset: int
    stored_bytes: int


def file_name(partition: int) -> str:
    return f"partition-{partition:04d}.db"


def partition_of(file: Path) -> int:
    return int(file.stem.removeprefix("partition-"))


class PackedRecord(NamedTuple):
    """A record in the form in which it is stored."""

    packing: int
    payload: bytes
    tally: Tally

    @property
    def size(self) -> int:
        """How much of the byte limit it takes."""
        return len(self.payload) + RECORD_OVERHEAD_BYTES


class Packer:
    """Compresses payloads that are worth it; not thread-safe.

    20 JSON events shrink to a fifth in 9 us; what is not stored need not be written twice, fsynced and read.
    """

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=-1).compress

    def pack(self, payload: bytes, tally: Tally) -> PackedRecord:
        if len(payload) >= PACKED_FROM_BYTES:
            packed = self._compress(payload)
            if len(packed) < len(payload):
                return PackedRecord(_ZSTD, packed, tally)
        return PackedRecord(_PLAIN, payload, tally)


def read_state(connection: apsw.Connection) -> State:
    for row in connection.execute("SELECT first_offset, end_offset, stored_bytes FROM state"):
        return State(*row)
    raise apsw.CorruptError("the table state has lost its row")


def insert_records(connection: apsw.Connection, state: State, records: Sequence[PackedRecord]) -> None:
    """Stores records at the end, with their counts; the caller's transaction makes it one."""
    first = state.end_offset
    rows = [
        (offset, record.packing, _checksum(offset, record.payload), record.payload)
        for offset, record in enumerate(records, first)
    ]
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
    counts: Counter[tuple[str, str, int]] = Counter()
    for _, _, tally in records:
        counts[tally.project, tally.door, tally.minute] += tally.count
    connection.executemany(
        "INSERT INTO tallies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(*key, count) for key, count in counts.items()],
    )
    connection.execute(
        "UPDATE state SET end_offset = ?, stored_bytes = ?",
        (first + len(rows), state.stored_bytes + sum(record.size for record in records)),
    )


def start_at(connection: apsw.Connection, offset: int) -> None:
    """Lets offsets begin at `offset`, where they stand below it.

    When a partition's file was lost while the committed offset survived, records numbered from 0 again would
    look processed and never be read.
    """
    with write_transaction(connection):
        connection.execute(
            "UPDATE state SET first_offset = ?1, end_offset = ?1 WHERE end_offset < ?1", (offset,)
        )


def read_records(
    connection: apsw.Connection, partition: int, first: int, limit_bytes: int
) -> list[LogRecord]:
    """As Log.read says; `connection` is in a transaction."""
    state = read_state(connection)
    offset = max(first, state.first_offset)
    records: list[LogRecord] = []
    size = 0
    while offset < state.end_offset:
        try:
            for payload in _payloads(connection, partition, offset):
                size += len(payload)
                if records and size > limit_bytes:
                    return records
                records.append(LogRecord(partition, offset, payload))
                offset += 1
            return records
        except DamagedRecord:
            if records:
                return records
            raise
        except apsw.CorruptError:
            # The scan met a page that SQLite itself cannot follow: its neighbours may still be reachable.
            if records:
                return records
            records.append(_single_record(connection, partition, offset))
            size += len(records[0].payload)
            offset += 1
    return records


def remove_records(connection: apsw.Connection, before: int) -> int:
    """Removes some of the oldest records below `before`, in one short transaction; returns how many."""
    with write_transaction(connection):
        last, count, size = -1, 0, 0
        for offset, payload_bytes in connection.execute(
            "SELECT offset, length(payload) FROM records WHERE offset < ? ORDER BY offset LIMIT ?",
            (before, REMOVED_RECORDS_AT_ONCE),
        ):
            last, count, size = offset, count + 1, size + payload_bytes + RECORD_OVERHEAD_BYTES
            if size >= REMOVED_BYTES_AT_ONCE:
                break
        if count:
            connection.execute("DELETE FROM records WHERE offset <= ?", (last,))
            connection.execute(
                "UPDATE state SET first_offset = ?, stored_bytes = max(0, stored_bytes - ?)", (last + 1, size)
            )
    return count


def read_tallies(connection: apsw.Connection) -> list[Tally]:
    rows = connection.execute("SELECT project, door, minute, count FROM tallies")
    return [Tally(*row) for row in rows]


def _payloads(
    connection: apsw.Connection, partition: int, first: int, condition: str = "offset >= ? ORDER BY offset"
) -> Iterator[bytes]:
    """Payloads of the offsets first, first + 1, ... as long as they are there and whole."""
    expected = first
    rows = connection.execute(
        f"SELECT offset, packing, checksum, payload FROM records WHERE {condition}",  # noqa: S608 - our own text
        (first,),
    )
    unpack = zstandard.ZstdDecompressor().decompress
    for offset, packing, checksum, payload in rows:
        if offset != expected or checksum != _checksum(offset, payload):
            raise DamagedRecord(partition, expected)
        yield unpack(payload) if packing == _ZSTD else payload
        expected += 1


def _single_record(connection: apsw.Connection, partition: int, offset: int) -> LogRecord:
    try:
        for payload in _payloads(connection, partition, offset, "offset = ?"):
            return LogRecord(partition, offset, payload)
    except apsw.CorruptError as error:
        raise DamagedRecord(partition, offset) from error
    raise DamagedRecord(partition, offset)


def _checksum(offset: int, payload: bytes) -> int:
    """Also of the offset: a whole record at the wrong place is damage too."""
    return crc32(payload, offset & 0xFFFFFFFF)
