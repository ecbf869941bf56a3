"""A tracking plan made of what was seen: every event with its properties, their types, which of them were
always there, and the values of those that have few.

What the plan that counts declares stays as people wrote it (a grade that drops values would else vanish with
them); what was seen beside it is added, so that all that it was made of is accepted. Where that cannot be (a
property came with several types, or rests otherwise than it was sent), it is left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Parameter, Query
from footfall.tracking_plan.limits import PLAN_DECLARATIONS, PLAN_EVENTS
from footfall.tracking_plan.plan import SOURCES, Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.presets import PRESET_EVENTS, is_preset_property
from footfall.tracking_plan.writing import plan_as_json
from query_api.catalogue import Catalogue, Source
from query_api.sql.events import PERSON
from query_api.store_reader import StoreReader

FEW: Final = 12
"""So many different values at most become the allowed ones,"""

OFTEN: Final = 10
"""if each came so often on average,"""

PERSONS: Final = 3
"""and from so many persons at least: what only one has may be a name, a number, an address."""

_LONGEST_VALUE: Final = 40
_COMMON_FROM: Final = 3  # events that all have a property, for it to be common
_DAY_MS: Final = 86_400_000


class Seen(NamedTuple):
    """A property of an event: how often it came, and its values if they are few."""

    count: int  # type: ignore[assignment]  # what it counts, not tuple.count
    values: Sequence[str]  # [] where there are more than FEW, long ones, or such as few persons have


@dataclass(frozen=True, slots=True)
class Proposal:
    """The plan, and what a person should know of it."""

    plan: Plan
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """`{"plan", "notes"}`."""
        return {"plan": plan_as_json(self.plan), "notes": list(self.notes)}


class Known(NamedTuple):
    """What is known of a project beside its events."""

    catalogue: Catalogue
    plan: Plan  # that counts now
    is_changed: Callable[[Source, str, str], bool]
    """Whether values of (source, event, property) rest otherwise than they were sent."""


def propose_plan(reader: StoreReader, known: Known, project: str, days: int | None, now: int) -> Proposal:
    """The plan of what came in the last `days` (None: ever). TooExpensive; `now` in epoch ms."""
    since = 0 if days is None else max(0, now - days * _DAY_MS)
    parameters: dict[str, Parameter] = {"project": project, "since": since}
    totals = dict(_rows(reader, _TOTALS, parameters))
    notes: list[str] = []
    new = {event: count for event, count in totals.items() if event not in known.plan.events}
    room = PLAN_EVENTS - len(known.plan.events)
    if len(new) > room:
        notes.append(f"{len(new)} events are not in the plan: it has room for the {room} most frequent")
        for event in sorted(new, key=lambda name: -new[name])[room:]:
            del totals[event]
    seen: dict[str, dict[str, Seen]] = {event: {} for event in sorted(totals)}
    for event, name, found in _seen(reader, parameters):
        if event in seen and not is_preset_property(name):
            seen[event][name] = found
    proposer = _Proposer(known, totals, notes)
    common, events = proposer.events(seen)
    plan = replace(
        known.plan,
        mode="report" if known.plan == Plan() else known.plan.mode,
        common_properties=common,
        events=events,
        user_properties=proposer.owned("user", known.plan.user_properties),
        item_properties=proposer.owned("item", known.plan.item_properties),
    )
    return Proposal(plan, notes)


class _Proposer:
    """Makes declarations, and notes what it leaves out."""

    def __init__(self, known: Known, totals: Mapping[str, int], notes: list[str]) -> None:
        self._known = known
        self._catalogue = known.catalogue
        self._totals = totals
        self._notes = notes
        self._types = {source: known.plan.types(source) for source in SOURCES}
        self._room = PLAN_DECLARATIONS - sum(1 for each in SOURCES for _ in known.plan.declarations(each))
        self._left_out: set[tuple[str, str]] = set()

    def events(
        self, seen: Mapping[str, Mapping[str, Seen]]
    ) -> tuple[dict[str, PlannedProperty], dict[str, PlannedEvent]]:
        """The properties that all events have, and the events with the others."""
        plan = self._known.plan
        common = dict(plan.common_properties)
        everywhere = set.intersection(*map(set, seen.values())) if len(seen) >= _COMMON_FROM else set()
        for name in sorted(everywhere - self._types["event"].keys()):
            total = sum(self._totals[event] for event in seen)
            together = _together([seen[event][name] for event in seen])
            is_changed = any(self._known.is_changed("event", event, name) for event in seen)
            declared = self._declare("event", name, None if is_changed else (together, total))
            if declared is not None:
                common[name] = declared
        events = dict(plan.events)
        for event, properties in seen.items():
            planned = plan.events.get(event, PlannedEvent())
            own = dict(planned.properties)
            for name in sorted(properties.keys() - common.keys() - own.keys()):
                is_changed = self._known.is_changed("event", event, name)
                declared = self._declare(
                    "event", name, None if is_changed else (properties[name], self._totals[event])
                )
                if declared is not None:
                    own[name] = declared
            if own or event not in PRESET_EVENTS:
                events[event] = replace(planned, properties=own)
        return common, events

    def owned(self, source: Source, before: Mapping[str, PlannedProperty]) -> dict[str, PlannedProperty]:
        """Of users or items; `before` stays."""
        found = dict(before)
        for name in sorted(name for of, name in self._catalogue.types if of == source):
            if name in before or is_preset_property(name):
                continue
            is_changed = self._known.is_changed(source, "", name)
            declared = self._declare(source, name, None if is_changed else (Seen(0, ()), 1))
            if declared is not None:
                found[name] = declared
        return found

    def _declare(self, source: Source, name: str, counted: tuple[Seen, int] | None) -> PlannedProperty | None:
        """`counted`: how it came, of how many events; None: it rests otherwise than it was sent."""
        # A name has one type: another event of the plan may have declared it.
        type_ = self._types[source].get(name) or self._catalogue.type_of(source, name)
        why = None
        if counted is None:
            why = "is changed by a privacy rule, so what was sent does not show"
        elif type_ is None:
            why = "is not in the catalogue"
        elif self._catalogue.has_conflicts(source, name):
            why = "came with several types"
        elif not self._room:
            why = f"is beyond the {PLAN_DECLARATIONS} that a plan may declare"
        if why is not None or counted is None or type_ is None:
            self._leave_out(source, name, why or "")
            return None
        self._room -= 1
        seen, total = counted
        # What begins with $ may come from `lib`, where a plan does not look.
        required = seen.count == total and not name.startswith("$")
        allowed = tuple(sorted(seen.values)) if type_ == "string" and _are_few(seen) else ()
        return PlannedProperty(type_, required=required, allowed=allowed)

    def _leave_out(self, source: Source, name: str, why: str) -> None:
        if (source, name) not in self._left_out:
            self._left_out.add((source, name))
            self._notes.append(f"the {source} property {name!r} {why}: it is left out")


def _together(parts: Sequence[Seen]) -> Seen:
    values = {value for part in parts for value in part.values}
    few = all(part.values for part in parts) and len(values) <= FEW
    return Seen(sum(part.count for part in parts), sorted(values) if few else [])


def _are_few(seen: Seen) -> bool:
    """Not where something may stand for more than it shows: a masked value."""
    return (
        bool(seen.values)
        and seen.count >= OFTEN * len(seen.values)
        and not any("*" in v for v in seen.values)
    )


_SINCE = "project = {project:String} AND time >= fromUnixTimestamp64Milli({since:Int64})"
_TOTALS = f"SELECT event, count() FROM events WHERE {_SINCE} GROUP BY event"
_ENTRIES: Final = "Array(Tuple(String, Nullable(String)))"
_IN_MAP = f"""
SELECT event, entry.1 AS name, count(), groupUniqArray({FEW + 1})(substring(entry.2, 1, {4 * _LONGEST_VALUE}))
FROM (
    SELECT event, arrayJoin(CAST(properties, 'Array(Tuple(String, String))')) AS entry
    FROM events WHERE {_SINCE}
) GROUP BY event, name"""


def _seen(reader: StoreReader, parameters: Mapping[str, Parameter]) -> Iterator[tuple[str, str, Seen]]:
    """Every property of every event; a property with a column may have entries in the map, too."""
    found: dict[tuple[str, str], tuple[int, set[str]]] = {}
    for event, name, count, values in _rows(reader, _IN_MAP, parameters):
        found[event, name] = (int(count), set(values))
    for name, event, count, values in _in_columns(reader, parameters):
        before, known = found.get((event, name), (0, set()))
        found[event, name] = (before + count, known | set(values))
    few = {
        place: texts
        for place, (_, texts) in found.items()
        if len(texts) <= FEW and all(len(text) <= _LONGEST_VALUE for text in texts)
    }
    telling = _of_single_persons(reader, parameters, few.keys()) if few else set()
    for (event, name), (count, _) in found.items():
        texts = few.get((event, name), set())
        yield event, name, Seen(count, [] if (event, name) in telling else sorted(texts))


def _of_single_persons(
    reader: StoreReader, parameters: Mapping[str, Parameter], places: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Those of these (event, property) that have a value of fewer than PERSONS persons."""
    names = {name for _, name in places}
    columns = ", ".join(
        f"('{name}', toString(`{column.column}`))"
        for name, column in PROPERTY_COLUMNS.items()
        if name in names
    )
    sql = f"""
SELECT DISTINCT event, name FROM (
    SELECT event, entry.1 AS name, entry.2 AS value FROM (
        SELECT event, {PERSON} AS person, arrayJoin(arrayFilter(
            entry -> has({{places:Array(String)}}, concat(event, '\n', entry.1)),
            arrayConcat(CAST(properties, '{_ENTRIES}'), CAST([{columns}], '{_ENTRIES}'))
        )) AS entry
        FROM events WHERE {_SINCE}
    )
    WHERE value IS NOT NULL GROUP BY event, name, value HAVING uniqUpTo({PERSONS})(person) < {PERSONS}
)"""
    wanted = [f"{event}\n{name}" for event, name in sorted(places)]
    return {(event, name) for event, name in _rows(reader, sql, {**parameters, "places": wanted})}


def _in_columns(
    reader: StoreReader, parameters: Mapping[str, Parameter]
) -> Iterator[tuple[str, str, int, Sequence[str]]]:
    columns = [column for name, column in PROPERTY_COLUMNS.items() if not is_preset_property(name)]
    figures = ", ".join(
        f"count(`{column.column}`), "
        + (
            f"groupUniqArray({FEW + 1})(substring(toString(`{column.column}`), 1, {4 * _LONGEST_VALUE}))"
            if column.type == "string"
            else "[]"
        )
        for column in columns
    )
    for event, *counted in _rows(
        reader, f"SELECT event, {figures} FROM events WHERE {_SINCE} GROUP BY event", parameters
    ):
        for number, column in enumerate(columns):
            count, values = counted[2 * number : 2 * number + 2]
            if count:
                yield column.property, event, int(count), values


def _rows(reader: StoreReader, sql: str, parameters: Mapping[str, Parameter]) -> Sequence[Any]:
    return reader.rows(Query(sql, dict(parameters))).rows
