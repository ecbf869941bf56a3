"""funnel, by the book: every attempt of every person, every way of giving events to steps.

In order, an attempt is followed as a set of *ways*: sequences of distinct events, one a step, not going back
in time, inside the window. At each step only the ways that do it earliest live on, so ties, repeated steps
and selectors that share events need no thought. The scanner and its oracle work differently (matchings).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event
from tests.reference.selection import Body, events_read, key_of, order_of, period, selects
from tests.reference.trends import bucket_of, list_buckets

Key = tuple[Any, ...]

_UNITS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 7 * 86_400_000}


@dataclass(frozen=True)
class Attempt:
    """The time of each step that was reached, and for each the events that can have done it."""

    times: tuple[int, ...]
    doers: tuple[frozenset[int], ...]

    @property
    def level(self) -> int:
        return len(self.times)


def funnel(events: Sequence[Event], body: Body, *, timezone: str) -> dict[str, Any]:
    """The `result` of the answer, and `people`: who reached each step."""
    zone = ZoneInfo(body.get("timezone", timezone))
    attempts = {
        person: found
        for person, history in read_histories(events, body, zone).items()
        if (found := clean_attempts(history, body, zone))
    }
    chosen = {person: choose(found) for person, found in attempts.items()}
    everybody = Group((), chosen, attempts)
    edges = histogram_edges(chosen, body)
    return {
        **figures(everybody, body, zone, edges),
        "people": [sorted(p for p, a in chosen.items() if a.level > k) for k in range(len(body["steps"]))],
        "groups": [
            {"key": list(group.key), **figures(group, body, zone, edges)}
            for group in grouped(read_histories(events, body, zone), everybody, body, zone)
        ],
    }


@dataclass(frozen=True)
class Group:
    """The chosen attempt of each of a group's persons, and all clean attempts of theirs that can be in it."""

    key: Key
    chosen: dict[str, Attempt]
    attempts: dict[str, list[Attempt]]


def figures(group: Group, body: Body, zone: ZoneInfo, edges: Sequence[int]) -> dict[str, Any]:
    return {
        "steps": count(list(group.chosen.values()), body),
        "trend": trend(group.attempts, body, zone),
        "histogram": histogram(group.chosen, body, edges),
    }


def read_histories(events: Sequence[Event], body: Body, zone: ZoneInfo) -> dict[str, list[Event]]:
    """Each person's events that the query reads."""
    start, end = period(body, zone)
    if body.get("complete_after_range"):
        end += window_ms(body)
    read = events_read(events, {**body, "range": {"from": _iso(start), "to": _iso(end)}}, zone)
    histories: dict[str, list[Event]] = {}
    for event in read:
        if event.person is not None:
            histories.setdefault(event.person, []).append(event)
    return histories


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat()


def window_ms(body: Body) -> int:
    window = body.get("window", {"value": 14, "unit": "day"})
    return int(window["value"] * _UNITS_MS[window["unit"]])


def clean_attempts(
    history: Sequence[Event], body: Body, zone: ZoneInfo, *, others: Sequence[Event] = ()
) -> list[Attempt]:
    """All attempts that are not void: one for each instant at which one can start.

    `others` do no step, but they break a strict chain, and exclusions among them count.
    """
    _, end = period(body, zone)
    first = body["steps"] if body.get("order") == "any" else body["steps"][:1]
    starts = sorted({e.time for e in history if e.time < end and any(selects(step, e) for step in first)})
    follow = follow_in_any_order if body.get("order") == "any" else follow_in_order
    attempts = [follow(start, history, body, [*history, *others]) for start in starts]
    return [attempt for attempt in attempts if not is_void(attempt, [*history, *others], body)]


def choose(attempts: Sequence[Attempt]) -> Attempt:
    """The first to reach the deepest level; of several that get there at one instant the latest entry."""
    return max(attempts, key=lambda a: (a.level, -a.times[-1], a.times[0]))


def follow_in_order(start: int, history: Sequence[Event], body: Body, everything: Sequence[Event]) -> Attempt:
    """An attempt from a start on: each later step takes the earliest event that can serve it."""
    steps = body["steps"]
    times = [start]
    ways = {(i,) for i, e in enumerate(history) if e.time == start and selects(steps[0], e)}
    for k in range(1, len(steps)):
        longer = {
            (*way, i)
            for way in ways
            for i, e in enumerate(history)
            if i not in way and selects(steps[k], e) and times[-1] <= e.time <= start + window_ms(body)
        }
        if not longer:
            break
        time = min(history[way[-1]].time for way in longer)
        if body.get("order") == "strict" and breaks(everything, times[-1], time, steps[k - 1]):
            break
        times.append(time)
        ways = {way for way in longer if history[way[-1]].time == time}
    return Attempt(tuple(times), tuple(frozenset(way[k] for way in ways) for k in range(len(times))))


