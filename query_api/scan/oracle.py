"""The scanner's meaning, spelled out: attempt by attempt, by brute force, in plain Python.

Slow on purpose and obvious on purpose. The native scanner is compared with it on thousands of random
histories (tests/test_scan_oracle.py); no query runs on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from query_api.scan.funnel_plan import NEVER, NO_VALUE, Block, FunnelPlan, FunnelScan


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event of an actor: `mask` is all that it fits, `serves` the steps that it may do here."""

    time: int
    mask: int
    serves: int
    code: int = NO_VALUE
    rank: int = NO_VALUE


@dataclass(frozen=True, slots=True)
class Attempt:
    """From a start on: the time of each step reached."""

    start: int
    times: tuple[int, ...]

    @property
    def level(self) -> int:
        return len(self.times)


def scan_funnel(blocks: Iterable[Block], plan: FunnelPlan) -> FunnelScan:
    """The same answer as `query_api.scan.native.scan_funnel`."""
    if plan.partitioned:
        blocks = list(blocks)
        whole = scan_funnel([block[:-1] for block in blocks], replace(plan, partitioned=False))
        return replace(_scan(blocks, plan), whole=whole)
    return _scan(blocks, plan)


def _scan(blocks: Iterable[Block], plan: FunnelPlan) -> FunnelScan:
    actors, events = _read_actors(blocks, plan)
    rows: list[tuple[int, int, Attempt, tuple[int, int, int]]] = []
    trend: list[tuple[int, int, int]] = []
    for key, partitions in sorted(actors.items()):
        touches = first_and_last([e for p, part in partitions.items() if p != NO_VALUE for e in part])
        for partition in sorted(set(partitions) - {NO_VALUE}):
            history = seen_from(partition, partitions)
            clean = [a for a in find_attempts(history, plan) if not is_void(a, history, plan)]
            if not clean:
                continue
            chosen = choose(clean)
            trend += [(len(rows), bucket, level) for bucket, level in levels_by_bucket(clean, plan)]
            rows.append((key, partition, chosen, (*touches, value_at_step(chosen, history, plan))))
    return _as_arrays(rows, trend, plan, events)


def seen_from(partition: int, partitions: Mapping[int, Sequence[Occurrence]]) -> list[Occurrence]:
    """All the actor's events: those of other partitions do no step, but may break or void attempts."""
    return [
        event if own == partition else replace(event, serves=0)
        for own, events in partitions.items()
        for event in events
    ]


def find_attempts(history: Sequence[Occurrence], plan: FunnelPlan) -> list[Attempt]:
    """Every attempt of an actor, by start, void ones too."""
    instants = group_by_instant(history)
    advance = _in_any_order if plan.order == "any" else _in_order
    return [
        Attempt(start, advance(start, instants, plan))
        for start, tied in instants.items()
        if any(_starts(e, plan) for e in tied)
        and (plan.entry_until_ms is None or start < plan.entry_until_ms)
    ]


def _starts(event: Occurrence, plan: FunnelPlan) -> bool:
    return bool(event.serves if plan.order == "any" else event.serves & 1)


def step_bits(steps: int) -> int:
    """The mask of an event that fits every step."""
    return (1 << steps) - 1


def group_by_instant(history: Sequence[Occurrence]) -> dict[int, list[Occurrence]]:
    """Events by time, ascending: those of one instant have no order."""
    instants: defaultdict[int, list[Occurrence]] = defaultdict(list)
    for event in sorted(history, key=lambda e: e.time):
        instants[event.time].append(event)
    return dict(instants)


def _in_order(start: int, instants: dict[int, list[Occurrence]], plan: FunnelPlan) -> tuple[int, ...]:
    times: list[int] = []
    for time, tied in instants.items():
        if not start <= time <= start + plan.window_ms:
            continue
        if plan.order == "strict" and times and _is_broken(times[-1], time, len(times) - 1, instants, plan):
            break
        deepest = deepest_level([e.serves for e in tied], len(times), plan.steps)
        times += [time] * (deepest - len(times))
        if len(times) == plan.steps:
            break
    return tuple(times)


def _is_broken(
    since: int, until: int, step: int, instants: dict[int, list[Occurrence]], plan: FunnelPlan
) -> bool:
    """Whether a track event that is not `step` lies strictly between the two times."""
    track = 1 << (plan.mask_bits - 1)
    return any(
        event.mask & track and not event.mask >> step & 1
        for time, tied in instants.items()
        if since < time < until
        for event in tied
    )


def deepest_level(masks: Sequence[int], level: int, steps: int) -> int:
    """How far steps `level`.. are served by distinct ones of these tied events."""

    def serve(step: int, used: frozenset[int]) -> int:
        best = step
        if step < steps:
            for i, mask in enumerate(masks):
                if i not in used and mask >> step & 1:
                    best = max(best, serve(step + 1, used | {i}))
        return best

    return serve(level, frozenset())


def _in_any_order(start: int, instants: dict[int, list[Occurrence]], plan: FunnelPlan) -> tuple[int, ...]:
    times: list[int] = []
    seen: list[int] = []
    for time, tied in instants.items():
        if not start <= time <= start + plan.window_ms:
            continue
        seen += [e.serves for e in tied]
        times += [time] * (most_steps(seen) - len(times))
    return tuple(times)


