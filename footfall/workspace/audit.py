"""The audit log: who did what to whom, in rows that cannot be changed unnoticed.

A row is chained to the one before it (footfall/workspace/audit_chain.py) and is durable before `record`
returns, so that nothing is answered that is not in the log. Personal data does not belong here: an id of a
person is recorded as `hashed` gives it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hmac import compare_digest
from itertools import chain
from pathlib import Path
from socket import gethostname
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, delete, func, insert, select, true
from sqlalchemy.exc import SQLAlchemyError

from footfall.workspace.audit_anchor import NO_ROWS, Anchor, Head
from footfall.workspace.audit_archive import Written, read_rows, write_rows
from footfall.workspace.audit_chain import (
    ANCHOR_LOST,
    ANCHOR_MADE,
    ARCHIVED,
    START,
    AuditKey,
    AuditRow,
    Finding,
    canonical_detail,
    check_rows,
    shortened,
)
from footfall.workspace.audit_wall import forget
from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.tables import audit
from footfall.workspace.words import begins_with
from footfall.workspace.writing import writing

COMMAND_LINE = "command line"
"""The actor of what commands on this machine do."""

FOOTFALL = "footfall"
"""The actor of what the server does by itself."""

KEPT_DAYS = 184
"""Rows stay in the database for at least six months; only then may they be moved to a file."""

_PAGE = 5_000
_DAY = 86_400_000


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
        """`anchor` is this machine's file that knows the newest row; `clock` gives epoch milliseconds."""
        self._engine = engine
        self._key = key
        self._anchor = Anchor(anchor, key)
        self._clock = clock
        self._shared = engine.dialect.name == "postgresql"  # by homes with an anchor each

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
            with writing(self._engine) as connection:
                row = self._append(connection, said)
            self._anchor.advance(Head(row.sequence, row.mac))
        except (SQLAlchemyError, WorkspaceUnavailable, OSError) as error:
            raise AuditUnavailable(f"the audit log cannot be written: {error}") from error
        return row

    def hashed(self, project: str, text: str) -> str:
        """What stands in the log for an id of a person or for the text of a query: 32 hex digits.

        The same for the same text, so that rows about a person can be found by whoever knows the id.
        """
        return self._key.hashed(project, text)

    def rows(self, wanted: AuditFilter, *, after: int = 0, limit: int | None = None) -> Iterator[AuditRow]:
        """Rows by number, those after `after`."""
        left = limit
        while left is None or left > 0:  # a page at a time: whoever reads slowly keeps no transaction open
            many = _PAGE if left is None else min(left, _PAGE)
            query = _filtered(wanted).where(audit.c.sequence > after).limit(many)
            with self._engine.connect() as connection:
                page = [_row(row) for row in connection.execute(query)]
            yield from page
            if len(page) < many:
                return
            after = page[-1].sequence
            left = None if left is None else left - many

    def _all_rows(self) -> Iterator[AuditRow]:
        """As they are at one moment: rows that are moved to a file meanwhile are there, too."""
        query = _filtered(AuditFilter()).execution_options(yield_per=_PAGE)
        with self._engine.connect() as connection:
            yield from map(_row, connection.execute(query))

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
        known = _Known(anchored, expected, self._shared)
        rows = chain(read_rows(archives), self._all_rows())
        findings = list(check_rows(self._key, known.watch(rows)))
        findings += known.findings(self._anchor.file)
        findings.sort(key=lambda each: (each.sequence is None, each.sequence or 0))
        return Verified(known.count, known.head, tuple(findings))

    def head(self) -> str | None:
        """What this machine knows of the newest row, for `adopt`; None: nothing."""
        return self._anchor.text()

    def adopt(self, head: str) -> None:
        """This machine knows it from now on, unless it knows of a newer row. ValueError: see `is_head`."""
        known = self._anchor.read_text(head)
        if known is None:
            raise ValueError("the head is not this installation's")
        self._anchor.advance(known)

    def is_head(self, head: str) -> bool:
        """Whether this installation wrote it."""
        return self._anchor.read_text(head) is not None

    def is_own(self, row: AuditRow) -> bool:
        """Whether this installation wrote the row as it is."""
        return compare_digest(self._key.mac(row), row.mac)

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
        with writing(self._engine) as connection:
            kept = connection.scalar(select(func.min(audit.c.sequence)).where(audit.c.time >= before))
            gone = true() if kept is None else audit.c.sequence < kept
            moved = connection.execute(select(audit).where(gone).order_by(audit.c.sequence))
            written = write_rows(file, map(_row, moved))
            if written is None:
                return None
            head = self._append(connection, _archived(written, file, actor, self._clock()))
            forget(connection, delete(audit).where(audit.c.sequence <= written.last.sequence))
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
            action, subject = (ANCHOR_MADE, shortened(gethostname())) if self._shared else (ANCHOR_LOST, "")
            new = replace(said, actor=FOOTFALL, action=action, project="", subject=subject, detail="{}")
            at = self._insert(connection, new, at)
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

    def __init__(self, anchored: Head | None, expected: Head | None, shared: bool) -> None:
        self.count = 0
        self.head = NO_ROWS
        self._anchored = anchored
        self._shared = shared
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
        if self._anchored is None and first is not None and not self._shared:
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
        query = query.where(begins_with(audit.c.action, wanted.action))
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