def breaks(history: Sequence[Event], since: int, until: int, done: Body) -> bool:
    """Whether another track event than of the step just done lies strictly between two steps."""
    return any(e.type == "track" and since < e.time < until and not selects(done, e) for e in history)


def follow_in_any_order(start: int, history: Sequence[Event], body: Body, _: Sequence[Event]) -> Attempt:
    """As many distinct steps as the events since the start can serve, whichever they are."""
    times: list[int] = []
    doers: list[frozenset[int]] = []
    inside = [(i, e) for i, e in enumerate(history) if start <= e.time <= start + window_ms(body)]
    for time in sorted({e.time for _, e in inside}):
        before = [e for _, e in inside if e.time < time]
        level = distinct_steps([e for _, e in inside if e.time <= time], body)
        raising = frozenset(
            i for i, e in inside if e.time == time and distinct_steps([*before, e], body) > len(times)
        )
        for _ in range(level - len(times)):
            times.append(time)
            doers.append(raising)
    return Attempt(tuple(times), tuple(doers))


def distinct_steps(events: Sequence[Event], body: Body) -> int:
    """The most steps that the events can serve, each event one: keeps all sets that can be served."""
    served: set[frozenset[int]] = {frozenset()}
    for event in events:
        fits = [k for k, step in enumerate(body["steps"]) if selects(step, event)]
        served |= {done | {k} for done in served for k in fits}
    return max(map(len, served))


def is_void(attempt: Attempt, history: Sequence[Event], body: Body) -> bool:
    """Whether an exclusion falls strictly between its steps, or by the window's end without the second."""
    for exclusion in body.get("exclude", []):
        first, last = exclusion.get("from_step", 0), exclusion.get("to_step", 1)
        if attempt.level <= first:
            continue
        until = attempt.times[last] - 1 if attempt.level > last else attempt.times[0] + window_ms(body)
        if any(attempt.times[first] < e.time <= until and selects(exclusion, e) for e in history):
            return True
    return False


def count(attempts: Sequence[Attempt], body: Body) -> list[dict[str, Any]]:
    """A row for each step."""
    rows = []
    users = [sum(a.level > k for a in attempts) for k in range(len(body["steps"]))]
    for k, step in enumerate(body["steps"]):
        before = users[k - 1] if k else users[0]
        seconds = [Fraction(a.times[k] - a.times[k - 1], 1000) for a in attempts if k and a.level > k]
        rows.append(
            {
                "label": step.get("label", step["event"] or "any event"),
                "users": users[k],
                "conversion_rate": Fraction(users[k], users[0]) if users[0] else 0,
                "step_conversion_rate": Fraction(users[k], before) if before else 0,
                "dropped": before - users[k],
                "average_seconds": sum(seconds) / len(seconds) if seconds else None,
                "median_seconds": median(seconds) if seconds else None,
            }
        )
    return rows


def median(values: Sequence[Fraction]) -> Fraction:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def trend(attempts: dict[str, list[Attempt]], body: Body, zone: ZoneInfo) -> list[dict[str, Any]]:
    """By the bucket of their start, a person once a bucket, at their deepest level there."""
    if body.get("trend") is None:
        return []
    interval, first = body["trend"].get("interval", "day"), body["trend"].get("from_step", 0)
    last = body["trend"].get("to_step")
    last = len(body["steps"]) - 1 if last is None else last
    deepest: dict[str, dict[str, int]] = {name: {} for name in list_buckets(body, zone, interval)}
    for person, own in attempts.items():
        for attempt in own:
            levels = deepest[bucket_of(attempt.times[0], zone, interval, body)]
            levels[person] = max(levels.get(person, 0), attempt.level)
    rows = []
    for name, levels in deepest.items():
        entered = sum(level > first for level in levels.values())
        converted = sum(level > last for level in levels.values())
        rate = Fraction(converted, entered) if entered else 0
        rows.append(
            {"bucket": name, "entered": entered, "converted": converted, "rate": rate, "partial": False}
        )
    return rows


def histogram_steps(body: Body) -> tuple[int, int]:
    last = body["histogram"].get("to_step")
    return body["histogram"].get("from_step", 0), len(body["steps"]) - 1 if last is None else last


