"""How a file of the SQLite log is created and opened, so that what SQLite calls committed is on the disk.

apsw and not the standard library's module: it brings its own recent SQLite, and tests can put a VFS under it
that forgets what was not fsynced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from footfall.eventlog.log import LogError

PAGE_BYTES = 16384
"""Records are 1 to 100 KB: with pages of 4 KB each takes a chain of pages, and a third more CPU time."""

CHECKPOINT_BYTES = 16 << 20
"""The write-ahead log is moved into the file when it has grown to this size."""

SYNCHRONOUS = "FULL"  # a commit returns after the write-ahead log was fsynced
BUSY_MILLISECONDS = 10_000


def make_directory(directory: Path) -> None:
    """Creates the directory and its parents so that they survive a power loss."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_directory(path.parent)


def create_file(path: Path, schema: str) -> None:
    """Creates a file with its tables at once: under `path` there is never a half-made one."""
    unfinished = path.with_name(path.name + ".new")
    for leftover in (unfinished, Path(f"{unfinished}-journal"), Path(f"{unfinished}-wal")):
        leftover.unlink(missing_ok=True)
    connection = apsw.Connection(str(unfinished))
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"BEGIN; {schema}; COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    unfinished.replace(path)
    _sync_directory(path.parent)


def connect(path: Path) -> apsw.Connection:
    """Opens an existing file; everything that can be read from it afterwards is durable."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    connection.execute(f"PRAGMA journal_size_limit = {2 * CHECKPOINT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{8 << 10}")
    connection.wal_autocheckpoint(0)
    # After a kill, recovery finds commits whose fsync may never have ended. A checkpoint fsyncs the
    # write-ahead log first: only then is what we see as durable as it looks.
    checkpoint(connection)


@contextmanager
def naming(path: Path, if_damaged: str) -> Iterator[None]:
    """Turns SQLite's errors within into LogError that names the file; `if_damaged`: what to do then."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:  # the last: its tables are not ours
        raise LogError(f"{path} is damaged, or no file of ours ({error}): {if_damaged}") from error
    except (apsw.FullError, apsw.IOError) as error:
        raise LogError(f"{path}: {error}: is the disk full, or does it fail?") from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.AuthError) as error:
        raise LogError(f"{path}: {error}: give this user the right to read and write it") from error
    except apsw.Error as error:
        raise LogError(f"{path}: {type(error).__name__}: {error}") from error


def checkpoint(connection: apsw.Connection) -> None:
    """Moves the write-ahead log into the file as far as readers allow; fsyncs both."""
    with suppress(apsw.BusyError, apsw.LockedError):  # another connection is at it: theirs serves as well
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


@contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """Takes the write lock at the start, so that nobody writes between our reads and our writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        raise


def first_value(connection: apsw.Connection, sql: str) -> int:
    """The first column of the first row, an integer."""
    for row in connection.execute(sql):
        return int(row[0])
    raise LookupError(f"no row: {sql}")


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # there a directory cannot be opened, nor need be
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
