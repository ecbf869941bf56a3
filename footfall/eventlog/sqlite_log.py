"""The log of one machine: a SQLite file a partition, one collector worker its writer, the engine its reader.

    <directory>/partition-0000.db     records, tallies and state of partition 0 (sqlite_partition.py)
    <directory>/partition-0000.lock   held by the partition's one writer
    <directory>/offsets.db            what the engine has processed; only the engine writes it

Durable: write-ahead log with `synchronous = FULL`. SQLite shows a commit to other connections only after the
fsync, so what a reader sees is durable.

Truncation is done by the reader, in small transactions of its own, and not by the writer: so it also works
for a partition whose worker is down or no longer configured, and can say how many records it removed. SQLite
lets one process write at a time; a transaction of either side lasts milliseconds, and the other one waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from footfall.crash_points import reach
from footfall.eventlog import sqlite_partition as partition_file
from footfall.eventlog.group_commit import Appended, GroupCommit, Outcome
from footfall.eventlog.log import (
    LogError,
    LogFull,
    LogRecord,
    LogWriter,
    Membership,
    Owner,
    Position,
    Tally,
)
from footfall.eventlog.sqlite_file import (
    CHECKPOINT_BYTES,
    PAGE_BYTES,
    checkpoint,
    connect,
    create_file,
    first_value,
    make_directory,
    naming,
)
from footfall.eventlog.sqlite_partition import PackedRecord

KEPT_FREE_BYTES = 64 << 20
"""Free space that a partition's file keeps for what comes next, instead of giving it back."""

SCRUBBED_BYTES = 256 << 20
"""While more waits than this, a file is not rewritten: its writer would wait for seconds."""

_SHRUNK_AT_ONCE = 256  # pages
_SCRUB_SECONDS = 10.0

_IF_PARTITION_DAMAGED = (
    "stop Footfall and restore the whole home from a backup; without one, move this file and those beside it "
    "that begin with its name elsewhere and start again: what was processed is in the store, what waited in "
    "the file is lost but for what can be read out of it (sqlite3 <file> .recover)"
)
_IF_OFFSETS_DAMAGED = (
    "stop Footfall, move this file elsewhere and start again: where to go on is found out from the store"
)
_OFFSETS_SCHEMA = "CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)"


