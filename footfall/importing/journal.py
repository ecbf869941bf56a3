"""How far an import came: a SQLite file beside the data, one for each file and mapping.

Before a batch goes into the log, the journal says so durably, with the offset that the batch will have there.
After a kill the log itself tells whether it has it: its end lies behind that offset, or not. So nothing
depends on how long ago that was, nor on repeats being recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from footfall.importing.faults import ImportRefused
from footfall.sealing import CannotUnseal, Sealer

_SCHEMA: Final = """
CREATE TABLE position (
    file TEXT NOT NULL, project TEXT NOT NULL, rows INTEGER NOT NULL, accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL, pending_offset INTEGER, pending_rows INTEGER NOT NULL,
    is_appended INTEGER NOT NULL, is_finished INTEGER NOT NULL
);
CREATE TABLE ordinals (record INTEGER PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE rejected (
    line INTEGER PRIMARY KEY, reason TEXT NOT NULL, field TEXT NOT NULL, message TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE TABLE kept_as_text (property TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""


_SETTLE: Final = """
UPDATE position SET
    is_appended = pending_offset < ?1,
    pending_rows = iif(pending_offset < ?1, pending_rows, 0),
    pending_offset = NULL
WHERE pending_offset IS NOT NULL"""


_PLACE: Final = "import"  # of sealed rows


class RejectedRow(NamedTuple):
    """A row that was turned away."""

    line: int
    reason: str
    field: str
    message: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """Where an import stands."""

    rows: int = 0  # of the file: in the log, or rejected, and their effects in the journal
    accepted: int = 0
    rejected: int = 0
    pending_rows: int = 0  # the batch behind them, if it was announced
    is_appended: bool = False  # and whether the log has it
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class Effects:
    """What a batch leaves behind, applied once the log has it."""

    rows: int
    accepted: int
    rejected: Sequence[RejectedRow]
    ordinals: Mapping[int, int]  # how often a record's hash has come so far
    kept_as_text: Mapping[str, int]


class Journal:
    """Of one import. Durable after each call."""

    def __init__(self, path: Path, file: str, project: str, sealer: Sealer | None = None) -> None:
        """`sealer` seals the rows that were turned away: they may hold anything."""
        self._sealer = sealer
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._connection = apsw.Connection(str(path))
        try:
            self._connection.set_busy_timeout(5_000)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._connection:
                if not list(self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")):
                    self._connection.execute(_SCHEMA)
                    self._connection.execute(
                        "INSERT INTO position VALUES (?, ?, 0, 0, 0, NULL, 0, 0, 0)", (file, project)
                    )
        except apsw.Error as error:
            self._connection.close()
            raise ImportRefused(
                f"{path}: the saved position cannot be read ({error}): "
                "delete the file to import from the beginning"
            ) from error

    def close(self) -> None:
        self._connection.close()

    def position(self) -> Position:
        for rows, accepted, rejected, pending, appended, finished in self._connection.execute(
            "SELECT rows, accepted, rejected, pending_rows, is_appended, is_finished FROM position"
        ):
            return Position(rows, accepted, rejected, pending, bool(appended), bool(finished))
        raise ImportRefused(
            f"{self.path}: the saved position is lost: delete the file to import from the beginning"
        )

    def advance(self, done: Effects | None, *, offset: int = 0, rows: int = 0) -> None:
        """The batch before is in the log; one of `rows` rows is about to get `offset` (0 rows: none is)."""
        with self._connection:
            if done is not None:
                self._apply(done)
            self._connection.execute(
                "UPDATE position SET pending_offset = ?, pending_rows = ?, is_appended = 0",
                (offset if rows else None, rows),
            )

    def finish(self) -> None:
        """All rows are in the log."""
        with self._connection:
            self._connection.execute("UPDATE position SET is_finished = 1")
            self._connection.execute("DELETE FROM ordinals")

    def _apply(self, done: Effects) -> None:
        self._connection.execute(
            "UPDATE position SET rows = rows + ?, accepted = accepted + ?, rejected = rejected + ?",
            (done.rows, done.accepted, len(done.rejected)),
        )
        if done.ordinals:
            self._connection.executemany(
                "INSERT OR REPLACE INTO ordinals VALUES (?, ?)", done.ordinals.items()
            )
        if done.rejected:
            self._connection.executemany(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?)",
                [row._replace(raw=self._seal(row.raw)) for row in done.rejected],
            )
        for name, count in done.kept_as_text.items():
            self._connection.execute(
                "INSERT INTO kept_as_text VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET count = count + excluded.count",
                (name, count),
            )

    def ordinal(self, record: int) -> int:
        """How often a record came before the batch in work."""
        for (count,) in self._connection.execute("SELECT count FROM ordinals WHERE record = ?", (record,)):
            return int(count)
        return 0

    def rejected(self) -> Iterator[RejectedRow]:
        """All rows that were turned away, in the order of their lines."""
        for row in self._connection.execute(
            "SELECT line, reason, field, message, raw FROM rejected ORDER BY line"
        ):
            told = RejectedRow(*row)
            yield told._replace(raw=self._unseal(told.raw))

    def _seal(self, raw: bytes) -> bytes:
        return raw if self._sealer is None else self._sealer.seal(raw, _PLACE)

    def _unseal(self, raw: bytes) -> bytes:
        """Rows of an import that was begun before they were sealed are read as they are."""
        if self._sealer is not None:
            with suppress(CannotUnseal):
                return self._sealer.unseal(raw, _PLACE)
        return raw

    def rejected_by_reason(self) -> list[tuple[str, str, int, int, str]]:
        """(reason, field, how many, first line, its message), the most frequent first."""
        sql = (
            "SELECT reason, field, count(*) AS many, min(line), message FROM rejected"
            " GROUP BY reason, field ORDER BY many DESC, 4"
        )
        return list(self._connection.execute(sql))

    def kept_as_text(self) -> dict[str, int]:
        """Values that were not of their property's type, by property."""
        return dict(self._connection.execute("SELECT property, count FROM kept_as_text ORDER BY property"))


def settle_all(directory: Path, end: int) -> None:
    """Every import that was cut off learns whether the log has its last batch, before more comes."""
    for path in sorted(directory.glob("*.db")):
        with suppress(apsw.Error):  # damaged: its own import says so
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.set_busy_timeout(5_000)
                connection.execute(_SETTLE, (end,))
            finally:
                connection.close()
