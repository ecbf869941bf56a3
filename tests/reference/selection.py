"""Which events a query reads and a selector takes: ranges, conditions, selectors, keys of groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event

Body = Mapping[str, Any]


def period(body: Body, zone: ZoneInfo) -> tuple[int, int]:
    """From, inclusive, and to, exclusive, in epoch milliseconds."""
    return _edge(body["range"]["from"], zone, 0), _edge(body["range"]["to"], zone, 1)


def _edge(text: str, zone: ZoneInfo, days: int) -> int:
    if len(text) > 10:
        return milliseconds(datetime.fromisoformat(text))
    return milliseconds(datetime.combine(date.fromisoformat(text) + timedelta(days=days), time(), zone))


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def events_read(events: Sequence[Event], body: Body, zone: ZoneInfo) -> list[Event]:
    """Those in the range that meet the query's own conditions."""
    start, end = period(body, zone)
    return [e for e in events if start <= e.time < end and all(holds(c, e) for c in body.get("where", []))]


def selects(selector: Body, event: Event) -> bool:
    """Whether a selector takes an event; `takes` is what tests/reference/asked.py found out."""
    if "takes" in selector:
        return id(event) in selector["takes"]
    wanted = selector["event"]
    if wanted is None:
        named = event.type == "track"
    else:
        named = event.name in ([wanted] if isinstance(wanted, str) else wanted)
    return named and all(holds(condition, event) for condition in selector.get("where", []))


def holds(condition: Body, event: Event) -> bool:
    """Whether a condition holds; a missing property fails every positive operator."""
    if "any" in condition:
        return any(holds(c, event) for c in condition["any"])
    if "all" in condition:
        return all(holds(c, event) for c in condition["all"])
    if "not" in condition:
        return not holds(condition["not"], event)
    op, expected = condition["op"], condition.get("value")
    if op in ("ne", "not_in", "not_contains", "is_not_set"):
        positive = {"ne": "eq", "not_in": "in", "not_contains": "contains", "is_not_set": "is_set"}[op]
        return not holds({**condition, "op": positive}, event)
    if condition.get("of") == "user":
        value = event.profile.get(condition["property"])
    else:
        value = value_of(event, condition["property"])
    return value is not None and _OPERATORS[op](exact(value), expected)


def value_of(event: Event, name: str) -> Any:
    """The value of a property, None where it is missing; `event` is the event's own name."""
    return event.name if name == "event" else event.properties.get(name)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, expected: _same(value, exact(expected)),
    "in": lambda value, expected: any(_same(value, exact(e)) for e in expected),
    "contains": lambda value, expected: expected in value,  # of a list: membership
    "starts_with": lambda value, expected: any(text.startswith(expected) for text in _texts(value)),
    "ends_with": lambda value, expected: any(text.endswith(expected) for text in _texts(value)),
    "matches": lambda value, expected: any(re.search(expected, text) for text in _texts(value)),
    "before": lambda value, expected: value < _times(expected)[0],
    "after": lambda value, expected: value >= _times(expected)[1],
    "gt": lambda value, expected: value > exact(expected),
    "gte": lambda value, expected: value >= exact(expected),
    "lt": lambda value, expected: value < exact(expected),
    "lte": lambda value, expected: value <= exact(expected),
    "between": lambda value, expected: exact(expected[0]) <= value <= exact(expected[1]),
    "is_set": lambda value, expected: True,
    "is_true": lambda value, expected: value is True,
    "is_false": lambda value, expected: value is False,
}


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _times(text: str) -> tuple[str, str]:
    """A day's, or an instant's, first and next millisecond on the clock of Shanghai."""
    if len(text) == 10:
        return text, (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    local = datetime.fromisoformat(text).astimezone(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
    both = (local, local + timedelta(milliseconds=1))
    first, following = (moment.isoformat(sep=" ", timespec="milliseconds") for moment in both)
    return first, following


def _same(value: Any, expected: Any) -> bool:
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected


def exact(value: Any) -> Any:
    """Numbers as decimals, as they are written; anything else as it is."""
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


def key_of(event: Event, properties: Sequence[str]) -> tuple[Any, ...]:
    """The group's key: a value for each property, None where it is missing."""
    return tuple(exact(value_of(event, name)) for name in properties)


def order_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keys in order: a missing value first."""
    return tuple((part is not None, part if part is not None else 0) for part in key)