class SqliteLog:
    """Log on SQLite files. `max_bytes` bounds the stored (packed) records of each partition."""

    routes = False

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._readers: dict[int, _Reader] = {}
        self._offsets: _Reader | None = None
        make_directory(directory)

    def open_writer(self, partition: int) -> LogWriter:
        """LogError if the partition has a writer already, in this or another process."""
        file = self._directory / partition_file.file_name(partition)
        writer_lock = _take_writer_lock(file.with_suffix(".lock"))
        try:
            committed = self._committed(partition)
            with naming(file, _IF_PARTITION_DAMAGED):
                if not file.exists():
                    create_file(file, partition_file.SCHEMA)
                connection = connect(file)
                try:
                    partition_file.start_at(connection, committed)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            writer_lock.close()
            raise
        return SqliteLogWriter(file, connection, writer_lock, self._max_bytes)

    def join(self, owner: Owner, name: str = "") -> Membership:  # noqa: ARG002
        raise LogError("a log in SQLite files is processed by one process")

    def partitions(self) -> Sequence[int]:
        return sorted(partition_file.partition_of(file) for file in self._directory.glob("partition-*.db"))

    def position(self, partition: int) -> Position:
        # The end first: it only grows, so lag is never negative.
        with self._reader(partition).transaction() as connection:
            end = partition_file.read_state(connection).end_offset
        return Position(committed=min(self._committed(partition), end), end=end)

    def positions(self) -> Mapping[int, Position]:
        return {partition: self.position(partition) for partition in self.partitions()}

    def read(self, partition: int, first: int, limit_bytes: int) -> Sequence[LogRecord]:
        with self._reader(partition).transaction() as connection:
            return partition_file.read_records(connection, partition, first, limit_bytes)

    def commit(self, partition: int, next_offset: int) -> None:
        end = self.position(partition).end
        if next_offset > end:
            raise LogError(
                f"partition {partition} ends at {end}: offset {next_offset} cannot be committed yet"
            )
        with self._offsets_reader(create=True).exclusive() as connection:
            connection.execute(
                "INSERT INTO offsets VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)",
                (partition, next_offset),
            )

    def truncate(self, partition: int, before: int) -> int:
        before = min(before, self._committed(partition))
        removed = 0
        with self._reader(partition).exclusive() as connection:
            connection.set_busy_handler(_poll_quickly(patience_seconds=5))
            try:
                while count := partition_file.remove_records(connection, before):
                    removed += count
                    reach("P3")
                if removed:
                    _give_space_back(connection)
                    checkpoint(connection)
            except apsw.BusyError:
                pass  # the writer is saturated: what is left goes with the next truncation
        return removed

    def scrub(self, partition: int) -> bool:
        """Rewrites the file: SQLite leaves deleted bytes in free pages and in the write-ahead log."""
        committed = self._committed(partition)
        self.truncate(partition, committed)
        with self._reader(partition).exclusive() as connection:
            state = partition_file.read_state(connection)
            if state.first_offset < min(committed, state.end_offset) or state.stored_bytes > SCRUBBED_BYTES:
                return False
            partition_file.cut_first_group(connection)
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("VACUUM")
            give_up_at = time.monotonic() + _SCRUB_SECONDS
            while True:
                try:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                    return True
                except (apsw.BusyError, apsw.LockedError):
                    if time.monotonic() > give_up_at:
                        return False
                    time.sleep(0.01)

    def stored_bytes(self, partition: int) -> int:
        """What the partition's records take of its limit."""
        with self._reader(partition).transaction() as connection:
            return partition_file.read_state(connection).stored_bytes

    def tallies(self, partition: int) -> Iterator[Tally]:
        return iter(self.tallies_and_end(partition)[0])

    def tallies_and_end(self, partition: int) -> tuple[list[Tally], int]:
        with self._reader(partition).transaction() as connection:
            return partition_file.read_tallies(connection), partition_file.read_state(connection).end_offset

    def close(self) -> None:
        with self._lock:
            readers, self._readers = list(self._readers.values()), {}
            if self._offsets is not None:
                readers.append(self._offsets)
                self._offsets = None
        for reader in readers:
            reader.close()

    def _reader(self, partition: int) -> _Reader:
        with self._lock:
            if partition not in self._readers:
                file = self._directory / partition_file.file_name(partition)
                if not file.exists():
                    raise LogError(
                        f"no partition {partition} in {self._directory}: there are {self.partitions()}"
                    )
                self._readers[partition] = _Reader(file, _IF_PARTITION_DAMAGED)
            return self._readers[partition]

    def _offsets_reader(self, *, create: bool) -> _Reader:
        file = self._directory / "offsets.db"
        with self._lock:
            if self._offsets is None:
                if create and not file.exists():
                    with naming(file, _IF_OFFSETS_DAMAGED):
                        create_file(file, _OFFSETS_SCHEMA)
                self._offsets = _Reader(file, _IF_OFFSETS_DAMAGED)
            return self._offsets

    def _committed(self, partition: int) -> int:
        if not (self._directory / "offsets.db").exists():
            return 0
        with self._offsets_reader(create=False).exclusive() as connection:
            row = connection.execute(
                "SELECT next_offset FROM offsets WHERE partition = ?", (partition,)
            ).fetchone()
        return 0 if row is None else int(row[0])


def write_offsets(directory: Path, offsets: Mapping[int, int]) -> None:
    """A new file of committed offsets in a directory that is no log in use: for a copy of a log."""
    make_directory(directory)
    file = directory / "offsets.db"
    create_file(file, _OFFSETS_SCHEMA)
    connection = connect(file)
    try:
        connection.executemany("INSERT INTO offsets VALUES (?, ?)", list(offsets.items()))
    finally:
        connection.close()


