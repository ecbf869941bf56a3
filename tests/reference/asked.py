"""What a body asks for, resolved for the models: who is counted, and which events each selector takes.

Virtual events, occurrences and other actors than users become a set of events for each selector and an
actor for each event, found by looking at all of history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.reference.events import Event
from tests.reference.selection import Body, exact, holds

GAP = 30 * 60_000
Virtual = Mapping[str, Sequence[Body]]  # the sources of each virtual event


def asked(events: Sequence[Event], body: Body, virtual: Virtual) -> tuple[list[Event], dict[str, Any]]:
    """The events with the actor for the person, and the body with `takes` in each selector."""
    counted = count(events, body.get("actor", "user"))
    resolved = dict(body)
    for field in ("series", "steps", "exclude"):
        if field in body:
            resolved[field] = [
                {**selector, "takes": {id(e) for e in takes(selector, counted, body, virtual)}}
                for selector in body[field]
            ]
    return counted, resolved


def count(events: Sequence[Event], actor: Any) -> list[Event]:
    """Events with the actor in the place of the person; those without the actor's property are dropped."""
    if actor == "user":
        return list(events)
    if actor == "session":
        return [replace(e, person=session_of(e, events)) for e in events]
    name = actor.get("property") or actor["session"]
    having = [e for e in events if name in e.properties]
    if "property" in actor:
        return [replace(e, person=f"{name} {exact(e.properties[name])}") for e in having]
    return [replace(e, person=e.person and f"{e.person} {e.properties[name]}") for e in having]


def session_of(event: Event, events: Sequence[Event]) -> str | None:
    """Of the person's track events in order: a new session begins after a gap."""
    if event.person is None:
        return None
    times = sorted(e.time for e in events if e.person == event.person and e.type == "track")
    starts = [time for n, time in enumerate(times) if n == 0 or time - times[n - 1] >= GAP]
    begun = [start for start in starts if start <= event.time]
    if not begun:
        return None
    last = max(time for time in times if len([s for s in starts if s <= time]) == len(begun))
    return f"{event.person} {begun[-1]}" if event.time < last + GAP else None


def takes(selector: Body, events: Sequence[Event], body: Body, virtual: Virtual) -> list[Event]:
    """The events that a selector takes; the query's own conditions are the model's business."""

    def matches(event: Event) -> bool:
        return all(holds(condition, event) for condition in selector.get("where", []))

    def is_asked_for(event: Event) -> bool:
        return all(holds(condition, event) for condition in body.get("where", []))

    named = [e for e in events if is_named(e, selector["event"], virtual)]
    match selector.get("occurrence", "any"):
        case "first_ever":
            named = firsts(named)
        case "first_matching":
            named = firsts([e for e in named if matches(e) and is_asked_for(e)])
    return [e for e in named if matches(e)]


def is_named(event: Event, names: Any, virtual: Virtual) -> bool:
    """Whether the event has one of the names, or is one of the virtual events of these names."""
    if names is None:
        return event.type == "track"
    for name in [names] if isinstance(names, str) else names:
        if name not in virtual:
            if event.name == name:
                return True
        elif any(
            is_named(event, source["event"], {}) and all(holds(c, event) for c in source.get("where", []))
            for source in virtual[name]
        ):
            return True
    return False


def firsts(events: Sequence[Event]) -> list[Event]:
    """The first of each actor; nobody has none. No two events of an actor have one time."""
    found: dict[str, Event] = {}
    for event in events:
        if (
            event.person is not None
            and event.time < found.get(event.person, replace(event, time=1 << 60)).time
        ):
            found[event.person] = event
    return list(found.values())
