"""Repeats of an event: a filter answers "new" at once, only its hits are looked up in `event_ids`.

One filter a day over the horizon, so that a hit also says which day's partition to look in. A block's own
rows in `event_ids` are an earlier try of the same block, not a repeat.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np

from footfall.storage.event_rows import Keys
from footfall.storage.rows import RetirementRow, build_table
from footfall.storage.store import Query, Store
from processor.blocks import Plan
from processor.key_filter import KeyFilter

_LOOKUP = 5_000

_DAYS = "SELECT day, count() FROM event_ids WHERE {where} GROUP BY day ORDER BY day"

_IDS_OF_DAY = """
SELECT reinterpretAsUInt64(substring(event_id, 1, 8)) FROM event_ids WHERE day = {day:Date} AND {where}"""

_STORED = """
SELECT DISTINCT hex(event_id)
FROM event_ids
WHERE day = {day:Date} AND event_id IN (
    SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16)
) AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
)"""


def event_keys(event_ids: Sequence[bytes]) -> Keys:
    """As footfall.events.keys.event_key, of many at once."""
    return np.frombuffer(b"".join(event_ids), "<u8")[::2]


def day_of(received_at: int) -> date:
    """The day (UTC) of an epoch time in ms: which filter, and which partition of `event_ids`."""
    return datetime.fromtimestamp(received_at / 1000, UTC).date()


class Numbers(Protocol):
    """What of processor/peers.py a repeat depends on."""

    late_days: int

    def number_of(self, partition: int) -> int: ...

    def where(self, number: int) -> str: ...


class SeenEvents:
    """Which event ids were stored within the horizon, of the numbers of the log that are ours: a repeat has
    the number of the event that it repeats.
    """

    def __init__(self, store: Store, dedup_days: int, numbers: Numbers) -> None:
        self._store = store
        self._numbers = numbers
        self._horizon = timedelta(days=dedup_days + 1 + numbers.late_days)
        self._of_number: dict[int, dict[date, KeyFilter]] = {}

    def rebuild(self, number: int) -> None:
        """Reads the ids of all days from the store: some 100 ns an id."""
        days = self._of_number[number] = {}
        where = self._numbers.where(number)
        for day, count in self._store.rows(Query(_DAYS.replace("{where}", where))).rows:
            found = days[day] = KeyFilter(expected=2 * count)
            asked = Query(_IDS_OF_DAY.replace("{where}", where), {"day": day.isoformat()})
            for (keys,) in self._store.stream(asked):
                found.add(keys.tolist())

    def drop(self, number: int) -> None:
        """The number is not ours any more."""
        self._of_number.pop(number, None)

    def _days(self, partition: int) -> dict[date, KeyFilter]:
        return self._of_number[self._numbers.number_of(partition)]

    def find_repeats(self, plan: Plan, event_ids: Sequence[bytes]) -> set[int]:
        """The numbers of those that were stored before, or come a second time in the list itself."""
        repeats: set[int] = set()
        if len(set(event_ids)) < len(event_ids):
            first: dict[bytes, int] = {}
            repeats.update(row for row, id_ in enumerate(event_ids) if first.setdefault(id_, row) != row)
        stored = self._find_stored(plan, event_ids)
        if stored:
            repeats.update(row for row, id_ in enumerate(event_ids) if id_ in stored)
        return repeats

    def _find_stored(self, plan: Plan, event_ids: Sequence[bytes]) -> set[bytes]:
        keys = event_keys(event_ids).tolist()
        stored: set[bytes] = set()
        for day, seen in self._days(plan.partition).items():
            suspects = seen.seen(keys)
            if suspects:
                asked = [id_ for id_, key in zip(event_ids, keys, strict=True) if key in suspects]
                stored.update(self._look_up(plan, day, list(dict.fromkeys(asked))))
        return stored

    def _look_up(self, plan: Plan, day: date, event_ids: Sequence[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for start in range(0, len(event_ids), _LOOKUP):
            asked = [id_.hex() for id_ in event_ids[start : start + _LOOKUP]]
            rows = self._store.rows(Query(_STORED, {"day": day.isoformat(), "ids": asked, **plan.own})).rows
            found.update(bytes.fromhex(text) for (text,) in rows)
        return found

    def remember(self, partition: int, event_ids: Mapping[date, Sequence[bytes]]) -> None:
        """These of a log partition are stored now."""
        days = self._days(partition)
        for day, ids in event_ids.items():
            if day not in days:
                days[day] = KeyFilter()
            days[day].add(event_keys(ids).tolist())

    def forget_old(self, today: date) -> None:
        """Drops the days that lie beyond the horizon, counted from the newest day, but never from a future
        one.

        While the processor lags behind, today is far ahead of the days that it works on: they do not expire.
        """
        known = {day for days in self._of_number.values() for day in days}
        if not known:
            return
        oldest = min(today, max(known)) - self._horizon
        for day in sorted(day for day in known if day < oldest):
            self._note_drop(day)
            self._store.command(f"ALTER TABLE event_ids DROP PARTITION '{day.isoformat()}'")
            for days in self._of_number.values():
                days.pop(day, None)

    def _note_drop(self, day: date) -> None:
        """First: whoever verifies must not miss what was let go."""
        part = f"{day:%Y%m%d}"
        row = RetirementRow("event_ids", "", part, int(time.time() * 1000))
        self._store.insert("retirements", build_table([row]), f"event_ids:{part}")
