"""Random histories for the scanner: few instants, so that ties, repeats and re-entries are common."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from query_api.scan.funnel_plan import NO_VALUE, Block, FunnelPlan, FunnelScan


@dataclass(frozen=True)
class Kind:
    """What a family of histories has in it."""

    order: str = "ordered"
    overlapping: bool = False  # selectors that share events
    repeated: bool = False  # the same selector as several steps
    exclusions: bool = False
    trend: bool = False
    range_end: bool = False
    values: bool = False
    partitioned: bool = False


KINDS: Mapping[str, Kind] = {
    "distinct": Kind(),
    "repeated": Kind(repeated=True),
    "overlapping": Kind(overlapping=True),
    "range_end": Kind(overlapping=True, range_end=True),
    "range_end_distinct": Kind(range_end=True),
    "values": Kind(values=True),
    "values_overlapping": Kind(values=True, overlapping=True, repeated=True),
    "partitioned": Kind(partitioned=True),
    "partitioned_values": Kind(partitioned=True, values=True, overlapping=True),
    "exclusions": Kind(exclusions=True),
    "exclusions_overlapping": Kind(exclusions=True, overlapping=True, repeated=True),
    "strict": Kind(order="strict"),
    "strict_overlapping": Kind(order="strict", overlapping=True, exclusions=True),
    "trend": Kind(trend=True, repeated=True),
    "trend_exclusions": Kind(trend=True, exclusions=True, overlapping=True, range_end=True),
    "partitioned_exclusions": Kind(partitioned=True, exclusions=True, overlapping=True),
    "partitioned_strict": Kind(partitioned=True, order="strict", exclusions=True, trend=True),
    "any": Kind(order="any"),
    "any_values": Kind(order="any", values=True),
    "any_overlapping": Kind(order="any", overlapping=True, repeated=True, values=True),
    "any_exclusions": Kind(order="any", exclusions=True, overlapping=True, trend=True),
}


def random_plan(kind: Kind, rng: random.Random) -> FunnelPlan:
    """A funnel of 1 to 5 steps over instants 0 to 40."""
    steps = rng.randint(1, 5)
    gaps = [(f, t) for f in range(steps) for t in range(f + 1, steps)]
    exclusions = tuple(rng.choice(gaps) for _ in range(rng.randint(1, 2))) if kind.exclusions and gaps else ()
    return FunnelPlan(
        steps=steps,
        window_ms=rng.choice([0, 2, 5, 10, 20, 100]),
        entry_until_ms=rng.randint(0, 40) if kind.range_end else None,
        order=kind.order,  # type: ignore[arg-type]
        exclusions=exclusions,
        bucket_starts_ms=tuple(sorted(rng.sample(range(41), rng.randint(1, 6)))) if kind.trend else (),
        with_values=kind.values,
        value_step=rng.choice([None, rng.randrange(steps)]) if kind.values else None,
        partitioned=kind.partitioned,
    )


def random_block(kind: Kind, plan: FunnelPlan, actors: int, rng: random.Random) -> Block:
    """Histories of 1 to 12 events at 1 to 12 instants each; every actor's key is a random hash."""
    selectors = _selectors(kind, plan, rng)
    rows: list[tuple[int, int, int, int, int]] = []
    for _ in range(actors):
        key = rng.getrandbits(64)
        last = rng.choice([3, 8, 12, 40])
        for _ in range(rng.randint(1, 12)):
            value = rng.choice([0, 1, 2, NO_VALUE])
            rows.append(
                (key, rng.randint(0, last), rng.choice(selectors), value, rng.choice([0, 1, NO_VALUE]))
            )
    rng.shuffle(rows)
    keys, times, masks, values, partitions = (list(column) for column in zip(*rows, strict=True))
    block = [np.array(keys, np.uint64), np.array(times, np.int64), np.array(masks, _mask_type(plan))]
    if plan.with_values:
        block.append(np.array(values, np.uint32))
    if plan.partitioned:
        block.append(np.array(partitions, np.uint32))
    return tuple(block)


def _mask_type(plan: FunnelPlan) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if plan.mask_bits <= 8 else np.uint16 if plan.mask_bits <= 16 else np.uint64


def _selectors(kind: Kind, plan: FunnelPlan, rng: random.Random) -> list[int]:
    """The masks that this family's events can have."""
    masks = [1 << k for k in range(plan.steps)]
    if kind.repeated:  # some step has the selector of another
        a, b = rng.randrange(plan.steps), rng.randrange(plan.steps)
        masks[a] = masks[b] = masks[a] | masks[b]
    if kind.overlapping:
        masks += [rng.getrandbits(plan.steps) for _ in range(3)]
    for g in range(len(plan.exclusions)):
        bit = 1 << (plan.steps + g)
        masks += [bit, bit | rng.choice(masks)] if kind.overlapping else [bit]
    if plan.order == "strict":
        track = 1 << (plan.mask_bits - 1)
        masks = [mask | track for mask in masks] + [track, masks[-1]]
    return masks


def rows_of(scan: FunnelScan) -> dict[tuple[int, int], tuple[Any, ...]]:
    """A scan as plain values by (actor, partition): two compare equal whatever the order of their rows."""
    buckets: dict[int, list[tuple[int, int]]] = {}
    for row, index, level in zip(
        scan.bucket_rows.tolist(), scan.bucket_indexes.tolist(), scan.bucket_levels.tolist(), strict=True
    ):
        buckets.setdefault(row, []).append((index, level))
    columns = (scan.first_values, scan.last_values, scan.step_values)
    extra = [column.tolist() if column is not None else [None] * len(scan.keys) for column in columns]
    partitions = scan.partitions.tolist() if scan.partitions is not None else [0] * len(scan.keys)
    times = scan.step_times.tolist()
    levels = scan.levels.tolist()
    return {
        (key, partitions[i]): (levels[i], times[i], buckets.get(i, []), *(column[i] for column in extra))
        for i, key in enumerate(scan.keys.tolist())
    }
