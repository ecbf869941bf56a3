"""A partition of the SQLite log: one file, its tables, and the few statements that read and write them.

groups    first_offset -> records that were committed together: a directory with (packing, length, checksum)
          of each, and their payloads one behind the other
tallies   (project, door, minute) -> count, of everything ever appended
state     one row: first_offset (below it all was truncated), end_offset, stored_bytes

A row is a group and not a record, and one statement stores it with its counts (the trigger `arrive`): each
call into SQLite hands Python's lock to another thread, and to get it back costs more than the call.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import apsw
import zstandard

from footfall.eventlog.log import RECORD_OVERHEAD_BYTES, DamagedRecord, LogRecord, Tally
from footfall.eventlog.sqlite_file import write_transaction

REMOVED_RECORDS_AT_ONCE = 512
REMOVED_BYTES_AT_ONCE = 8 << 20
"""What one transaction of a truncation removes at most: the writer waits no longer than that takes."""

PACKED_FROM_BYTES = 1024
"""Smaller payloads are stored as they are."""

_PLAIN, _ZSTD = 0, 1
_ENTRY = struct.Struct("<BII")

SCHEMA = f"""
CREATE TABLE groups (
    first_offset INTEGER PRIMARY KEY, records INTEGER NOT NULL,
    directory BLOB NOT NULL, payloads BLOB NOT NULL
);
CREATE TABLE tallies (
    project TEXT NOT NULL, door TEXT NOT NULL, minute INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (project, door, minute)
) WITHOUT ROWID;
CREATE TABLE state (
    first_offset INTEGER NOT NULL, end_offset INTEGER NOT NULL, stored_bytes INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0);
CREATE VIEW arriving AS
    SELECT 0 AS first_offset, 0 AS records, x'' AS directory, x'' AS payloads, '[]' AS tallies;
CREATE TRIGGER arrive INSTEAD OF INSERT ON arriving BEGIN
    INSERT INTO groups VALUES (new.first_offset, new.records, new.directory, new.payloads);
    UPDATE state SET
        end_offset = new.first_offset + new.records,
        stored_bytes = stored_bytes + length(new.payloads) + {RECORD_OVERHEAD_BYTES} * new.records;
    INSERT INTO tallies
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(new.tallies) WHERE true
        ON CONFLICT DO UPDATE SET count = count + excluded.count;
END
"""  # noqa: S608 - a number of ours


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
    Each payload for itself, so that damage to one does not spread.
    """

    def __init__(self) -> None:
        self._compress_all = zstandard.ZstdCompressor(level=-1).multi_compress_to_buffer

    def pack(self, group: Sequence[tuple[bytes, Tally]]) -> list[PackedRecord]:
        long: list[bytes | bytearray | memoryview[int]] = [
            payload for payload, _ in group if len(payload) >= PACKED_FROM_BYTES
        ]
        packed = iter(self._compress_all(long)) if long else iter(())
        return [
            _shorter(payload, next(packed).tobytes(), tally)
            if len(payload) >= PACKED_FROM_BYTES
            else PackedRecord(_PLAIN, payload, tally)
            for payload, tally in group
        ]


def _shorter(payload: bytes, packed: bytes, tally: Tally) -> PackedRecord:
    if len(packed) < len(payload):
        return PackedRecord(_ZSTD, packed, tally)
    return PackedRecord(_PLAIN, payload, tally)


def read_state(connection: apsw.Connection) -> State:
    for row in connection.execute("SELECT first_offset, end_offset, stored_bytes FROM state"):
        return State(*row)
    raise apsw.CorruptError("the table state has lost its row")


