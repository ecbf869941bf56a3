"""The audit log: who did what to whom, in rows that cannot be changed unnoticed.

A row is chained to the one before it (footfall/workspace/audit_chain.py) and is durable before `record`
returns, so that nothing is answered that is not in the log. Personal data does not belong here: an id of a
person is recorded as `hashed` gives it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Row, Select, delete, func, insert, select, true
from sqlalchemy.exc import SQLAlchemyError

from footfall.workspace.audit_anchor import NO_ROWS, Anchor, Head
from footfall.workspace.audit_archive import Written, read_rows, write_rows
from footfall.workspace.audit_chain import (
    ANCHOR_LOST,
    ARCHIVED,
    START,
    AuditKey,
    AuditRow,
    Finding,
    canonical_detail,
    check_rows,
    shortened,
)
from footfall.workspace.tables import audit

COMMAND_LINE = "command line"
"""The actor of what commands on this machine do."""

FOOTFALL = "footfall"
"""The actor of what the server does by itself."""

KEPT_DAYS = 184
"""Rows stay in the database for at least six months; only then may they be moved to a file."""

_PAGE = 5_000
_DAY = 86_400_000
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS audit_is_never_{done} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
_REFUSED = (("changed", "UPDATE"), ("deleted", "DELETE"))


class AuditUnavailable(Exception):  # noqa: N818 - reads as what it is
    """What was done cannot be recorded now, and so must not be answered."""


class CannotArchive(Exception):  # noqa: N818 - reads as what it is
    """The text says why rows stay where they are."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows to show; None: any. Times are epoch milliseconds, `until` is not included."""

    project: str | None = None
    actor: str | None = None
    action: str | None = None  # "export.events", or "export." for all that begin so
    subject: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` saw. `head` is worth keeping elsewhere: see `verify`."""

    rows: int
    head: Head
    findings: tuple[Finding, ...]


class Audit:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, key: AuditKey, anchor: Path, clock: Callable[[], int]) -> None:
        """`anchor` is the file beside the database; `clock` gives epoch milliseconds."""
        self._engine = engine
        self._key = key
        self._anchor = Anchor(anchor, key)
        self._clock = clock

    def record(
        self, actor: str, action: str, project: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> AuditRow:
        """Appends a row; it is durable on return. Call it before what was done is answered.

        `actor` is Grant.actor, COMMAND_LINE or FOOTFALL; `action` a noun and a verb ("plan.change");
        `project` "" where it concerns all. AuditUnavailable if the row could not be written: then do not
        answer.
        """
        said = AuditRow(
            0,
            self._clock(),
            shortened(actor),
            action,
            project,
            shortened(subject),
            canonical_detail(detail or {}),
            START,
            START,
        )
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                row = self._append(connection, said)
                connection.commit()
            self._anchor.advance(Head(row.sequence, row.mac))
        except (SQLAlchemyError, OSError) as error:
            raise AuditUnavailable(f"the audit log cannot be written: {error}") from error
        return row

    def hashed(self, project: str, text: str) -> str:
        """What stands in the log for an id of a person or for the text of a query: 32 hex digits.

        The same for the same text, so that rows about a person can be found by whoever knows the id.
        """
        return self._key.hashed(project, text)

    def rows(self, wanted: AuditFilter, *, after: int = 0, limit: int | None = None) -> Iterator[AuditRow]:
        """Rows by number, those after `after`."""
        query = _filtered(wanted).where(audit.c.sequence > after).limit(limit)
        with self._engine.connect() as connection:
            for row in connection.execute(query.execution_options(yield_per=_PAGE)):
                yield _row(row)

    def newest(self, wanted: AuditFilter, limit: int) -> list[AuditRow]:
        """The newest rows, oldest first."""
        query = _filtered(wanted).order_by(None).order_by(audit.c.sequence.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_row(row) for row in connection.execute(query)][::-1]

    def verify(self, expected: Head | None = None, archives: Sequence[Path] = ()) -> Verified:
        """Checks every row, the chain and the anchor; the rows of archives, too. ArchiveUnusable.

        `expected` is a head that was noted elsewhere: it proves that nothing up to it was written anew, even
        by somebody who has the installation's key, or who put back an older copy of everything.
        """
        # First the anchor: rows that others write meanwhile are newer than it.
        anchored = self._anchor.read()
        known = _Known(anchored, expected)
        rows = chain(read_rows(archives), self.rows(AuditFilter()))
        findings = list(check_rows(self._key, known.watch(rows)))
        findings += known.findings(self._anchor.file)
        findings.sort(key=lambda each: (each.sequence is None, each.sequence or 0))
        return Verified(known.count, known.head, tuple(findings))

    def archive(self, file: Path, before: int, actor: str) -> Written | None:
        """Moves the rows before an instant (epoch milliseconds) to a file; None if there are none.

        The chain goes on: a row says which rows went, and `verify` takes the file beside the rest.
        CannotArchive for rows that are younger than KEPT_DAYS, or a log with findings; ArchiveUnusable for
        the file.
        """
        oldest = self._clock() - KEPT_DAYS * _DAY
        if before > oldest:
            raise CannotArchive(f"rows stay in the database for {KEPT_DAYS} days: name an earlier day")
        if findings := self.verify().findings:
            named = f"row {findings[0].sequence}" if findings[0].sequence else "the log"
            raise CannotArchive(f"{named}: {findings[0].message}: see `footfall audit verify` first")
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            kept = connection.scalar(select(func.min(audit.c.sequence)).where(audit.c.time >= before))
            gone = true() if kept is None else audit.c.sequence < kept
            moved = connection.execute(select(audit).where(gone).order_by(audit.c.sequence))
            written = write_rows(file, map(_row, moved))
            if written is None:
                return None
            head = self._append(connection, _archived(written, file, actor, self._clock()))
            forget(connection, delete(audit).where(audit.c.sequence <= written.last.sequence))
            connection.commit()
        self._anchor.advance(Head(head.sequence, head.mac))
        return written

    def _append(self, connection: Connection, said: AuditRow) -> AuditRow:
        newest = select(audit).order_by(audit.c.sequence.desc()).limit(1)
        last = connection.execute(newest).first()
        at = Head(last.sequence, last.mac) if last is not None else NO_ROWS
        anchored = self._anchor.read()
        if anchored is None and last is None:
            self._anchor.advance(NO_ROWS)  # from now on a missing anchor is a taken one
        elif anchored is None:
            lost = replace(said, actor=FOOTFALL, action=ANCHOR_LOST, project="", subject="", detail="{}")
            at = self._insert(connection, lost, at)
        elif anchored.sequence >= at.sequence:
            at = anchored  # further than the table only if rows were cut off: the gap remains for `verify`
        head = self._insert(connection, said, at)
        return replace(said, sequence=head.sequence, previous=at.mac, mac=head.mac)

    def _insert(self, connection: Connection, said: AuditRow, at: Head) -> Head:
        row = replace(said, sequence=at.sequence + 1, previous=at.mac)
        row = replace(row, mac=self._key.mac(row))
        connection.execute(insert(audit).values(asdict(row)))
        return Head(row.sequence, row.mac)


class _Known:
    """What `verify` must see in the rows beside each row's own rightness."""

    def __init__(self, anchored: Head | None, expected: Head | None) -> None:
        self.count = 0
        self.head = NO_ROWS
        self._anchored = anchored
        self._wanted = {head.sequence: head for head in (expected, anchored) if head is not None}
        self._expected = expected
        self._seen: dict[int, str] = {}
        self._first: AuditRow | None = None
        self._archived: set[tuple[int, str]] = set()

    def watch(self, rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            self.count += 1
            self.head = Head(row.sequence, row.mac)
            self._first = self._first or row
            if row.sequence in self._wanted:
                self._seen[row.sequence] = row.mac
            if row.action == ARCHIVED:
                self._archived.add(_end_of_archive(row))
            yield row

    def findings(self, anchor: Path) -> Iterator[Finding]:
        first = self._first
        if first is None and (self._anchored is None or self._anchored == NO_ROWS):
            yield Finding(None, "there is no row: nothing was recorded yet, or all of it was taken away")
        elif first is not None and first.sequence == 1 and first.previous != START:
            yield Finding(1, "is not the first row that was written")
        elif first is not None and first.sequence > 1 and not self._is_archived(first):
            yield Finding(1, f"missing, and all rows up to {first.sequence - 1}: no archive holds them")
        if self._anchored is None and first is not None:
            yield Finding(None, f"the anchor {anchor} is missing, or not of this installation")
        elif self._anchored is not None:
            yield from self._check("the anchor", self._anchored)
        if self._expected is not None:
            yield from self._check("the head that you gave", self._expected)

    def _is_archived(self, first: AuditRow) -> bool:
        return (first.sequence - 1, first.previous) in self._archived

    def _check(self, what: str, head: Head) -> Iterator[Finding]:
        if head.sequence > self.head.sequence:
            yield Finding(
                self.head.sequence + 1, f"missing, and all rows up to {head.sequence}: {what} knows of them"
            )
        elif head.sequence and self._seen.get(head.sequence, head.mac) != head.mac:
            yield Finding(head.sequence, f"is another row than {what} says")


def _archived(written: Written, file: Path, actor: str, now: int) -> AuditRow:
    detail = {
        "first": written.first.sequence,
        "last": written.last.sequence,
        "mac": written.last.mac,
        "sha256": written.sha256,
    }
    return AuditRow(0, now, actor, ARCHIVED, "", shortened(file.name), canonical_detail(detail), START, START)


def refuse_changes(connection: Connection) -> None:
    """Makes the triggers that keep the rows as they are: a first wall, behind which the chain is."""
    for done, verb in _REFUSED:
        connection.exec_driver_sql(_APPEND_ONLY.format(done=done, verb=verb))


def forget(connection: Connection, rows: Delete) -> None:
    """Deletes what an archive holds. Nobody else writes: the caller has the write lock."""
    connection.exec_driver_sql("DROP TRIGGER audit_is_never_deleted")
    connection.execute(rows)
    refuse_changes(connection)


def _end_of_archive(row: AuditRow) -> tuple[int, str]:
    detail = row.as_json()["detail"]
    try:
        return int(detail["last"]), str(detail["mac"])
    except (KeyError, TypeError, ValueError):
        return 0, ""  # altered, which is a finding by itself


def _filtered(wanted: AuditFilter) -> Select[Any]:
    query = select(audit).order_by(audit.c.sequence)
    for column, value in (
        (audit.c.project, wanted.project),
        (audit.c.actor, wanted.actor),
        (audit.c.subject, wanted.subject),
    ):
        query = query if value is None else query.where(column == value)
    if wanted.action is not None and wanted.action.endswith("."):
        query = query.where(audit.c.action.startswith(wanted.action, autoescape=True))
    elif wanted.action is not None:
        query = query.where(audit.c.action == wanted.action)
    if wanted.since is not None:
        query = query.where(audit.c.time >= wanted.since)
    return query if wanted.until is None else query.where(audit.c.time < wanted.until)


def _row(row: Row[Any]) -> AuditRow:
    return AuditRow(**row._mapping)


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
