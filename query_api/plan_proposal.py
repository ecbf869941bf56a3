"""A tracking plan made of what was seen: every event with its properties, their types, which of them were
always there, and the values of those that have few.

What it says accepts all that it was made of. Where that cannot be (a property came with several types, or
rests otherwise than it was sent), the property is left out, and a note says so. What people wrote into the
plan that counts (grades, owners, descriptions) is taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.store import Parameter, Query
from footfall.tracking_plan.limits import PLAN_DECLARATIONS, PLAN_EVENTS
from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.presets import PRESET_EVENTS, is_preset_property
from footfall.tracking_plan.writing import plan_as_json
from query_api.catalogue import Catalogue, Source
from query_api.store_reader import StoreReader

FEW: Final = 12
"""So many different values at most become the allowed ones,"""

OFTEN: Final = 10
"""if each came so often on average."""

_LONGEST_VALUE: Final = 40
_COMMON_FROM: Final = 3  # events that all have a property, for it to be common
_DAY_MS: Final = 86_400_000


class Seen(NamedTuple):
    """A property of an event: how often it came, and its values if they are few."""

    count: int  # type: ignore[assignment]  # what it counts, not tuple.count
    values: Sequence[str]  # [] where there are more than FEW, or long ones


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
    if len(totals) > PLAN_EVENTS:
        notes.append(f"{len(totals)} events were seen: the {PLAN_EVENTS} most frequent are in the plan")
        totals = dict(sorted(totals.items(), key=lambda each: -each[1])[:PLAN_EVENTS])
    seen: dict[str, dict[str, Seen]] = {event: {} for event in sorted(totals)}
    for event, name, found in _seen(reader, parameters):
        if event in seen and not is_preset_property(name):
            seen[event][name] = found
    proposer = _Proposer(known, totals, notes)
    common, events = proposer.events(seen)
    plan = Plan(
        mode="report",
        common_properties=common,
        events=events,
        user_properties=proposer.owned("user"),
        item_properties=proposer.owned("item"),
    )
    return Proposal(plan, notes)


class _Proposer:
    """Makes declarations, and notes what it leaves out."""

    def __init__(self, known: Known, totals: Mapping[str, int], notes: list[str]) -> None:
        self._known = known
        self._catalogue = known.catalogue
        self._totals = totals
        self._notes = notes
        self._room = PLAN_DECLARATIONS
        self._left_out: set[tuple[str, str]] = set()

    def events(
        self, seen: Mapping[str, Mapping[str, Seen]]
    ) -> tuple[dict[str, PlannedProperty], dict[str, PlannedEvent]]:
        """The properties that all events have, and the events with the others."""
        everywhere = set.intersection(*map(set, seen.values())) if len(seen) >= _COMMON_FROM else set()
        common = {}
        for name in sorted(everywhere):
            total = sum(self._totals[event] for event in seen)
            together = _together([seen[event][name] for event in seen])
            is_changed = any(self._known.is_changed("event", event, name) for event in seen)
            before = self._known.plan.common_properties.get(name)
            declared = self._declare("event", name, before, None if is_changed else (together, total))
            if declared is not None:
                common[name] = declared
        events = {}
        for event, properties in seen.items():
            planned = self._known.plan.events.get(event, PlannedEvent())
            own = {}
            for name in sorted(properties.keys() - common.keys()):
                is_changed = self._known.is_changed("event", event, name)
                counted = None if is_changed else (properties[name], self._totals[event])
                before = planned.properties.get(name) or self._known.plan.common_properties.get(name)
                declared = self._declare("event", name, before, counted)
                if declared is not None:
                    own[name] = declared
            if own or event not in PRESET_EVENTS:
                events[event] = replace(planned, properties=own)
        return common, events

    def owned(self, source: Source) -> dict[str, PlannedProperty]:
        """Of users or items."""
        names = sorted(name for of, name in self._catalogue.types if of == source)
        declared_before = dict(self._known.plan.declarations(source))
        found = {}
        for name in names:
            if is_preset_property(name):
                continue
            is_changed = self._known.is_changed(source, "", name)
            counted = None if is_changed else (Seen(0, ()), 1)
            declared = self._declare(source, name, declared_before.get(name), counted)
            if declared is not None:
                found[name] = declared
        return found

    def _declare(
        self, source: Source, name: str, before: PlannedProperty | None, counted: tuple[Seen, int] | None
    ) -> PlannedProperty | None:
        """`before`: as the plan has it now. `counted`: how it came, of how many events; None: it rests
        otherwise.
        """
        if counted is None:
            if before is None:
                self._leave_out(source, name, "is changed by a privacy rule, so what was sent does not show")
            return before
        type_ = self._catalogue.type_of(source, name)
        if type_ is None or self._catalogue.has_conflicts(source, name):
            why = "came with several types" if type_ else "is not in the catalogue, which is full"
            self._leave_out(source, name, why)
            return None
        self._room -= 1
        if self._room < 0:
            self._leave_out(source, name, f"is beyond the {PLAN_DECLARATIONS} that a plan may declare")
            return None
        seen, total = counted
        # What begins with $ may come from `lib`, where a plan does not look.
        required = seen.count == total and not name.startswith("$")
        allowed = tuple(sorted(seen.values)) if type_ == "string" and _are_few(seen) else ()
        proposed = PlannedProperty(type_, required=required, allowed=allowed)
        if before is None:
            return proposed
        return replace(proposed, owner=before.owner, grade=before.grade, description=before.description)

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
    for (event, name), (count, texts) in found.items():
        few = len(texts) <= FEW and all(len(text) <= _LONGEST_VALUE for text in texts)
        yield event, name, Seen(count, sorted(texts) if few else [])


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
