"""funnel, by the book: every attempt of every person, every way of giving events to steps.

An attempt is followed as a set of *ways*: sequences of distinct events, one a step, not going back in
time, inside the window. At each step only the ways that do it earliest live on, so ties, repeated steps and
selectors that share events need no thought. The scanner and its oracle do it quite differently (matchings).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.events import Event
from tests.reference.selection import Body, events_read, key_of, order_of, period, selects

Key = tuple[Any, ...]
Way = tuple[int, ...]  # indexes of the events of each step done

_UNITS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 7 * 86_400_000}


@dataclass(frozen=True)
class Attempt:
    """The time of each step that was reached, and all the ways to do it at those times."""

    times: tuple[int, ...]
    ways: frozenset[Way]

    @property
    def level(self) -> int:
        return len(self.times)


def funnel(events: Sequence[Event], body: Body, *, timezone: str) -> dict[str, Any]:
    """`steps` and `groups` of the answer, and `people`: who reached each step."""
    zone = ZoneInfo(body.get("timezone", timezone))
    histories = read_histories(events, body, zone)
    attempts = {person: chosen_attempt(history, body, zone) for person, history in histories.items()}
    reached = {person: attempt for person, attempt in attempts.items() if attempt is not None}
    answer: dict[str, Any] = {
        "steps": count(list(reached.values()), body),
        "people": [sorted(p for p, a in reached.items() if a.level > k) for k in range(len(body["steps"]))],
        "groups": [],
    }
    if body.get("breakdown"):
        answer["groups"] = grouped(histories, reached, body, zone)
    return answer


def read_histories(events: Sequence[Event], body: Body, zone: ZoneInfo) -> dict[str, list[Event]]:
    """Each person's events that the query reads and that match a step."""
    if body.get("complete_after_range"):
        start, end = period(body, zone)
        inside = [e for e in events if start <= e.time < end + window_ms(body)]
        read = events_read(
            inside, {**body, "range": {"from": _iso(start), "to": _iso(end + window_ms(body))}}, zone
        )
    else:
        read = events_read(events, body, zone)
    histories: dict[str, list[Event]] = {}
    for event in read:
        if event.person is not None and any(selects(step, event) for step in body["steps"]):
            histories.setdefault(event.person, []).append(event)
    return histories


def _iso(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat()


def window_ms(body: Body) -> int:
    window = body.get("window", {"value": 14, "unit": "day"})
    return int(window["value"] * _UNITS_MS[window["unit"]])


def chosen_attempt(history: Sequence[Event], body: Body, zone: ZoneInfo) -> Attempt | None:
    """The first to reach the deepest level; of several that get there at one instant the latest entry."""
    _, end = period(body, zone)
    starts = sorted({e.time for e in history if selects(body["steps"][0], e) and e.time < end})
    attempts = [follow(start, history, body) for start in starts]
    if not attempts:
        return None
    return max(attempts, key=lambda a: (a.level, -a.times[-1], a.times[0]))


def follow(start: int, history: Sequence[Event], body: Body) -> Attempt:
    """An attempt from a start on: each later step takes the earliest event that can serve it."""
    steps = body["steps"]
    times = [start]
    ways = {(i,) for i, e in enumerate(history) if e.time == start and selects(steps[0], e)}
    for step in steps[1:]:
        longer = {
            (*way, i)
            for way in ways
            for i, e in enumerate(history)
            if i not in way and selects(step, e) and times[-1] <= e.time <= start + window_ms(body)
        }
        if not longer:
            break
        times.append(min(history[way[-1]].time for way in longer))
        ways = {way for way in longer if history[way[-1]].time == times[-1]}
    return Attempt(tuple(times), frozenset(ways))


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


def grouped(
    histories: dict[str, list[Event]], reached: dict[str, Attempt], body: Body, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """The groups by size; those beyond the limit are one."""
    by_key: dict[Key, dict[str, Attempt]] = {}
    for person, attempt in reached.items():
        for key, own in keys_of(histories[person], attempt, body, zone):
            by_key.setdefault(key, {})[person] = own
    ranked = sorted(by_key, key=lambda key: (-len(by_key[key]), order_of(key)))
    limit = body.get("breakdown_limit", 25)
    listed = [{"key": list(key), "steps": count(list(by_key[key].values()), body)} for key in ranked[:limit]]
    rest: dict[str, Attempt] = {}
    for key in ranked[limit:]:
        for person, own in by_key[key].items():
            rest[person] = max(rest.get(person, own), own, key=lambda a: (a.level, -a.times[-1], a.times[0]))
    if rest:
        listed.append({"key": ["$other"], "steps": count(list(rest.values()), body)})
    return listed


def keys_of(
    history: Sequence[Event], attempt: Attempt, body: Body, zone: ZoneInfo
) -> list[tuple[Key, Attempt]]:
    """The groups that a person is in, and the attempt that counts in each."""
    breakdown = body["breakdown"]
    if isinstance(breakdown, list):
        breakdown = {"properties": breakdown}
    names, how = breakdown["properties"], breakdown.get("attribution", "first_touch")
    if how == "step":
        step = breakdown.get("step", 0)
        if attempt.level <= step:
            return []
        return [(_smallest([key_of(history[way[step]], names) for way in attempt.ways]), attempt)]
    if how == "all_steps":
        return _shared_by_all_steps(history, body, names, zone)
    touched = [(e.time, key_of(e, names)) for e in history if not _is_blank(key_of(e, names))]
    if not touched:
        return [(tuple(None for _ in names), attempt)]
    when = (min if how == "first_touch" else max)(time for time, _ in touched)
    return [(_smallest([key for time, key in touched if time == when]), attempt)]


def _shared_by_all_steps(
    history: Sequence[Event], body: Body, names: Sequence[str], zone: ZoneInfo
) -> list[tuple[Key, Attempt]]:
    found = []
    for key in {key_of(e, names) for e in history}:
        own = chosen_attempt([e for e in history if key_of(e, names) == key], body, zone)
        if own is not None and any(part is not None for part in key):
            found.append((key, own))
    return found


def _is_blank(key: Key) -> bool:
    """Missing values and empty texts touch nothing."""
    return all(part is None or part == "" for part in key)


def _smallest(keys: Sequence[Key]) -> Key:
    """The smallest, a missing value last."""
    return min(keys, key=lambda key: tuple((part is None, "" if part is None else part) for part in key))
