"""A consistent copy of an installation's data while it runs, for a backup.

Between two blocks the processor stands still for as long as the engine takes to freeze its tables (hard
links, well under a second). The log is copied after that, with nothing truncated in between, and the copy's
committed offsets are those of the freeze: what was processed later is processed again after a restore, on a
store that does not have it. So log and store agree, and every record is stored exactly once.
"""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import apsw

from footfall.eventlog.log import Log
from footfall.eventlog.partitions import IMPORTS
from footfall.eventlog.sqlite_log import write_offsets
from footfall.eventlog.sqlite_partition import file_name
from footfall.storage.store import Query, Store
from footfall.workspace.opening import ANCHOR_SUFFIX

FREEZE_NAME = "footfall_backup"
PLACE = "snapshot"
"""Where in the home a snapshot is made; whoever takes it away removes it."""

_IMPORTS_LOG = file_name(IMPORTS)
_ANNOUNCED = "SELECT pending_offset FROM position WHERE pending_offset IS NOT NULL"
_END = "SELECT end_offset FROM state"
_TRIES = 1_000

NOT_COPIED = ("events_restamped",)
"""Tables that only hold what is being worked on."""

_TABLES = """
SELECT name, engine, create_table_query, if(empty(data_paths), '', data_paths[1])
FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary
ORDER BY engine = 'Dictionary', name"""


class CannotSnapshot(BlockingIOError):  # noqa: N818 - reads as what it is
    """The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the store: how it is made, and how many rows it had."""

    name: str
    create: str
    rows: int
    kind: Literal["copied", "empty", "dictionary"]


AtRest = Callable[[], AbstractContextManager[Mapping[int, int]]]
"""Keeps the processor still between two blocks; gives the next offset to process of each log partition."""


class Snapshots:
    """Takes one snapshot at a time of a home with an embedded store and log."""

    def __init__(
        self,
        store: Store,
        log: Log,
        home: Path,
        at_rest: AtRest,
        keeping_log: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`keeping_log`: nothing is truncated within."""
        self._store = store
        self._log = log
        self._home = home
        self._at_rest = at_rest
        self._keeping_log = keeping_log
        self._taking = threading.Lock()

    def take(self) -> dict[str, Any]:
        """Makes `<home>/snapshot`; what is in it. CannotSnapshot, StoreError, OSError."""
        if not self._taking.acquire(blocking=False):
            raise CannotSnapshot("a snapshot is being taken: wait for its end")
        try:
            with self._keeping_log():
                return self._take()
        finally:
            self._taking.release()

    def _take(self) -> dict[str, Any]:
        place = self._home / PLACE
        shutil.rmtree(place, ignore_errors=True)
        # All of it: a freeze that was killed leaves a counter there that the engine cannot read any more.
        shutil.rmtree(self._home / "store" / "shadow", ignore_errors=True)
        place.mkdir(mode=0o700)
        with self._at_rest() as at_rest:
            tables = self._freeze(place)
            positions = dict(at_rest)
        # In this order: what refers to the log is never newer than the log.
        copy_anchor(self._home / f"workspace.db{ANCHOR_SUFFIX}", place)
        copy_database(self._home / "workspace.db", place / "workspace.db")
        copy_imports(self._home, place)
        for file in sorted((self._home / "log").glob("partition-*.db")):
            if file.name != _IMPORTS_LOG:
                copy_database(file, place / "log" / file.name)
        write_offsets(place / "log", positions)
        return {
            "tables": [
                {"name": table.name, "create": table.create, "rows": table.rows, "kind": table.kind}
                for table in tables
            ],
            "positions": {str(partition): offset for partition, offset in positions.items()},
        }

    def _freeze(self, place: Path) -> list[Table]:
        tables = []
        for name, engine, create, path in self._store.rows(Query(_TABLES)).rows:
            kind: Literal["copied", "empty", "dictionary"] = "copied"
            rows = 0
            if engine == "Dictionary":
                kind = "dictionary"
            elif name in NOT_COPIED:
                kind = "empty"
            else:
                self._store.command(f"ALTER TABLE `{name}` FREEZE WITH NAME '{FREEZE_NAME}'")
                frozen = self._home / "store" / "shadow" / FREEZE_NAME / Path(*Path(path).parts[-3:])
                target = place / "store" / str(name)
                target.parent.mkdir(exist_ok=True, mode=0o700)
                if frozen.exists():
                    frozen.rename(target)
                    # Of the frozen parts: a merge may have changed the table's count already.
                    rows = sum(int(file.read_text()) for file in target.glob("*/count.txt"))
            tables.append(Table(str(name), str(create), rows, kind))
        return tables


def copy_anchor(anchor: Path, place: Path) -> None:
    """The audit log's anchor, before its rows: it must not know of a row that the copy does not have."""
    if anchor.exists():
        with anchor.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH)
            (place / anchor.name).write_bytes(opened.read())


def copy_imports(home: Path, place: Path) -> None:
    """Saved positions of imports and the log of imports, of one moment. With a log that has more batches than
    the position knows of, the import would go on too early in the copy, and bring those rows again.
    CannotSnapshot if there is no such moment.
    """
    with ExitStack() as opened:
        log = [_reader(file, opened) for file in (home / "log").glob(_IMPORTS_LOG)]
        journals = [_reader(file, opened) for file in sorted((home / "imports").glob("*.db"))]
        for _ in range(_TRIES):
            if _begun_together(journals, log):
                break
            for reader in (*journals, *log):
                reader.execute("ROLLBACK")
        else:
            raise CannotSnapshot(
                "an import that is running left no moment at which its position and its log agree: "
                "take the backup again, or when the import has ended"
            )
        for reader in (*journals, *log):
            target = place / Path(reader.filename).relative_to(home.resolve())
            _copy(reader, target)


def _begun_together(journals: Sequence[apsw.Connection], log: Sequence[apsw.Connection]) -> bool:
    """Begins to read all; whether the log has no batch behind the one that a journal announced last."""
    announced: list[int] = []
    for journal in journals:
        journal.execute("BEGIN")
        with suppress(apsw.SQLError):  # no table yet: it is being made
            announced += [each for (each,) in journal.execute(_ANNOUNCED)]
    end = 0
    for partition in log:
        partition.execute("BEGIN")
        end = next(iter(partition.execute(_END)))[0]
    return all(offset >= end - 1 for offset in announced)


def copy_database(source: Path, target: Path) -> None:
    """A SQLite file of one moment, also while others write to it."""
    with ExitStack() as opened:
        _copy(_reader(source, opened), target)


def _reader(source: Path, opened: ExitStack) -> apsw.Connection:
    reader = apsw.Connection(str(source.resolve()), flags=apsw.SQLITE_OPEN_READWRITE)
    opened.callback(reader.close)
    reader.set_busy_timeout(10_000)
    return reader


def _copy(reader: apsw.Connection, target: Path) -> None:
    """What the reader's transaction sees, if it has one."""
    target.parent.mkdir(exist_ok=True, mode=0o700)
    with closing(apsw.Connection(str(target))) as writer:
        with writer.backup("main", reader, "main") as copying:
            copying.step(-1)
        writer.execute("PRAGMA journal_mode = WAL")
