"""What the product must answer about a simulated bank: counted literally, by nothing that the product uses.

Every function takes the emitted events as they are, resolves people by the bindings that the records make,
and counts with loops over plain lists. Records that a collector must refuse count nowhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from footfall.simulator.event import Event


@dataclass(frozen=True, slots=True)
class Range:
    """From (in) to (out), epoch milliseconds."""

    from_ms: int
    to_ms: int

    def __contains__(self, time_ms: int) -> bool:
        return self.from_ms <= time_ms < self.to_ms


def resolve_persons(events: Iterable[Event]) -> dict[str, str]:
    """The login that each anonymous id belongs to, by the records that carry both.

    ValueError where two logins used one device: who owns it then depends on which record arrives first, which
    the simulator keeps out of its banks.
    """
    owners: dict[str, str] = {}
    for event in events:
        if event.refused or event.anonymous_id is None or event.login_id is None:
            continue
        owner = owners.setdefault(event.anonymous_id, event.login_id)
        if owner != event.login_id:
            raise ValueError(f"{event.anonymous_id} was used by {owner} and by {event.login_id}")
    return owners


def count_funnel(
    events: Sequence[Event],
    steps: Sequence[str],
    window_ms: int,
    counted: Range,
    group_by: Sequence[str] = (),
) -> dict[tuple[str, ...], list[int]]:
    """Persons who reached each step, by the values of `group_by` (first touch); ungrouped under the key ().

    Every event of the first step starts an attempt; each later step takes the earliest event at or after the
    step before, within the window (its end included). Steps must be different events.
    """
    if len(set(steps)) != len(steps):
        raise ValueError("this model counts funnels of different events only")
    owners = resolve_persons(events)
    by_person: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.type == "track" and event.event in steps and not event.refused and event.time_ms in counted:
            by_person[owners.get(event.distinct_id, event.distinct_id)].append(event)
    counts: dict[tuple[str, ...], list[int]] = {}
    for own in by_person.values():
        own.sort(key=lambda event: event.time_ms)
        depth = _deepest_level(own, steps, window_ms)
        key = tuple(_first_value(own, name) for name in group_by)
        reached = counts.setdefault(key, [0] * len(steps))
        for level in range(depth):
            reached[level] += 1
    return {key: reached for key, reached in counts.items() if any(reached)} or {(): [0] * len(steps)}


def count_events(
    events: Iterable[Event], name: str, counted: Range, group_by: str
) -> dict[str, tuple[int, int]]:
    """How often an event happened, and to how many persons, by the value of a property."""
    kept = list(events)
    owners = resolve_persons(kept)
    times: Counter[str] = Counter()
    persons: dict[str, set[str]] = defaultdict(set)
    for event in kept:
        if event.event == name and not event.refused and event.time_ms in counted:
            value = event.properties[group_by]
            times[value] += 1
            persons[value].add(owners.get(event.distinct_id, event.distinct_id))
    return {value: (times[value], len(persons[value])) for value in times}


def count_retention(
    events: Sequence[Event], start: str, back: str, edges_ms: Sequence[int], rows: int
) -> list[list[int]]:
    """Of the persons whose first `start` lies in an interval: how many, and how many did `back` k later.

    `edges_ms` are the starts of all intervals and the end of the last; persons enter in the first `rows`.
    """
    owners = resolve_persons(events)
    intervals = [Range(first, last) for first, last in pairwise(edges_ms)]
    by_person: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event in (start, back) and not event.refused:
            by_person[owners.get(event.distinct_id, event.distinct_id)].append(event)
    cells = [[0] * (len(intervals) - rows + 1) for _ in range(rows)]
    for own in by_person.values():
        starts = [e.time_ms for e in own if e.event == start and edges_ms[0] <= e.time_ms < edges_ms[rows]]
        if not starts:
            continue
        row = next(row for row, interval in enumerate(intervals) if min(starts) in interval)
        cells[row][0] += 1
        for k in range(1, len(cells[row])):
            cells[row][k] += any(e.event == back and e.time_ms in intervals[row + k] for e in own)
    return cells


def count_links(
    events: Sequence[Event], names: Sequence[str], gap_ms: int, most_steps: int, counted: Range
) -> dict[tuple[str, str], tuple[int, int]]:
    """How often, and by how many persons, `"2_bind_card"` follows `"1_register"`, and so on.

    A path is a person's events of these names until so long nothing happens; runs of one name are one node.
    """
    owners = resolve_persons(events)
    by_person: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event in names and not event.refused and event.time_ms in counted:
            by_person[owners.get(event.distinct_id, event.distinct_id)].append(event)
    times: Counter[tuple[str, str]] = Counter()
    persons: dict[tuple[str, str], set[str]] = defaultdict(set)
    for person, own in by_person.items():
        own.sort(key=lambda event: event.time_ms)
        for path in _paths(own, gap_ms):
            nodes = [f"{step}_{name}" for step, name in enumerate(path[:most_steps], start=1)]
            for link in pairwise(nodes):
                times[link] += 1
                persons[link].add(person)
    return {link: (count, len(persons[link])) for link, count in times.items()}


def _paths(own: Sequence[Event], gap_ms: int) -> list[list[str]]:
    paths: list[list[str]] = []
    last: Event | None = None
    for event in own:
        if last is None or event.time_ms - last.time_ms >= gap_ms:
            paths.append([])
        if not paths[-1] or paths[-1][-1] != event.event:
            paths[-1].append(str(event.event))
        last = event
    return paths


def sum_property(events: Iterable[Event], name: str, property_name: str, counted: Range) -> Decimal:
    """The exact sum of a property whose values are whole fen."""
    return sum(
        (
            Decimal(str(event.properties[property_name]))
            for event in events
            if event.event == name and not event.refused and event.time_ms in counted
        ),
        Decimal(0),
    )


def _deepest_level(own: Sequence[Event], steps: Sequence[str], window_ms: int) -> int:
    deepest = 0
    for start in own:
        if start.event == steps[0]:
            deepest = max(deepest, _level_of_attempt(own, steps, start.time_ms, window_ms))
    return deepest


def _level_of_attempt(own: Sequence[Event], steps: Sequence[str], start_ms: int, window_ms: int) -> int:
    level, now = 1, start_ms
    for step in steps[1:]:
        times = [e.time_ms for e in own if e.event == step and now <= e.time_ms <= start_ms + window_ms]
        if not times:
            break
        level, now = level + 1, min(times)
    return level


def _first_value(own: Sequence[Event], name: str) -> str:
    for event in own:
        if event.properties.get(name):
            return str(event.properties[name])
    return ""