def durations(chosen: dict[str, Attempt], body: Body) -> list[Fraction]:
    """Seconds between the histogram's steps."""
    first, last = histogram_steps(body)
    return [Fraction(a.times[last] - a.times[first], 1000) for a in chosen.values() if a.level > last]


def histogram_edges(chosen: dict[str, Attempt], body: Body) -> list[int]:
    """Left edges, `bins` + 1 of them, from the minimum up; none over nobody."""
    took = durations(chosen, body) if body.get("histogram") is not None else []
    if not took:
        return []
    bins = body["histogram"].get("bins")
    if bins is None:
        bins = next(n for n in range(1, len(took) + 1) if n**3 >= len(took))
    width = max(1, ceil((max(took) - min(took)) / bins))
    return [floor(min(took)) + i * width for i in range(bins + 1)]


def histogram(chosen: dict[str, Attempt], body: Body, edges: Sequence[int]) -> list[dict[str, Any]]:
    """A time belongs to the last edge that is not above it."""
    if not edges:
        return []
    places = [max(edge for edge in edges if edge <= took) for took in durations(chosen, body)]
    return [{"from_seconds": edge, "users": places.count(edge)} for edge in edges]


def grouped(histories: dict[str, list[Event]], everybody: Group, body: Body, zone: ZoneInfo) -> list[Group]:
    """The groups by size; those beyond the limit are one."""
    if not body.get("breakdown"):
        return []
    by_key: dict[Key, Group] = {}
    for person in everybody.chosen if not _is_by_all_steps(body) else histories:
        for key, own in keys_of(person, histories[person], everybody, body, zone):
            group = by_key.setdefault(key, Group(key, {}, {}))
            group.chosen[person] = choose(own) if _is_by_all_steps(body) else everybody.chosen[person]
            group.attempts[person] = own
    ranked = sorted(by_key.values(), key=lambda group: (-len(group.chosen), order_of(group.key)))
    limit = body.get("breakdown_limit", 25)
    rest = Group(("$other",), {}, {})
    for group in ranked[limit:]:
        for person, own in group.attempts.items():
            rest.attempts[person] = rest.attempts.get(person, []) + own
            best = choose([group.chosen[person], rest.chosen.get(person, group.chosen[person])])
            rest.chosen[person] = best
    return [*ranked[:limit], rest] if rest.chosen else ranked


def _parts(body: Body) -> tuple[Sequence[str], str, int]:
    breakdown = body["breakdown"]
    if isinstance(breakdown, list):
        return breakdown, "first_touch", 0
    return breakdown["properties"], breakdown.get("attribution", "first_touch"), breakdown.get("step", 0)


def _is_by_all_steps(body: Body) -> bool:
    return _parts(body)[1] == "all_steps"


def keys_of(
    person: str, history: Sequence[Event], everybody: Group, body: Body, zone: ZoneInfo
) -> list[tuple[Key, list[Attempt]]]:
    """The groups that a person is in, and the attempts that count in each."""
    names, how, step = _parts(body)
    if how == "all_steps":
        return _shared_by_all_steps(history, body, names, zone)
    chosen, attempts = everybody.chosen[person], everybody.attempts[person]
    if how == "step":
        if chosen.level <= step:
            return []
        return [(_smallest([key_of(history[i], names) for i in chosen.doers[step]]), attempts)]
    touched = [
        (e.time, key_of(e, names))
        for e in history
        if not _is_blank(key_of(e, names)) and any(selects(one, e) for one in body["steps"])
    ]
    if not touched:
        return [(tuple(None for _ in names), attempts)]
    when = (min if how == "first_touch" else max)(time for time, _ in touched)
    return [(_smallest([key for time, key in touched if time == when]), attempts)]


def _shared_by_all_steps(
    history: Sequence[Event], body: Body, names: Sequence[str], zone: ZoneInfo
) -> list[tuple[Key, list[Attempt]]]:
    found = []
    for key in {key_of(e, names) for e in history}:
        sharing = [e for e in history if key_of(e, names) == key]
        others = [e for e in history if key_of(e, names) != key]
        own = clean_attempts(sharing, body, zone, others=others)
        if own and any(part is not None for part in key):
            found.append((key, own))
    return found


def _is_blank(key: Key) -> bool:
    """Missing values and empty texts touch nothing."""
    return all(part is None or part == "" for part in key)


def _smallest(keys: Sequence[Key]) -> Key:
    """The smallest, a missing value last."""
    return min(keys, key=lambda key: tuple((part is None, "" if part is None else part) for part in key))
