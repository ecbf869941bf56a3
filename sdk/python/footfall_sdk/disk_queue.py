"""Where records wait until the server has them: a SQLite file that survives the process.

WAL with synchronous=NORMAL: what was appended survives a killed process; power loss may take the last
moments. Records leave from the front only, and only once they have a verdict. A file that cannot be read is
put aside as `*.damaged-<time>` and a fresh one begun. Without a usable directory the queue is in memory.
"""

from __future__ import annotations

import ctypes
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from footfall_sdk.losses import Loss, Losses
from footfall_sdk.queue_files import FileClaim, claim_abandoned, claim_file

_log = logging.getLogger("footfall_sdk")
_Result = TypeVar("_Result")

_FORK_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS losses (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
_SIZE = "SELECT count(*), coalesce(sum(length(record)), 0), max(id) FROM records"
_ADD_LOSS = (
    "INSERT INTO losses VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record at the front of the queue."""

    id: int
    record: bytes


class DiskQueue:
    """First in, first out; in memory without a directory. Thread-safe.

    sqlite3.Error comes out where the disk fails (full, gone).
    """

    def __init__(self, directory: Path | None, max_bytes: int, losses: Losses) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._losses = losses
        self._lock = threading.RLock()
        self._held = False
        self._claim: FileClaim | None = None
        self._connection: sqlite3.Connection | None = None
        self._bytes = 0
        self._last_id = 0
        self._count = 0

    def append(self, records: Sequence[bytes], losses: dict[str, int]) -> int:
        """Stores the records that fit and adds to the losses, in one transaction; returns how many fit."""

        def insert(connection: sqlite3.Connection) -> int:
            fitting, size = self._fitting(records)
            with connection:
                connection.executemany("INSERT INTO records (record) VALUES (?)", [(r,) for r in fitting])
                connection.executemany(_ADD_LOSS, list(losses.items()))
            if fitting:
                self._last_id = int(connection.execute("SELECT max(id) FROM records").fetchone()[0])
            self._bytes += size
            self._count += len(fitting)
            return len(fitting)

        return self._run(insert)

    def front(self, max_records: int, max_bytes: int) -> list[Waiting]:
        """The oldest records: at least one if there is one, else as many as fit in `max_bytes`."""

        def read(connection: sqlite3.Connection) -> list[Waiting]:
            rows = connection.execute("SELECT id, record FROM records ORDER BY id LIMIT ?", (max_records,))
            batch: list[Waiting] = []
            size = 0
            for row_id, record in rows.fetchall():
                size += len(record)
                if batch and size > max_bytes:
                    break
                batch.append(Waiting(row_id, record))
            return batch

        return self._run(read)

    def remove(self, settled: Sequence[Waiting]) -> None:
        """Forgets records that have a verdict."""

        def delete(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("DELETE FROM records WHERE id = ?", [(w.id,) for w in settled])
            self._bytes -= sum(len(w.record) for w in settled)
            self._count -= len(settled)

        self._run(delete)

    def losses(self) -> dict[str, int]:
        """Counts that the server has not been told, from this process and from those before."""
        told = "SELECT reason, count FROM losses WHERE count > 0"
        return self._run(lambda connection: dict(connection.execute(told).fetchall()))

    def forget_losses(self, told: dict[str, int]) -> None:
        """Takes off what the server has been told."""

        def subtract(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(_ADD_LOSS, [(reason, -count) for reason, count in told.items()])

        self._run(subtract)

    @property
    def last_id(self) -> int:
        """Id of the record appended last."""
        return self._last_id

    @property
    def count(self) -> int:
        """Records that wait."""
        return self._count

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None
            self._release()

    def hold_for_fork(self) -> None:
        """Before a fork: waits until no thread is inside SQLite, whose locks a child would inherit shut."""
        self._held = self._lock.acquire(timeout=_FORK_SECONDS)

    def release_after_fork(self) -> None:
        """In the parent: goes on."""
        if self._held:
            self._held = False
            self._lock.release()

    def abandon_after_fork(self) -> None:
        """In a forked child: file and connection are the parent's, never to be used or closed here."""
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None
        self._release()

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _fitting(self, records: Sequence[bytes]) -> tuple[Sequence[bytes], int]:
        size = sum(map(len, records))
        if self._bytes + size <= self._max_bytes:
            return records, size
        fitting: list[bytes] = []
        size = 0
        for record in records:  # a prefix: what is kept stays in order
            if self._bytes + size + len(record) > self._max_bytes:
                break
            fitting.append(record)
            size += len(record)
        self._losses.add(Loss.QUEUE_FULL, len(records) - len(fitting))
        return fitting, size

    def _run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with self._lock:
            try:
                return work(self._connection or self._open())
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:  # malformed, or not a database at all
                self._put_aside(error)
                return work(self._connection or self._open())

    def _open(self) -> sqlite3.Connection:
        directory = self._directory
        if directory is None:
            return self._open_in_memory()
        try:
            self._claim = self._claim or claim_file(directory)
        except OSError as error:
            _log.warning("no queue on disk, records wait in memory only: %s", error)
            return self._open_in_memory()
        connection = self._use(_connect(self._claim.path))
        self._adopt_abandoned(directory)
        return connection

    def _open_in_memory(self) -> sqlite3.Connection:
        return self._use(sqlite3.connect(":memory:", check_same_thread=False))

    def _use(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Counts what is there and makes it the queue's connection; a damaged file shows itself here."""
        try:
            connection.executescript(_SCHEMA)
            self._count, self._bytes, last = connection.execute(_SIZE).fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        if last is None and self._last_id:  # a fresh file in place of a damaged one: ids go on
            connection.execute("INSERT INTO sqlite_sequence VALUES ('records', ?)", (self._last_id,))
            connection.commit()
        self._last_id = last or self._last_id
        self._connection = connection
        return connection

    def _adopt_abandoned(self, directory: Path) -> None:
        """Takes over what processes that ended left in their own files."""
        for claim in claim_abandoned(directory):
            try:
                self._take_over(claim.path)
            except (sqlite3.Error, OSError) as error:
                _log.warning("cannot take over %s: %s", claim.path, error)
            finally:
                claim.release()

    def _take_over(self, path: Path) -> None:
        other = _connect(path)
        try:
            records = [record for (record,) in other.execute("SELECT record FROM records ORDER BY id")]
            losses = dict(other.execute("SELECT reason, count FROM losses"))
            if self._bytes + sum(map(len, records)) > self._max_bytes:
                return  # stays where it is until there is room
            self.append(records, losses)  # dying here sends some twice, under the same event ids
            other.close()
            _unlink(path)
        finally:
            other.close()

    def _put_aside(self, error: sqlite3.Error) -> None:
        """Renames the damaged file, for somebody to look at, and begins anew."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if self._claim is None:
            return
        path = self._claim.path
        aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
        with suppress(OSError):
            path.rename(aside)
        _unlink(path)
        self._losses.add(Loss.QUEUE_DAMAGED)
        _log.error("the queue file %s is damaged (%s): put aside as %s", path, error, aside.name)


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _unlink(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(OSError):
            path.with_name(name).unlink(missing_ok=True)
