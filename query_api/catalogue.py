"""What a project has sent so far: its events, its properties and their types."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from footfall.storage.columns import PROPERTY_COLUMNS, PropertyType
from footfall.storage.store import Query, Store
from query_api.answers import instant
from query_api.spec.spellings import nearest

MAX_KEPT = 100
Source = Literal["event", "user", "item"]


def source_of(owner: str) -> Source:
    """Where the catalogue lists the properties of an owner that a condition or a breakdown names."""
    return "user" if owner == "user" else "item" if owner == "item" else "event"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Names and types that a query needs to become SQL."""

    events: frozenset[str] = frozenset()
    types: Mapping[tuple[str, str], PropertyType] = field(default_factory=dict)  # by source and property
    conflicts: frozenset[tuple[str, str]] = frozenset()

    def type_of(self, source: Source, name: str) -> PropertyType | None:
        """A property's type: its column's, else that of its first value; None if it was never seen."""
        if source == "event" and name in PROPERTY_COLUMNS:
            return PROPERTY_COLUMNS[name].type
        return self.types.get((source, name))

    def has_conflicts(self, source: Source, name: str) -> bool:
        """Whether some value had another type than its property."""
        return (source, name) in self.conflicts

    def unknown_event(self, name: str) -> str | None:
        """A warning for an event that was never seen."""
        return None if name in self.events else _warning("event", name, self.events)

    def unknown_property(self, source: Source, name: str) -> str | None:
        """A warning for a property that was never seen."""
        if (source, name) in self.types:
            return None
        known = {property_ for of, property_ in self.types if of == source}
        kind = "property" if source == "event" else f"{source} property"
        return _warning(kind, name, known)


def _warning(kind: str, name: str, known: frozenset[str] | set[str]) -> str:
    close = nearest(name, sorted(known))
    hint = f"; did you mean {close!r}?" if close is not None else ""
    return f"no {kind} {name!r} was ever seen{hint}"


_NAMES = """
SELECT 'event' AS kind, event AS name, '' AS type FROM event_catalogue WHERE project = {project:String}
UNION ALL
SELECT toString(source), property, toString(argMin(type, (seen_at, log_partition, log_offset, seq)))
FROM property_catalogue WHERE project = {project:String} GROUP BY source, property
UNION ALL
SELECT concat('conflict ', toString(source)), property, ''
FROM type_conflicts WHERE project = {project:String}
"""


class Catalogues:
    """Catalogues as they were last read: they can only change when something is processed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[object, Catalogue]] = OrderedDict()

    def read(self, project: str, version: object) -> Catalogue:
        """The catalogue at that version of the store."""
        with self._lock:
            known = self._known.get(project)
        if known is not None and known[0] == version:
            return known[1]
        catalogue = read_catalogue(self._store, project)
        with self._lock:
            self._known[project] = (version, catalogue)
            while len(self._known) > MAX_KEPT:
                self._known.popitem(last=False)
        return catalogue


def read_catalogue(store: Store, project: str) -> Catalogue:
    """The project's catalogue as it is now; a few milliseconds."""
    # An event's name and an event's property differ by their type: names have none.
    events, types, conflicts = set(), {}, set()
    for kind, name, type_ in store.rows(Query(_NAMES, {"project": project})).rows:
        if kind.startswith("conflict "):
            conflicts.add((kind.removeprefix("conflict "), name))
        elif type_:
            types[kind, name] = type_
        else:
            events.add(name)
    return Catalogue(frozenset(events), types, frozenset(conflicts))


_EVENTS = """
SELECT event, type, sum(count),
    toUnixTimestamp64Milli(min(first_seen)), toUnixTimestamp64Milli(max(last_seen))
FROM event_catalogue WHERE project = {project:String} GROUP BY event, type ORDER BY event, type
"""

_PROPERTIES = """
SELECT toString(source), property, toString(argMin(type, (seen_at, log_partition, log_offset, seq))),
    toUnixTimestamp64Milli(min(seen_at))
FROM property_catalogue WHERE project = {project:String} GROUP BY source, property ORDER BY source, property
"""

_CONFLICTS = """
SELECT toString(source), property, type, sum(count)
FROM type_conflicts WHERE project = {project:String} GROUP BY source, property, type ORDER BY type
"""


def describe_catalogue(store: Store, project: str) -> dict[str, Any]:
    """What `GET /api/v1/catalogue` shows: events with counts, properties with types and conflicts."""
    parameters = {"project": project}
    conflicts: dict[tuple[str, str], dict[str, int]] = {}
    for source, name, type_, count in store.rows(Query(_CONFLICTS, parameters)).rows:
        conflicts.setdefault((source, name), {})[type_] = int(count)
    return {
        "project": project,
        "events": [
            {
                "event": event,
                "type": type_,
                "count": int(count),
                "first_seen": instant(first),
                "last_seen": instant(last),
            }
            for event, type_, count, first, last in store.rows(Query(_EVENTS, parameters)).rows
        ],
        "properties": [
            {
                "property": name,
                "of": source,
                "type": PROPERTY_COLUMNS[name].type
                if source == "event" and name in PROPERTY_COLUMNS
                else type_,
                "has_column": source == "event" and name in PROPERTY_COLUMNS,
                "first_seen": instant(first),
                "conflicts": conflicts.get((source, name), {}),
            }
            for source, name, type_, first in store.rows(Query(_PROPERTIES, parameters)).rows
        ],
    }
