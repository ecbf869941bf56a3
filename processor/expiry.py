"""Drops what projects no longer keep: whole months, once they are over for longer than `keep_days`.

A month in which every project's rows are past their days goes as a whole partition, at no cost; else the
engine rewrites the month without the rows of one project, one at a time, with pauses in which others work.
What is dropped is first written into `retirements`, so that `footfall verify` does not miss it and answers
can warn. A crash in between costs nothing: the next pass finds the rows and drops them.

Late events of a month that was dropped are stored, and dropped by the next pass.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from footfall.events.months import ODD_TIMES, month_end
from footfall.storage.rows import RetirementRow, build_table
from footfall.storage.store import Query, Store, StoreError
from footfall.workspace import Project
from processor.mutations import unfinished
from processor.thinning import NOTHING_HELD, Held, Thinning

_DAY_MS: Final = 86_400_000
_REST: Final = 4.0
"""So many times as long as a rewrite took, nothing is rewritten: it takes a fifth of the time at most."""

_POLL_SECONDS: Final = 0.05
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_log = structlog.get_logger(__name__)


class _Table(NamedTuple):
    name: str
    time: str  # the column that its partitions are months of


TABLES: Final = (_Table("events", "time"), _Table("dead_letters", "received_at"))

_PARTS = """
SELECT DISTINCT partition_id FROM system.parts
WHERE database = currentDatabase() AND active
    AND `table` IN ({table:String}, concat({table:String}, '_local'))
ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A project's rows of a month of a table."""

    table: str
    project: str
    part: str
    rows: int


class Expiry:
    """One thread runs passes; `pause` keeps the processor still while a partition goes."""

    def __init__(
        self,
        store: Store,
        projects: Callable[[], Sequence[Project]],
        pause: Callable[[], AbstractContextManager[None]],
        clock: Callable[[], int],
        *,
        held: Callable[[], Held] = lambda: NOTHING_HELD,
        thinning: Thinning | None = None,
    ) -> None:
        """`clock` gives epoch ms; `held` says what legal holds keep; `thinning` follows the rules for single
        events and properties.
        """
        self._held_by_law = held
        self._thinning = thinning
        self._store = store
        self._projects = projects
        self._pause = pause
        self._clock = clock

    def run(self, stop: threading.Event) -> list[Dropped]:
        """One pass over all tables; ends early, between two months of a project, when `stop` is set."""
        now = self._clock()
        keep_from = {
            project.name: now - project.keep_days * _DAY_MS
            for project in self._projects()
            if project.keep_days is not None
        }
        if self._thinning is not None:
            self._thinning.run(stop, self._held_by_law)
        dropped: list[Dropped] = []
        if not keep_from:
            return dropped
        latest = max(keep_from.values())
        for table in TABLES:
            for (part,) in self._store.rows(Query(_PARTS, {"table": table.name})).rows:
                if month_end(part) <= latest and not stop.is_set():
                    over = [name for name, first in keep_from.items() if month_end(part) <= first]
                    dropped += self._drop_part(table, part, over, stop)
        return dropped

    def _drop_part(
        self, table: _Table, part: str, over: Sequence[str], stop: threading.Event
    ) -> list[Dropped]:
        with self._pause():  # nothing new can come into the partition between the look and the drop
            held_by_law = self._held_by_law()  # a hold may be placed while a pass runs
            over = [name for name in over if _may_drop(table, name, held_by_law)]
            held = self._held(table, part, held_by_law)
            everybody = held if not held_by_law.keys else self._held(table, part, NOTHING_HELD)
            expired = [Dropped(table.name, name, part, held[name]) for name in sorted(over) if held.get(name)]
            if part != ODD_TIMES and expired and held.keys() <= set(over) and held == everybody:
                self._write_down(expired)
                self._store.command(f"ALTER TABLE {table.name} DROP PARTITION ID '{part}'")
                return _logged(expired)
        done = []
        for each in expired:
            held_by_law = self._held_by_law()
            if stop.is_set() or not _may_drop(table, each.project, held_by_law):
                continue
            self._write_down([each])
            began = time.monotonic()
            self._delete(table, each, held_by_law.excluded(each.project), stop)
            done += _logged([each])
            stop.wait(_REST * (time.monotonic() - began))
        return done

    def _held(self, table: _Table, part: str, held: Held) -> dict[str, int]:
        """Rows of each project in a partition, without those of held persons; of that of odd times, those
        before all months.
        """
        sql = f"SELECT project, count() FROM {table.name} WHERE _partition_id = {{part:String}}"  # noqa: S608 - ours
        if part == ODD_TIMES:
            sql += f" AND {_odd_and_old(table)}"
        if table.name == "events":
            for project in held.keys:
                sql += f" AND (project != '{_checked(project)}' OR {held.excluded(project)})"
        rows = self._store.rows(Query(sql + " GROUP BY project", {"part": part})).rows
        return {project: int(count) for project, count in rows}

    def _delete(self, table: _Table, dropped: Dropped, excluded: str, stop: threading.Event) -> None:
        if not _NAME.fullmatch(dropped.project) or not dropped.part.isdigit():
            raise ValueError(f"{dropped} cannot stand in a statement")  # a project's name never looks so
        condition = f"project = '{dropped.project}'"
        if table.name == "events":
            condition += f" AND {excluded}"
        if dropped.part == ODD_TIMES:
            condition += f" AND {_odd_and_old(table)}"
        delete = f"ALTER TABLE {table.name} DELETE IN PARTITION ID '{dropped.part}' WHERE {condition}"
        with self._pause():  # or the restamper might replace the month just then: see processor/mutations.py
            self._store.command(f"{delete} SETTINGS mutations_sync = 0")
        while reasons := unfinished(self._store, table.name):
            if any(reasons):
                raise StoreError(f"rows of {dropped} cannot be deleted: {next(filter(None, reasons))}")
            if stop.wait(_POLL_SECONDS):
                return  # the engine goes on by itself

    def _write_down(self, dropped: Collection[Dropped]) -> None:
        now = self._clock()
        rows = [RetirementRow(each.table, each.project, each.part, now) for each in dropped]
        names = ",".join(each.project for each in dropped)
        first = rows[0]
        self._store.insert(
            "retirements", build_table(rows), f"retire:{first.table}:{first.part}:{names}:{now}"
        )


def _may_drop(table: _Table, project: str, held: Held) -> bool:
    """Nobody can tell which sealed letters a held person is in: a project with one keeps all of them."""
    return project not in held.projects and (table.name == "events" or project not in held.keys)


def _checked(project: str) -> str:
    if not _NAME.fullmatch(project):
        raise ValueError(f"{project!r} cannot stand in a statement")  # a project's name never looks so
    return project


def _odd_and_old(table: _Table) -> str:
    return f"{table.time} < toDateTime64({month_end(ODD_TIMES) // 1000}, 3, 'UTC')"


def _logged(dropped: list[Dropped]) -> list[Dropped]:
    for each in dropped:
        _log.info("expiry.dropped", table=each.table, project=each.project, month=each.part, rows=each.rows)
    return dropped
