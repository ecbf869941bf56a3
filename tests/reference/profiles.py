"""The slow, obvious model of profiles: one id after the other, one operation after the other, then the merge.

Works on Python values; shares no code with the processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Said(NamedTuple):
    """An operation as the model sees it."""

    id: str
    operation: str
    property: str
    value: Any
    time: int
    event_id: int


def profile(person: str, operations: Iterable[Said]) -> dict[str, Any]:
    """The person's properties; all operations are of ids of this person."""
    ordered = sorted(operations, key=lambda said: (said.time, said.event_id))
    ids = {said.id for said in ordered}
    end_of_person = max(
        (n for n, s in enumerate(ordered) if s.operation == "delete" and s.id == person), default=-1
    )
    alive: dict[str, list[Said]] = {}
    for id_ in ids:
        end = max((n for n, s in enumerate(ordered) if s.operation == "delete" and s.id == id_), default=-1)
        alive[id_] = [s for n, s in enumerate(ordered) if s.id == id_ and n > max(end, end_of_person)]
    names = {said.property for of_id in alive.values() for said in of_id}
    found = {name: merged(person, alive, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def merged(person: str, alive: dict[str, list[Said]], name: str) -> Any:
    states = {id_: state([said for said in of_id if said.property == name]) for id_, of_id in alive.items()}
    own = states.get(person, {})
    sets = [s for id_, s in states.items() if id_ != person and s.get("word") == "set"]
    onces = [s for s in states.values() if s.get("word") == "set_once"]
    if own.get("word") in ("set", "unset"):
        value = own["value"]
    elif sets and own.get("word") != "set_once":
        value = sorted(sets, key=lambda s: s["when"])[-1]["value"]
    elif onces:
        value = sorted(onces, key=lambda s: s["when"])[0]["value"]
    else:
        value = None
    numbers = [n for s in states.values() for n in s.get("added", [])]
    texts = [t for _, t in sorted((w, t) for s in states.values() for w, t in s.get("appended", []))]
    if is_number(value) or (value is None and numbers):
        return sum(numbers, value or 0) if numbers else value
    if isinstance(value, list) or (value is None and texts):
        result = list(value or [])
        for several in texts:
            result += several
        return unique(result) if texts else value
    return value


def state(operations: list[Said]) -> dict[str, Any]:
    """What one id says of one property."""
    now: dict[str, Any] = {"value": None, "added": [], "appended": []}
    for said in operations:
        when = (said.time, said.event_id)
        there = now["value"] is not None or now["added"] or now["appended"]
        if said.operation in ("set", "unset"):
            now = {"word": said.operation, "value": said.value, "when": when, "added": [], "appended": []}
        elif said.operation == "set_once" and not there:
            now = {"word": "set_once", "value": said.value, "when": when, "added": [], "appended": []}
        elif said.operation == "increment":
            if not now["appended"] and (now["value"] is None or is_number(now["value"])):
                now["added"].append(said.value)
        elif (
            said.operation == "append"
            and not now["added"]
            and (now["value"] is None or isinstance(now["value"], list))
        ):
            now["appended"].append((when, said.value))
    return now


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def unique(texts: list[str]) -> list[str]:
    found: list[str] = []
    for text in texts:
        if text not in found:
            found.append(text)
    return found