class SqliteLogWriter:
    """LogWriter of a partition's file."""

    routes = False

    def __init__(
        self, file: Path, connection: apsw.Connection, lock: apsw.Connection, max_bytes: int
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._max_bytes = max_bytes
        self._packer = partition_file.Packer()
        self._state: partition_file.State | None = None  # as far as we know it without asking the file
        self._wal_pages = 0
        connection.set_wal_hook(self._note_wal_pages)
        connection.set_commit_hook(_about_to_commit)
        self._groups = GroupCommit(file.stem, self._store, self._close_file)
        self.append = self._groups.append  # bound here: an append is too frequent for one more call
        self.append_async = self._groups.append_async
        self.close = self._groups.close

    def _store(self, group: Sequence[Appended]) -> Sequence[Outcome]:
        # Between two groups, not within a commit: no record waits for a checkpoint after it is durable.
        if self._wal_pages * PAGE_BYTES >= CHECKPOINT_BYTES:
            checkpoint(self._connection)
        packed = self._packer.pack(group)
        state, self._state = self._state, None  # if this fails, only the file knows
        if state is None or state.stored_bytes + _size(packed) > self._max_bytes:
            state = partition_file.read_state(self._connection)  # the reader may have made room
        outcomes, accepted = self._admit(state, packed)
        if accepted:
            try:
                partition_file.insert_group(self._connection, state.end_offset, accepted)
            except apsw.FullError:
                return [LogFull("the disk is full")] * len(group)
        self._state = state._replace(
            end_offset=state.end_offset + len(accepted), stored_bytes=state.stored_bytes + _size(accepted)
        )
        reach("P2")
        return outcomes

    def _admit(
        self, state: partition_file.State, group: Sequence[PackedRecord]
    ) -> tuple[list[Outcome], Sequence[PackedRecord]]:
        """An offset or LogFull for each record, and the records that fit into the byte limit."""
        if state.stored_bytes + _size(group) <= self._max_bytes:
            return list(range(state.end_offset, state.end_offset + len(group))), group
        full = LogFull(f"the log is at its limit of {self._max_bytes} bytes")
        outcomes: list[Outcome] = []
        accepted: list[PackedRecord] = []
        stored_bytes = state.stored_bytes
        for record in group:
            if stored_bytes + record.size > self._max_bytes:
                outcomes.append(full)
                continue
            outcomes.append(state.end_offset + len(accepted))
            accepted.append(record)
            stored_bytes += record.size
        return outcomes, accepted

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _close_file(self) -> None:
        self._connection.close()
        self._lock.close()


def _about_to_commit() -> bool:
    reach("P1")
    return False  # go on


def _size(records: Sequence[PackedRecord]) -> int:
    return sum([record.size for record in records])


class _Reader:
    """A connection that several threads take turns with."""

    def __init__(self, file: Path, if_damaged: str) -> None:
        """LogError, which tells to do `if_damaged`, now or later, when that is what it is."""
        self._lock = threading.Lock()
        self._file = file
        self._if_damaged = if_damaged
        with naming(file, if_damaged):
            self._connection = connect(file)

    @contextmanager
    def exclusive(self) -> Iterator[apsw.Connection]:
        with self._lock, naming(self._file, self._if_damaged):
            yield self._connection

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """All that is read within is of one moment."""
        with self._lock, naming(self._file, self._if_damaged):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if not self._connection.get_autocommit():  # SQLite itself ends what meets a damaged page
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _take_writer_lock(file: Path) -> apsw.Connection:
    """An empty SQLite file, locked until the connection is closed or its process ends, however it ends."""
    with naming(file, "delete it: nothing is kept in it"):
        connection = apsw.Connection(str(file))
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except apsw.BusyError as error:
            connection.close()
            raise LogError(f"{file.stem} has a writer already: {file} is locked") from error
        except apsw.Error:
            connection.close()
            raise
        return connection


def _poll_quickly(patience_seconds: float) -> Callable[[int], bool]:
    """A busy handler that tries often: a busy writer leaves its file free only for moments."""
    give_up_at = time.monotonic() + patience_seconds

    def wait(_attempts: int) -> bool:
        time.sleep(0.0005)
        return time.monotonic() < give_up_at

    return wait


def _give_space_back(connection: apsw.Connection) -> None:
    """Shrinks the file when more of it is free than in use and than we keep; moves few pages at a time."""
    while True:
        free = first_value(connection, "PRAGMA freelist_count")
        pages = first_value(connection, "PRAGMA page_count")
        if free * PAGE_BYTES <= KEPT_FREE_BYTES or free * 2 <= pages:
            return
        for _ in connection.execute(f"PRAGMA incremental_vacuum({_SHRUNK_AT_ONCE})"):
            pass
