"""A plan as a value: events, their properties, those that all events may have, and those of users and items.

A property's type belongs to its name, since the store has one type a name: two events of a plan may not
declare it differently. Its grade, too: where declarations differ, the strictest counts for the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Mode = Literal["off", "report", "enforce"]
Unknown = Literal["allow", "report", "refuse"]
PropertyType = Literal["string", "number", "decimal", "boolean", "datetime", "list"]
Grade = Literal["C1", "C2", "C3"]
Source = Literal["event", "user", "item"]
"""Whose property: as the store's catalogue says it."""

SOURCES: Final[tuple[Source, ...]] = get_args(Source)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
UNKNOWN: Final[tuple[Unknown, ...]] = get_args(Unknown)
PROPERTY_TYPES: Final[tuple[PropertyType, ...]] = get_args(PropertyType)
GRADES: Final[tuple[Grade, ...]] = get_args(Grade)
"""From what anybody may see to what must never leak: C1, C2, C3."""


@dataclass(frozen=True, slots=True)
class Description:
    """What people read of it; "" where nobody wrote any."""

    zh: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class PlannedProperty:
    """What a property may be."""

    type: PropertyType
    required: bool = False  # of events only
    allowed: tuple[str | int | float, ...] = ()  # none named: any value of the type; of a list: each string
    owner: str = ""
    grade: Grade | None = None  # None: nobody said
    description: Description = Description()


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """An event and its own properties by name; those common to all events are not repeated here."""

    properties: Mapping[str, PlannedProperty] = field(default_factory=dict)
    owner: str = ""
    grade: Grade | None = None
    description: Description = Description()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a project declares, in the order in which it was written."""

    mode: Mode = "off"
    unknown_events: Unknown = "report"
    unknown_properties: Unknown = "report"
    common_properties: Mapping[str, PlannedProperty] = field(default_factory=dict)  # valid for all events
    events: Mapping[str, PlannedEvent] = field(default_factory=dict)
    user_properties: Mapping[str, PlannedProperty] = field(default_factory=dict)
    item_properties: Mapping[str, PlannedProperty] = field(default_factory=dict)  # of items of all types

    def declarations(self, source: Source) -> Iterator[tuple[str, PlannedProperty]]:
        """Every declaration of a property of this source; a name may come several times."""
        if source == "user":
            yield from self.user_properties.items()
        elif source == "item":
            yield from self.item_properties.items()
        else:
            yield from self.common_properties.items()
            for event in self.events.values():
                yield from event.properties.items()

    def types(self, source: Source) -> dict[str, PropertyType]:
        """The declared type of each property, by name."""
        return {name: declared.type for name, declared in self.declarations(source)}

    def grades(self, source: Source) -> dict[str, Grade]:
        """The strictest grade that is declared for each property, by name; those without one are left out."""
        found: dict[str, Grade] = {}
        for name, declared in self.declarations(source):
            strictest = strictest_grade((found.get(name), declared.grade))
            if strictest is not None:
                found[name] = strictest
        return found

    def event_grade(self, event: str) -> Grade | None:
        """An event's own grade, else the strictest of its own properties; None where nobody said."""
        planned = self.events.get(event)
        if planned is None:
            return None
        return planned.grade or strictest_grade(each.grade for each in planned.properties.values())


def strictest_grade(grades: Iterable[Grade | None]) -> Grade | None:
    """
    >>> strictest_grade(["C1", None, "C3"]), strictest_grade([])
    ('C3', None)
    """
    return max((grade for grade in grades if grade is not None), default=None)
