"""The native scan of intervals gives what a literal reading of its plan gives, on random histories."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from query_api.scan import (
    ENTERS,
    NAMED,
    NO_VALUE,
    RETURNS,
    Block,
    RetentionPlan,
    native_retention,
    scan_retention,
    tally,
)
from query_api.scan.retention_plan import Entry, RetentionScan

DAY = 86_400_000
ENTRIES: tuple[Entry, ...] = ("recurring", "first_in_range", "first_matching", "first_ever")
Happened = tuple[int, int, int, int]  # key, time, mask, value


def edges_of(count: int, start: int = 100, width: int = 10) -> tuple[int, ...]:
    return tuple(range(start, start + (count + 1) * width, width))


def block_of(events: Iterable[Happened], *, with_values: bool = False) -> Block:
    keys, times, masks, values = zip(*events, strict=True)
    columns = (np.array(keys, np.uint64), np.array(times, np.int64), np.array(masks, np.uint8))
    return (*columns, np.array(values, np.uint32)) if with_values else columns


# ---- the meaning, spelled out ----


def cells_by_the_book(events: Iterable[Happened], plan: RetentionPlan, ranks: Any = None) -> Counter[Any]:
    """How many actors are in each cell: by (row, value, k)."""
    histories: dict[int, list[Happened]] = {}
    for event in events:
        if event[0] != 0:
            histories.setdefault(event[0], []).append(event)
    cells: Counter[Any] = Counter()
    for history in histories.values():
        for row, since, value in entries(history, plan, ranks):
            cells.update(
                (row, value, k) for k in range(plan.periods + 1) if is_in(history, plan, row, since, k)
            )
    return cells


def entries(history: list[Happened], plan: RetentionPlan, ranks: Any) -> list[tuple[int, int, int]]:
    """Row, instant and value of each."""
    entering = [e for e in history if e[2] & ENTERS]
    if plan.entry == "first_in_range":
        entering = first_of([e for e in entering if row_of(e[1], plan) is not None])
    elif plan.entry != "recurring":
        first = first_of([e for e in history if e[2] & (ENTERS | NAMED)])
        entering = [e for e in entering if e in first]
    by_row: dict[int, list[Happened]] = {}
    for event in entering:
        if (row := row_of(event[1], plan)) is not None:
            by_row.setdefault(row, []).append(event)
    found = []
    for row, events in by_row.items():
        values = [e[3] for e in first_of(events)]
        rank = lambda v: v if v == NO_VALUE or ranks is None else ranks[v]  # noqa: E731
        value = min(values, key=rank) if plan.with_values else NO_VALUE
        found.append((row, first_of(events)[0][1], value))
    return found


def first_of(events: list[Happened]) -> list[Happened]:
    return [e for e in events if e[1] == min(other[1] for other in events)]


def row_of(time: int, plan: RetentionPlan) -> int | None:
    edges = plan.edges_ms
    return next((row for row in range(plan.rows) if edges[row] <= time < edges[row + 1]), None)


def is_in(history: list[Happened], plan: RetentionPlan, row: int, since: int, k: int) -> bool:
    if k == 0:
        return True
    if plan.rolling:
        begin, end = since + k * DAY, since + (k + 1) * DAY
    else:
        begin, end = plan.edges_ms[row + k], plan.edges_ms[row + k + 1]
    returned = [time for _, time, mask, _ in history if mask & RETURNS and begin <= time]
    if plan.mode == "on":
        returned = [time for time in returned if time < end]
    return len(returned) >= plan.min_occurrences


# ---- the comparison ----


def counted(plan: RetentionPlan, scan: RetentionScan) -> Counter[Any]:
    """Listed entries as the same cells."""
    assert len(set(zip(scan.keys.tolist(), scan.rows.tolist(), strict=True))) == len(scan.keys)
    found: Counter[Any] = Counter()
    for k in range(plan.periods + 1):
        is_there = scan.is_in_cell(k).tolist()
        rows = zip(scan.rows.tolist(), scan.values.tolist(), is_there, strict=True)
        found.update((row, value, k) for row, value, there in rows if there)
    return found


def random_plan(rng: random.Random, *, rolling: bool) -> RetentionPlan:
    rows, periods = rng.choice([1, 2, 5, 31, 40, 70]), rng.choice([0, 1, 3, 30, 63, 64, 100])
    edges = edges_of(rows, 0, DAY) if rolling else edges_of(rows + periods)
    listed = rng.random() < 0.6
    return RetentionPlan(
        edges_ms=edges,
        rows=rows,
        periods=periods,
        entry=rng.choice(ENTRIES[1:] if rolling else ENTRIES),
        mode=rng.choice(["on", "on_or_after"]),
        rolling=rolling,
        min_occurrences=rng.choice([1, 1, 2, 3]),
        with_values=listed and rng.random() < 0.5,
        listed=listed,
    )


def random_events(rng: random.Random, plan: RetentionPlan, actors: int) -> list[Happened]:
    """In runs of an actor, as they are stored, with a few out of place."""
    edges = plan.edges_ms
    last = edges[-1] + (plan.periods * DAY if plan.rolling else 30)
    masks = [
        ENTERS,
        RETURNS,
        ENTERS | RETURNS,
        *([NAMED, NAMED | RETURNS] if plan.entry == "first_ever" else []),
    ]
    events = []
    for _ in range(actors):
        key = rng.choice([rng.getrandbits(64), rng.getrandbits(64), 0])
        around = [rng.randint(edges[0] - 25, last) for _ in range(rng.randint(1, 6))]
        if plan.rolling:
            around += [time + rng.randint(0, 3) * DAY + rng.choice((-1, 0, 1)) for time in around]
        events += [
            (key, rng.choice(around), rng.choice(masks), rng.choice([0, 1, 2, NO_VALUE]))
            for _ in range(rng.randint(1, 14))
        ]
    for _ in range(len(events) // 10):
        i, j = rng.randrange(len(events)), rng.randrange(len(events))
        events[i], events[j] = events[j], events[i]
    return events


@pytest.mark.parametrize("rolling", [False, True])
def test_native_scan_equals_the_literal_reading(rolling: bool) -> None:
    rng = random.Random(f"intervals {rolling}")
    retained = 0
    for _ in range(500):
        plan = random_plan(rng, rolling=rolling)
        events = random_events(rng, plan, 25)
        ranks = np.array(rng.sample(range(3), 3), np.uint32) if plan.with_values else None
        expected = cells_by_the_book(events, plan, ranks)
        given = replace(plan, ranks=None if ranks is None else lambda ranks=ranks: ranks)
        pieces = [
            block_of(events[i : i + 40], with_values=plan.with_values) for i in range(0, len(events), 40)
        ]
        found = scan_retention(pieces, given)
        assert found.events == len(events)
        assert _cells(given, found, expected) == expected, plan
        retained += sum(count for (_, _, k), count in expected.items() if k)
    assert retained > 5_000, "too few return for the comparison to mean much"


def _cells(plan: RetentionPlan, found: RetentionScan, expected: Mapping[Any, int]) -> Counter[Any]:
    if plan.listed:
        groups = np.zeros(len(found.keys), np.uint32)
        of_all = tally(plan, found, groups, 1)[0]
        assert of_all.tolist() == tally(plan, found, groups + np.uint32(1), 2)[1].tolist()
        assert of_all.sum() == sum(expected.values())
        return counted(plan, found)
    assert found.cells is not None
    return Counter({(r, NO_VALUE, k): n for (r, k), n in np.ndenumerate(found.cells) if n})


def test_many_actors_in_several_threads_are_counted_once() -> None:
    plan = RetentionPlan(edges_ms=edges_of(3), rows=2, periods=1)
    keys = np.random.default_rng(1).integers(1, 1 << 63, 1_100_000, np.uint64) << np.uint64(1)
    columns = (keys, np.full(len(keys), 105, np.int64), np.full(len(keys), ENTERS, np.uint8))
    came_back = (keys[:400], np.full(400, 111, np.int64), np.full(400, RETURNS, np.uint8))
    found = scan_retention([columns, came_back], plan, threads=3)
    actors = len(np.unique(keys))
    assert found.cells is not None
    assert found.cells.tolist() == [[actors, 400], [0, 0]]


def test_a_busy_actor_takes_few_records() -> None:
    """A run of events joins the record before it: memory goes by actors and blocks of intervals."""
    plan = RetentionPlan(edges_ms=edges_of(40), rows=20, periods=20, listed=True)
    n = 300_000
    block = (
        np.full(n, 7, np.uint64),
        np.sort(np.random.default_rng(2).integers(100, 500, n)),
        np.full(n, ENTERS | RETURNS, np.uint8),
    )
    assert len(scan_retention([block], plan, memory_bytes=100_000).keys) == 20
    scattered = (np.arange(1, n + 1, dtype=np.uint64) << np.uint64(40), *block[1:])
    with pytest.raises(MemoryError, match="choose a shorter range"):
        scan_retention([scattered], plan, memory_bytes=100_000)


def test_what_does_not_fit_the_plan_is_refused() -> None:
    plan = RetentionPlan(edges_ms=edges_of(3), rows=2, periods=1)
    good = block_of([(1, 105, ENTERS, 0)])
    with pytest.raises(ValueError, match="3 columns"):
        scan_retention([good[:2]], plan)
    with pytest.raises(ValueError, match="masks: uint8"):
        scan_retention([(*good[:2], good[2].astype(np.uint64))], plan)
    with pytest.raises(ValueError, match="outside the years"):
        scan_retention([block_of([(1, -(1 << 60), ENTERS, 0)])], plan)
    ranked = replace(plan, listed=True, with_values=True, ranks=lambda: np.zeros(0, np.uint32))
    with pytest.raises(ValueError, match="has no rank"):
        scan_retention([block_of([(1, 105, ENTERS, 0)], with_values=True)], ranked)
    found = scan_retention([good], replace(plan, listed=True))
    with pytest.raises(ValueError, match="one of each entry"):
        tally(plan, found, np.array([1], np.uint32), 1)


@pytest.mark.parametrize(
    "wrong",
    [{"periods": -1}, {"min_occurrences": 0}, {"rows": 4}, {"edges_ms": (1, 1, 2)}, {"with_values": True}],
)
def test_a_plan_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    plan = RetentionPlan(edges_ms=edges_of(3), rows=2, periods=1)
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        replace(plan, **wrong)


def test_a_walk_that_fails_leaves_nothing_behind() -> None:
    plan = RetentionPlan(edges_ms=edges_of(3), rows=2, periods=1)
    scanner = native_retention._Scanner(plan, 1 << 20)
    scanner.feed(block_of([(1, 105, ENTERS, 0), (1, 115, RETURNS, 0)]))
    first = scanner.walk(1)
    assert first.cells is not None
    assert first.cells.tolist() == [[1, 1], [0, 0]]
    scanner.close()
    scanner.close()