def most_steps(masks: Sequence[int]) -> int:
    """How many distinct steps these events can serve, each event one step."""
    served = {0}  # sets of steps, as masks
    for mask in masks:
        served |= {
            done | (1 << k) for done in served for k in range(mask.bit_length()) if mask & ~done & (1 << k)
        }
    return max(done.bit_count() for done in served)


def is_void(attempt: Attempt, history: Sequence[Occurrence], plan: FunnelPlan) -> bool:
    """Whether an exclusion falls strictly between its steps, or by the window's end without `to`."""
    for g, (from_step, to_step) in enumerate(plan.exclusions):
        if attempt.level <= from_step:
            continue
        for event in history:
            if not event.mask >> (plan.steps + g) & 1 or event.time <= attempt.times[from_step]:
                continue
            if attempt.level > to_step:
                inside = event.time < attempt.times[to_step]
            else:
                inside = event.time <= attempt.start + plan.window_ms
            if inside:
                return True
    return False


def choose(attempts: Sequence[Attempt]) -> Attempt:
    """The first to reach the deepest level; of several that get there at one instant, the latest entry."""
    return max(attempts, key=lambda a: (a.level, -a.times[-1], a.start))


def levels_by_bucket(attempts: Sequence[Attempt], plan: FunnelPlan) -> Iterator[tuple[int, int]]:
    """The deepest level of the attempts that start in each bucket; before the first bucket is none."""
    deepest: dict[int, int] = {}
    for attempt in attempts:
        bucket = bisect_right(plan.bucket_starts_ms, attempt.start) - 1
        if bucket >= 0:
            deepest[bucket] = max(deepest.get(bucket, 0), attempt.level)
    return iter(sorted(deepest.items()))


def first_and_last(history: Sequence[Occurrence]) -> tuple[int, int]:
    """Codes of the first and last value over all events that match a step; ties take the smallest rank."""
    touched = [e for e in history if e.serves and e.code != NO_VALUE]
    if not touched:
        return NO_VALUE, NO_VALUE
    first = min(touched, key=lambda e: (e.time, e.rank))
    last = min(touched, key=lambda e: (-e.time, e.rank))
    return first.code, last.code


def value_at_step(chosen: Attempt, history: Sequence[Occurrence], plan: FunnelPlan) -> int:
    """The code of the event that serves `value_step`.

    Of several that can, while the steps of that instant all stay served, the smallest by rank; a missing
    value ranks last. In any order it is one that raises the level.
    """
    step = plan.value_step
    if step is None or chosen.level <= step:
        return NO_VALUE
    time = chosen.times[step]
    tied = [e for e in history if e.time == time]
    together = [k for k in range(chosen.level) if chosen.times[k] == time]
    before = [e.serves for e in history if chosen.start <= e.time < time]
    for event in sorted(tied, key=lambda e: e.rank):
        if plan.order == "any":
            if most_steps([*before, event.serves]) > most_steps(before):
                return event.code
        elif event.serves >> step & 1 and _serves(
            [e for e in tied if e is not event], [k for k in together if k != step]
        ):
            return event.code
    raise AssertionError("no event serves a step that was reached")


def _serves(events: list[Occurrence], steps: list[int]) -> bool:
    if not steps:
        return True
    return any(
        e.serves >> steps[0] & 1 and _serves(events[:i] + events[i + 1 :], steps[1:])
        for i, e in enumerate(events)
    )


def _read_actors(
    blocks: Iterable[Block], plan: FunnelPlan
) -> tuple[dict[int, defaultdict[int, list[Occurrence]]], int]:
    read: list[list[int]] = []
    for block in blocks:
        if len(block) != plan.columns:
            raise ValueError(f"a block has {len(block)} columns, this plan reads {plan.columns}")
        read += [list(row) for row in zip(*(column.tolist() for column in block), strict=True)]
    ranks = plan.ranks().tolist() if plan.ranks else None
    actors: dict[int, defaultdict[int, list[Occurrence]]] = {}
    for key, time, mask, *rest in read:
        code = rest[0] if plan.with_values else NO_VALUE
        rank = code if ranks is None or code == NO_VALUE else ranks[code]
        partition = rest[-1] if plan.partitioned else 0
        event = Occurrence(time, mask, mask & step_bits(plan.steps), code, rank)
        actors.setdefault(key, defaultdict(list))[partition].append(event)
    return actors, len(read)


def _as_arrays(
    rows: list[tuple[int, int, Attempt, tuple[int, int, int]]],
    trend: list[tuple[int, int, int]],
    plan: FunnelPlan,
    events: int,
) -> FunnelScan:
    times = np.full((len(rows), plan.steps), NEVER, np.int64)
    for i, (_, _, attempt, _) in enumerate(rows):
        times[i, : attempt.level] = attempt.times
    values = np.array([row[3] for row in rows], np.uint32).reshape(-1, 3)
    buckets = np.array(trend, np.int64).reshape(-1, 3)
    return FunnelScan(
        keys=np.array([row[0] for row in rows], np.uint64),
        levels=np.array([row[2].level for row in rows], np.uint8),
        step_times=times,
        partitions=np.array([row[1] for row in rows], np.uint32) if plan.partitioned else None,
        first_values=values[:, 0] if plan.with_values else None,
        last_values=values[:, 1] if plan.with_values else None,
        step_values=values[:, 2] if plan.value_step is not None else None,
        bucket_rows=buckets[:, 0],
        bucket_indexes=buckets[:, 1].astype(np.uint32),
        bucket_levels=buckets[:, 2].astype(np.uint8),
        events=events,
    )
