"""The native scanner gives what the literal model gives, on random histories of every kind."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.scan import native, oracle
from query_api.scan.funnel_plan import Block, FunnelPlan
from tests.scan_histories import KINDS, random_block, random_plan, rows_of

HISTORIES_A_KIND = 5_000
ACTORS_A_PLAN = 50


def assert_equal_scans(block: Block, plan: FunnelPlan) -> int:
    """Compares both; returns how many actors converted."""
    found, expected = native.scan_funnel([block], plan), oracle.scan_funnel([block], plan)
    assert rows_of(found) == rows_of(expected), plan
    assert found.events == expected.events
    assert (found.whole is not None) == plan.partitioned
    if found.whole is not None and expected.whole is not None:
        assert rows_of(found.whole) == rows_of(expected.whole), plan
    return int((found.levels == plan.steps).sum())


@pytest.mark.parametrize("name", KINDS)
def test_native_scan_equals_the_literal_model(name: str) -> None:
    rng = random.Random(f"histories of {name}")
    converted = 0
    for _ in range(HISTORIES_A_KIND // ACTORS_A_PLAN):
        plan = random_plan(KINDS[name], rng)
        converted += assert_equal_scans(random_block(KINDS[name], plan, ACTORS_A_PLAN, rng), plan)
    assert converted > HISTORIES_A_KIND / 50, "too few actors convert for the comparison to mean much"


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32), actors=st.integers(1, 3))
def test_any_seed_gives_equal_scans(name: str, seed: int, actors: int) -> None:
    rng = random.Random(seed)
    plan = random_plan(KINDS[name], rng)
    assert_equal_scans(random_block(KINDS[name], plan, actors, rng), plan)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.integers(1, 4),
    window=st.integers(0, 12),
    order=st.sampled_from(["ordered", "any"]),
    events=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 15)), min_size=1, max_size=9),
)
def test_one_actor_shrinks_to_the_smallest_difference(
    steps: int, window: int, order: str, events: list[tuple[int, int]]
) -> None:
    plan = FunnelPlan(steps=steps, window_ms=window, order=order)  # type: ignore[arg-type]
    times, masks = zip(*events, strict=True)
    block = (
        np.full(len(events), 7, np.uint64),
        np.array(times, np.int64),
        np.array(masks, np.uint8) & np.uint8(2**steps - 1),
    )
    assert_equal_scans(block, plan)


@pytest.mark.parametrize(
    "name", ["overlapping", "values_overlapping", "partitioned_values", "trend_exclusions"]
)
def test_a_scan_depends_neither_on_the_order_of_rows_nor_on_blocks_nor_on_threads(name: str) -> None:
    rng = random.Random(11)
    plan = random_plan(KINDS[name], rng)
    block = random_block(KINDS[name], plan, 500, rng)
    whole = rows_of(native.scan_funnel([block], plan))
    shuffled = np.array(rng.sample(range(len(block[0])), len(block[0])))
    pieces = [tuple(column[part] for column in block) for part in np.array_split(shuffled, 7)]
    assert rows_of(native.scan_funnel(pieces, plan)) == whole
    scanner = native._Scanner(plan, 1 << 30)
    for piece in pieces:
        scanner.feed(piece)
    assert rows_of(scanner.walk(threads=3)) == whole
    scanner.close()


def test_ranks_decide_ties_between_values() -> None:
    rng = random.Random(5)
    for _ in range(40):
        plan = random_plan(KINDS["values_overlapping"], rng)
        block = random_block(KINDS["values_overlapping"], plan, 50, rng)
        ranks = np.array(rng.sample(range(3), 3), np.uint32)
        assert_equal_scans(block, replace(plan, ranks=lambda ranks=ranks: ranks))


def test_thirty_steps_and_thirty_exclusions_fit_a_mask() -> None:
    rng = random.Random(3)
    gaps = (*((k, k + 1) for k in range(29)), (0, 29))
    plan = FunnelPlan(steps=30, window_ms=1_000, exclusions=gaps, order="strict")
    rows = [(key, k, (1 << k) | (1 << 60)) for key in range(1, 40) for k in range(30)]
    rows += [(rng.randint(1, 39), rng.randint(0, 40), 1 << rng.randint(30, 60)) for _ in range(40)]
    keys, times, masks = zip(*rows, strict=True)
    block = (np.array(keys, np.uint64), np.array(times, np.int64), np.array(masks, np.uint64))
    assert assert_equal_scans(block, plan) > 0
