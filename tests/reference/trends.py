"""trends, by the book: bucket by bucket, group by group, over plain events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event
from tests.reference.selection import Body, events_read, exact, key_of, order_of, period, selects

Key = tuple[Any, ...]


def trends(events: Sequence[Event], body: Body, *, timezone: str) -> dict[str, Any]:
    """The `result` of the answer; numbers are int, Decimal or Fraction."""
    zone = ZoneInfo(body.get("timezone", timezone))
    interval = body.get("interval", "day")
    buckets = list_buckets(body, zone, interval)
    entries = []
    for series in body["series"]:
        measured = series.get("measure", "events")
        for key, taken in groups(series, events_read(events, body, zone), body):
            by_bucket: dict[str, list[Event]] = {name: [] for name in buckets}
            for event in taken:
                name = buckets[0] if interval == "total" else bucket_of(event.time, zone, interval, body)
                by_bucket[name].append(event)
            entries.append(
                {
                    "label": series.get("label", series["event"] or "any event"),
                    "key": list(key),
                    "values": [measure(measured, inside) for inside in by_bucket.values()],
                    "total": measure(measured, taken),
                }
            )
    return {"buckets": buckets, "series": entries}


def groups(series: Body, events: Sequence[Event], body: Body) -> list[tuple[Key, list[Event]]]:
    """The events of each group, the largest first; all beyond the limit are one."""
    taken = [e for e in events if selects(series, e)]
    parts = body.get("breakdown") or []
    if not parts:
        return [((), taken)]
    by_key: dict[Key, list[Event]] = {}
    for event in taken:
        by_key.setdefault(key_of(event, parts), []).append(event)
    ranked = sorted(
        by_key, key=lambda key: (-size(series.get("measure", "events"), by_key[key]), order_of(key))
    )
    limit = body.get("breakdown_limit", 25)
    listed = [(key, by_key[key]) for key in ranked[:limit]]
    rest = [event for key in ranked[limit:] for event in by_key[key]]
    return [*listed, (("$other",), rest)] if rest else listed


def size(measured: Any, events: Sequence[Event]) -> Any:
    """What groups are ranked by."""
    if measured in ("users", "events_per_user") or "sum_per_user" in measured:
        return len(people(events))
    if isinstance(measured, Mapping) and "sum" in measured:
        return sum(numbers(events, measured["sum"]))
    return len(events)


def people(events: Sequence[Event]) -> set[str]:
    return {e.person for e in events if e.person is not None}


def numbers(events: Sequence[Event], name: str) -> list[Decimal]:
    return [exact(e.properties[name]) for e in events if isinstance(exact(e.properties.get(name)), Decimal)]


def measure(measured: Any, events: Sequence[Event]) -> Any:
    """One number of a set of events; 0 over nothing."""
    if measured == "events":
        return len(events)
    if measured == "users":
        return len(people(events))
    of_somebody = [e for e in events if e.person is not None]
    if measured == "events_per_user":
        return Fraction(len(of_somebody), len(people(events))) if of_somebody else 0
    ((kind, name),) = measured.items()
    values = numbers(events, name)
    if kind == "distinct":
        return len({exact(e.properties[name]) for e in events if name in e.properties})
    if kind == "sum_per_user":
        return Fraction(sum(numbers(of_somebody, name))) / len(people(events)) if of_somebody else 0
    if kind == "sum":
        return sum(values)
    if not values:
        return 0
    if kind in ("min", "max"):
        return min(values) if kind == "min" else max(values)
    if kind == "average":
        return Fraction(sum(values)) / len(values)
    return percentile(values, 50 if kind == "median" else int(kind.removeprefix("p")))


def percentile(values: Sequence[Decimal], percent: int) -> Fraction:
    """Linear interpolation between the neighbours of place (n - 1) * percent / 100."""
    ordered = sorted(map(Fraction, values))
    place = Fraction((len(ordered) - 1) * percent, 100)
    low = ordered[int(place)]
    high = ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (high - low) * (place - int(place))


def list_buckets(body: Body, zone: ZoneInfo, interval: str) -> list[str]:
    """Every bucket that the range touches: found by going through it in small steps."""
    start, end = period(body, zone)
    if interval == "total":
        return [bucket_of(start, zone, "day", body)]
    step = 60_000 if interval == "minute" else 15 * 60_000
    names = [bucket_of(instant, zone, interval, body) for instant in (*range(start, end, step), end - 1)]
    return list(dict.fromkeys(names))


def bucket_of(instant: int, zone: ZoneInfo, interval: str, body: Body) -> str:
    """The local date, or date-time with offset, at which the bucket of an instant begins."""
    local = datetime.fromtimestamp(instant / 1000, zone)
    if interval == "minute":
        return local.replace(second=0, microsecond=0).isoformat()
    if interval == "hour":
        return local.replace(minute=0, second=0, microsecond=0).isoformat()
    day = local.date()
    if interval == "week":
        first = 0 if body.get("week_start", "monday") == "monday" else 6
        day -= timedelta(days=(day.weekday() - first) % 7)
    elif interval == "month":
        day = day.replace(day=1)
    elif interval == "quarter":
        day = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    elif interval == "year":
        day = day.replace(month=1, day=1)
    return day.isoformat()
