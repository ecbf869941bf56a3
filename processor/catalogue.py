"""What was seen: properties with their types, event names. A property's first value decided its type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from footfall.storage.rows import EventNameRow, PropertyRow, TypeConflictRow
from footfall.storage.store import Query, Store
from processor.blocks import Plan
from processor.event_block import EventBlock, PropertyTypes

MAX_PROPERTIES = 20_000
"""Properties of one project and source that the catalogue lists; more are stored, but not listed."""

_SOURCES = ("event", "user", "item")

_TYPES = """
SELECT source, property, argMin(type, (seen_at, log_partition, log_offset, seq))
FROM property_catalogue WHERE project = {project:String} AND NOT (
    log_partition = {own_partition:UInt16} AND log_offset BETWEEN {own_first:UInt64} AND {own_last:UInt64}
) GROUP BY source, property"""


class Catalogue:
    """The types of each project's properties, read from the store when the project is first met."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._types: dict[tuple[str, str], dict[str, str]] = {}

    def rebuild(self) -> None:
        """Forgets; projects are read again when met."""
        self._types = {}

    def hear(self, projects: Iterable[str]) -> None:
        """Another processor saw new properties of these projects."""
        for project in projects:
            for source in _SOURCES:
                self._types.pop((project, source), None)

    def types(self, plan: Plan, projects: Iterable[str]) -> PropertyTypes:
        """Known types of these projects, without what an earlier try of this block stored."""
        for project in projects:
            if (project, _SOURCES[0]) not in self._types:
                self._load(plan, project)
        return self._types

    def _load(self, plan: Plan, project: str) -> None:
        rows = self._store.rows(Query(_TYPES, {"project": project, **plan.own})).rows
        for source in _SOURCES:
            self._types[project, source] = {}
        for source, name, type_ in rows:
            self._types[project, source][name] = type_

    def admit(self, found: Sequence[PropertyRow]) -> list[PropertyRow]:
        """Of the properties first seen in a block those that there is room for."""
        room = {place: MAX_PROPERTIES - len(types) for place, types in self._types.items()}
        admitted = []
        for row in found:
            place = (row.project, row.source)
            room[place] = room.get(place, MAX_PROPERTIES) - 1
            if room[place] >= 0:
                admitted.append(row)
        return admitted

    def remember(self, rows: Iterable[PropertyRow]) -> None:
        """These are stored now."""
        for row in rows:
            self._types[row.project, row.source][row.property] = row.type


def property_rows(blocks: Iterable[EventBlock]) -> list[PropertyRow]:
    """Properties that the blocks met first; where two did, the earlier position counts."""
    first: dict[tuple[str, str, str], PropertyRow] = {}
    for row in sorted(
        (row for block in blocks for row in block.typed.first_seen),
        key=lambda row: (row.log_offset, row.seq, row.property),
    ):
        first.setdefault((row.project, row.source, row.property), row)
    return list(first.values())


def with_first_seen(types: PropertyTypes, rows: Iterable[PropertyRow]) -> PropertyTypes:
    """The types, and those of properties that were just seen first."""
    known = dict(types)
    for row in rows:
        place = (row.project, row.source)
        known[place] = {**known.get(place, {}), row.property: row.type}
    return known


def conflict_rows(blocks: Iterable[EventBlock]) -> list[TypeConflictRow]:
    """How many values of which type were not of their property's."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for block in blocks:
        for (project, name, type_), count in block.typed.conflicts.items():
            counts[project, block.source, name, type_] += count
    return [TypeConflictRow(*place, count) for place, count in sorted(counts.items())]


def event_name_rows(events: pa.Table) -> list[EventNameRow]:
    """Each event name among rows of `events` with its count, first and last time."""
    seen = events.select(["project", "event", "type", "time"])
    seen = seen.set_column(3, "time", seen["time"].cast(pa.int64()))
    groups = seen.group_by(["project", "event", "type"], use_threads=False).aggregate(
        [("time", "count"), ("time", "min"), ("time", "max")]
    )
    return sorted(EventNameRow(*row.values()) for row in groups.to_pylist())