def insert_group(connection: apsw.Connection, first: int, records: Sequence[PackedRecord]) -> None:
    """Stores records at the end, from offset `first` on, with their counts; durable when it returns."""
    directory = [
        _ENTRY.pack(packing, len(payload), _checksum(offset, packing, payload))
        for offset, (packing, payload, _) in enumerate(records, first)
    ]
    counts: Counter[tuple[str, str, int]] = Counter()
    for _, _, tally in records:
        counts[tally.project, tally.door, tally.minute] += tally.count
    connection.execute(
        "INSERT INTO arriving VALUES (?, ?, ?, ?, ?)",
        (
            first,
            len(records),
            b"".join(directory),
            b"".join([payload for _, payload, _ in records]),
            json.dumps([(*key, count) for key, count in counts.items()]),
        ),
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
    first = max(first, state.first_offset)
    if first >= state.end_offset:
        return []
    try:
        return _take(_records(connection.execute(_GROUPS + _FROM, (first,)), partition, first), limit_bytes)
    except apsw.CorruptError:
        pass  # the scan met a page that SQLite itself cannot follow: the group may still be reachable alone
    try:
        return _take(_records(connection.execute(_GROUPS + _ALONE, (first,)), partition, first), limit_bytes)
    except apsw.CorruptError as error:
        raise DamagedRecord(partition, first) from error


def remove_records(connection: apsw.Connection, before: int) -> int:
    """Removes some of the oldest records below `before`, in one short transaction; returns how many.

    They are gone for readers at once; their space is free when their whole group is.
    """
    with write_transaction(connection):
        state = read_state(connection)
        before = min(before, state.end_offset)
        first, end, size = state.first_offset, 0, 0
        for group_first, directory in connection.execute(
            "SELECT first_offset, directory FROM groups WHERE first_offset < ? ORDER BY first_offset",
            (before,),
        ):
            entries = _read_directory(directory)
            end = min(before, group_first + len(entries))
            gone = entries[max(0, first - group_first) : end - group_first]
            size += sum([length + RECORD_OVERHEAD_BYTES for _, length, _ in gone])
            if end - first >= REMOVED_RECORDS_AT_ONCE or size >= REMOVED_BYTES_AT_ONCE:
                break
        else:
            end = before
        if end <= first:
            return 0
        connection.execute(
            "DELETE FROM groups WHERE first_offset < ?1 AND first_offset + records <= ?1", (end,)
        )
        connection.execute(
            "UPDATE state SET first_offset = ?, stored_bytes = max(0, stored_bytes - ?)", (end, size)
        )
    return end - first


def cut_first_group(connection: apsw.Connection) -> None:
    """Takes removed records out of the group that also holds the first one that is kept."""
    with write_transaction(connection):
        first = read_state(connection).first_offset
        found = connection.execute(
            "SELECT first_offset, directory, payloads FROM groups WHERE first_offset < ?1"
            " AND first_offset + records > ?1",
            (first,),
        ).fetchone()
        if found is None:
            return
        group_first, directory, payloads = found
        entries = _read_directory(directory)
        gone = first - group_first
        size = sum([length for _, length, _ in entries[:gone]])
        connection.execute(
            "UPDATE groups SET first_offset = ?, records = ?, directory = ?, payloads = ?"
            " WHERE first_offset = ?",
            (first, len(entries) - gone, directory[gone * _ENTRY.size :], payloads[size:], group_first),
        )


def read_tallies(connection: apsw.Connection) -> list[Tally]:
    rows = connection.execute("SELECT project, door, minute, count FROM tallies")
    return [Tally(*row) for row in rows]


_Group = tuple[int, bytes, bytes]  # first_offset, directory, payloads

# Cast, since damage may also have changed what kind of value it is.
_GROUPS = "SELECT first_offset, CAST(directory AS BLOB), CAST(payloads AS BLOB) FROM groups "
_FROM = "WHERE first_offset >= (SELECT max(first_offset) FROM groups WHERE first_offset <= ?) ORDER BY 1"
_ALONE = "WHERE first_offset <= ? ORDER BY 1 DESC LIMIT 1"


def _records(groups: Iterable[_Group], partition: int, first: int) -> Iterator[LogRecord]:
    """Records from offset `first` on; the groups begin with the one that should hold it.

    DamagedRecord where the next record should be and is not, or is not whole.
    """
    unpack = zstandard.ZstdDecompressor().decompress
    expected = first
    for group_first, directory, payloads in groups:
        end = 0
        for offset, (packing, length, checksum) in enumerate(_read_directory(directory), group_first):
            start, end = end, end + length
            if offset < expected:
                continue
            payload = payloads[start:end]
            if offset > expected or checksum != _checksum(offset, packing, payload):
                raise DamagedRecord(partition, expected)
            yield LogRecord(partition, offset, unpack(payload) if packing == _ZSTD else payload)
            expected += 1
    if expected == first:
        raise DamagedRecord(partition, first)


def _read_directory(directory: bytes) -> list[tuple[int, int, int]]:
    """(packing, length, checksum) of each record; what is no whole entry, being damaged, is left out."""
    return list(_ENTRY.iter_unpack(directory[: len(directory) // _ENTRY.size * _ENTRY.size]))


def _take(records: Iterator[LogRecord], limit_bytes: int) -> list[LogRecord]:
    """The first, and those behind it that fit in `limit_bytes` with it and are whole."""
    taken = [next(records)]
    size = len(taken[0].payload)
    try:
        for record in records:
            size += len(record.payload)
            if size > limit_bytes:
                break
            taken.append(record)
    except (DamagedRecord, apsw.CorruptError):
        pass  # the next read begins there, and says so
    return taken


def _checksum(offset: int, packing: int, payload: bytes) -> int:
    """Also of the offset: a whole record at the wrong place is damage too."""
    return crc32(payload, (2 * offset + packing) & 0xFFFFFFFF)
