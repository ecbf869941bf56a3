"""retention, by the book: actor by actor, row by row, interval by interval, each by looking at all events.

Intervals are found by going through local time in steps of a quarter of an hour: no clock changes within one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event
from tests.reference.selection import Body, exact, holds, key_of, order_of, period, selects
from tests.reference.trends import bucket_of

Key = tuple[Any, ...]

_QUARTER_HOUR = 900_000
_DAY = 86_400_000


@dataclass(frozen=True)
class Entry:
    """An actor in a row: when they entered, and with which value of the breakdown."""

    actor: Any
    row: int
    time: int
    key: Key


def retention(events: Sequence[Event], body: Body, *, timezone: str, now: int) -> dict[str, Any]:
    """The `result` of the answer, and `people`: who is in each cell, by (row, period, key)."""
    table = Table(events, body, ZoneInfo(body.get("timezone", timezone)), now)
    entries = [entry for actor in table.histories for entry in table.entries_of(actor)]
    groups = grouped(entries, body)
    return {
        **table.figures(entries),
        "groups": [{"key": list(key), **table.figures(members)} for key, members in groups],
        "people": {
            (row, k, key): sorted(
                {entry.actor for entry in members if entry.row == row and table.is_in(entry, k)}
            )
            for key, members in [((), entries), *groups]
            for row in range(table.rows)
            for k in range(table.begun(row))
        },
    }


class Table:
    """Events by actor, and the instants at which intervals begin."""

    def __init__(self, events: Sequence[Event], body: Body, zone: ZoneInfo, now: int) -> None:
        self.body = body
        self.now = now
        self.periods = body.get("periods", 7)
        self.is_rolling = body.get("day_mode") == "rolling_24h"
        start, end = period(body, zone)
        self.zone = zone
        self.starts = interval_starts(
            start, end, self.periods, zone, body.get("interval", "day"), body.get("week_start", "monday")
        )
        self.rows = len(self.starts) - 1 - self.periods
        self.histories: dict[Any, list[Event]] = {}
        for event in events:
            if (actor := actor_of(event, body)) is not None:
                self.histories.setdefault(actor, []).append(event)
        self.returns = {actor: [e.time for e in self.selected(actor, "return")] for actor in self.histories}

    def selected(self, actor: Any, selector: str) -> list[Event]:
        """The actor's events of all time that a selector takes and that meet the query's own conditions."""
        return [
            event
            for event in self.histories[actor]
            if selects(self.body[selector], event)
            and all(holds(c, event) for c in self.body.get("where", []))
        ]

    def entries_of(self, actor: Any) -> list[Entry]:
        """The rows that an actor is in."""
        entering = self.selected(actor, "start")
        match self.body.get("entry", "recurring"):
            case "first_matching":
                entering = earliest(entering)
            case "first_ever":
                named = {"event": self.body["start"]["event"]}
                first = earliest([event for event in self.histories[actor] if selects(named, event)])
                entering = [event for event in entering if event in first]
            case "first_in_range":
                entering = earliest([event for event in entering if self.row_of(event) is not None])
            case "recurring" if self.is_rolling:
                entering = earliest([event for event in entering if self.row_of(event) is not None])
        rows = {row for event in entering if (row := self.row_of(event)) is not None}
        return [
            entry_of(actor, row, [e for e in entering if self.row_of(e) == row], self.body)
            for row in sorted(rows)
        ]

    def row_of(self, event: Event) -> int | None:
        rows = [row for row in range(self.rows) if self.starts[row] <= event.time < self.starts[row + 1]]
        return rows[0] if rows else None

    def is_in(self, entry: Entry, k: int) -> bool:
        """Whether an entry is in cell k of its row."""
        if k == 0:
            return True
        begin, end = self.starts[entry.row + k : entry.row + k + 2]
        if self.is_rolling:
            begin, end = entry.time + k * _DAY, entry.time + (k + 1) * _DAY
        times = [time for time in self.returns[entry.actor] if time >= begin]
        if self.body.get("mode", "on") == "on":
            times = [time for time in times if time < end]
        return len(times) >= self.body.get("min_occurrences", 1)

    def begin_and_end(self, row: int, k: int) -> tuple[int, int]:
        """When interval k of a row begins, and when it has ended for everybody in the row."""
        if self.is_rolling:
            return self.starts[row] + k * _DAY, self.starts[row + 1] - 1 + (k + 1) * _DAY
        return self.starts[row + k], self.starts[row + k + 1]

    def begun(self, row: int) -> int:
        return sum(self.begin_and_end(row, k)[0] <= self.now for k in range(self.periods + 1))

    def is_partial(self, row: int) -> bool:
        return any(
            begin <= self.now < end
            for begin, end in (self.begin_and_end(row, k) for k in range(self.begun(row)))
        )

    def figures(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """`rows` and `mean` of some entries."""
        cells = [
            [
                sum(entry.row == row and self.is_in(entry, k) for entry in entries)
                for k in range(self.begun(row))
            ]
            for row in range(self.rows)
        ]
        sizes = [sum(entry.row == row for entry in entries) for row in range(self.rows)]
        mean = []
        for k in range(self.periods + 1):
            begun = [row for row in range(self.rows) if self.begun(row) > k]
            size = sum(sizes[row] for row in begun)
            mean.append(Fraction(sum(cells[row][k] for row in begun), size) if size else 0)
        rows = [
            {
                "bucket": bucket_of(self.starts[row], self.zone, self.body.get("interval", "day"), self.body),
                "size": sizes[row],
                "values": cells[row],
                "partial": self.is_partial(row),
            }
            for row in range(self.rows)
        ]
        return {"rows": rows, "mean": mean}


def actor_of(event: Event, body: Body) -> Any:
    """Who is counted: the person, or the value of a property."""
    actor = body.get("actor", "user")
    return exact(event.properties.get(actor["property"])) if isinstance(actor, Mapping) else event.person


def earliest(events: Sequence[Event]) -> list[Event]:
    """All events of the first instant: they have no order."""
    return [event for event in events if event.time == min(e.time for e in events)]


def entry_of(actor: Any, row: int, entering: Sequence[Event], body: Body) -> Entry:
    """The entry of the first event; of several at that instant the smallest value."""
    first = earliest(entering)
    key = min((key_of(event, body.get("breakdown") or []) for event in first), key=missing_last)
    return Entry(actor, row, first[0].time, key)


def missing_last(key: Key) -> tuple[Any, ...]:
    return tuple((part is None, part if part is not None else 0) for part in key)


def grouped(entries: Sequence[Entry], body: Body) -> list[tuple[Key, list[Entry]]]:
    """The largest groups; all beyond the limit are one."""
    if not body.get("breakdown"):
        return []
    by_key: dict[Key, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(entry.key, []).append(entry)
    ranked = sorted(by_key, key=lambda key: (-len(by_key[key]), order_of(key)))
    limit = body.get("breakdown_limit", 25)
    rest = [entry for key in ranked[limit:] for entry in by_key[key]]
    return [*((key, by_key[key]) for key in ranked[:limit]), *([(("$other",), rest)] if rest else [])]


@cache
def interval_starts(
    start: int, end: int, periods: int, zone: ZoneInfo, interval: str, week_start: str
) -> tuple[int, ...]:
    """When each interval that the range touches begins, then `periods` more, and where the last ends."""

    def name(instant: int) -> str:
        return bucket_of(instant, zone, interval, {"week_start": week_start})

    instant = start // _QUARTER_HOUR * _QUARTER_HOUR
    while name(instant - _QUARTER_HOUR) == name(start):
        instant -= _QUARTER_HOUR
    starts, later = [instant], 0
    while later <= periods:
        instant += _QUARTER_HOUR
        if name(instant) != name(instant - _QUARTER_HOUR):
            starts.append(instant)
            later += instant >= end
    return tuple(starts)
