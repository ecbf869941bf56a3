"""The scanner's contract: worked examples of spec/query.md, bounds on work and memory, refusals."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from query_api.scan import (
    MAX_STEPS,
    NEVER,
    NO_VALUE,
    Block,
    FunnelPlan,
    FunnelScan,
    ScannerMissing,
    native,
    scan_funnel,
)

ALICE, BORIS = 1 << 60, 7
MINUTE = 60_000


def block(*rows: tuple[int, ...], masks: type[np.generic] = np.uint8) -> Block:
    """Rows (actor, time, mask[, value[, partition]]) as a block."""
    types: tuple[type[np.generic], ...] = (np.uint64, np.int64, masks, np.uint32, np.uint32)
    columns = zip(*rows, strict=True)
    return tuple(np.array(column, dtype) for column, dtype in zip(columns, types, strict=False))


def scan(*rows: tuple[int, ...], steps: int = 2, window_ms: int = 60 * MINUTE, **options: Any) -> FunnelScan:
    return scan_funnel([block(*rows)], FunnelPlan(steps=steps, window_ms=window_ms, **options))


def times_of(found: FunnelScan) -> list[list[int]]:
    return [[t for t in row if t != NEVER] for row in found.step_times.tolist()]


def test_takes_the_latest_entry_of_those_that_complete_at_one_event() -> None:
    found = scan((ALICE, 1 * MINUTE, 1), (ALICE, 35 * MINUTE, 1), (ALICE, 41 * MINUTE, 2))
    assert times_of(found) == [[35 * MINUTE, 41 * MINUTE]]


def test_keeps_the_first_attempt_to_complete() -> None:
    found = scan((ALICE, 1, 1), (ALICE, 2, 2), (ALICE, 3, 1), (ALICE, 4, 2))
    assert times_of(found) == [[1, 2]]


def test_an_actor_counts_by_the_deepest_attempt() -> None:
    found = scan((ALICE, 0, 1), (ALICE, 100, 1), (ALICE, 105, 2), window_ms=10)
    assert found.levels.tolist() == [2]
    assert times_of(found) == [[100, 105]]


def test_the_window_includes_its_end_and_nothing_after() -> None:
    assert scan((ALICE, 0, 1), (ALICE, 10, 2), window_ms=10).levels.tolist() == [2]
    assert scan((ALICE, 0, 1), (ALICE, 11, 2), window_ms=10).levels.tolist() == [1]


def test_one_event_serves_one_step_only() -> None:
    assert scan((ALICE, 0, 3)).levels.tolist() == [1]
    assert scan((ALICE, 0, 3), (ALICE, 0, 3)).levels.tolist() == [2]


def test_tied_events_are_taken_in_whichever_order_converts() -> None:
    assert scan((ALICE, 5, 2), (ALICE, 5, 1)).levels.tolist() == [2]
    assert scan((ALICE, 1, 0b101), (ALICE, 5, 0b101), (ALICE, 5, 0b010), steps=3).levels.tolist() == [3]


def test_of_repeats_at_one_instant_the_later_entry_is_taken() -> None:
    assert times_of(scan((ALICE, 2, 3), (ALICE, 5, 3), (ALICE, 5, 3))) == [[5, 5]]


def test_any_order_takes_the_steps_as_they_come_and_keeps_the_first_deepest_attempt() -> None:
    rows = ((ALICE, 1, 4), (ALICE, 2, 1), (ALICE, 3, 4), (ALICE, 4, 2), (ALICE, 9, 1))
    assert times_of(scan(*rows, steps=3, order="any")) == [[2, 3, 4]]
    assert times_of(scan(*rows, steps=3, order="any", window_ms=2)) == [[2, 3, 4]]
    assert scan(*rows, steps=3, order="any", window_ms=1).levels.tolist() == [2]


def test_an_exclusion_at_the_instant_of_the_step_it_guards_is_ignored() -> None:
    assert scan((ALICE, 1, 1), (ALICE, 3, 4), (ALICE, 3, 2), exclusions=((0, 1),)).levels.tolist() == [2]
    assert len(scan((ALICE, 1, 1), (ALICE, 3, 4), exclusions=((0, 1),), window_ms=2).keys) == 0
    assert len(scan((ALICE, 1, 1), (ALICE, 4, 4), exclusions=((0, 1),), window_ms=2).keys) == 1


def test_attempts_start_before_the_entry_end_and_may_complete_after_it() -> None:
    rows = ((ALICE, 5, 1), (ALICE, 10, 1), (ALICE, 12, 2), (BORIS, 10, 1), (BORIS, 11, 2))
    found = scan(*rows, entry_until_ms=10)
    assert found.keys.tolist() == [ALICE]
    assert times_of(found) == [[5, 12]]


def test_who_never_starts_is_not_in_the_answer() -> None:
    assert len(scan((ALICE, 5, 2)).keys) == 0


def test_an_actor_all_of_whose_attempts_are_void_is_not_in_the_answer() -> None:
    found = scan(
        (ALICE, 1, 1), (ALICE, 2, 4), (ALICE, 3, 2), (BORIS, 1, 1), (BORIS, 1, 4), exclusions=((0, 1),)
    )
    assert found.keys.tolist() == [BORIS]


def test_an_exclusion_of_one_actor_is_nobody_elses() -> None:
    """Overlapping steps send all of them on the general walk, where what one actor left behind could show."""
    rows = [(ALICE + i, 1, 3) for i in range(40)] + [(ALICE + i, 5, 3) for i in range(40)]
    excluded = [(ALICE + i, 3, 4) for i in range(0, 40, 2)]
    found = scan(*rows, *excluded, exclusions=((0, 1),))
    assert dict(zip((found.keys - ALICE).tolist(), found.levels.tolist(), strict=True)) == {
        i: 1 if i % 2 == 0 else 2 for i in range(40)
    }


@pytest.mark.parametrize(("excluded_at", "clean"), [(3, [5, 6]), (2, [6])])
def test_an_exclusion_without_the_shared_value_counts(excluded_at: int, clean: list[int]) -> None:
    rows = (
        (ALICE, 1, 1, 5),
        (ALICE, 3, 2, 5),
        (ALICE, 1, 1, 6),
        (ALICE, 2, 2, 6),
        (ALICE, excluded_at, 4, NO_VALUE),
    )
    types = (np.uint64, np.int64, np.uint8, np.uint32)
    columns = tuple(
        np.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), types, strict=True)
    )
    plan = FunnelPlan(steps=2, window_ms=9, partitioned=True, exclusions=((0, 1),))
    found = scan_funnel([columns], plan)
    assert found.partitions is not None
    assert sorted(found.partitions.tolist()) == clean


def test_a_clean_attempt_counts_beside_a_void_deeper_one() -> None:
    found = scan((ALICE, 1, 1), (ALICE, 2, 4), (ALICE, 3, 2), (ALICE, 9, 1), exclusions=((0, 1),))
    assert times_of(found) == [[9]]


def test_strict_breaks_at_another_track_event_between_two_steps() -> None:
    track = 4
    rows = ((ALICE, 1, 1 | track), (ALICE, 2, track), (ALICE, 3, 2 | track))
    assert scan(*rows, order="strict").levels.tolist() == [1]
    tied = ((ALICE, 1, 1 | track), (ALICE, 3, track), (ALICE, 3, 2 | track))
    assert scan(*tied, order="strict").levels.tolist() == [2]
    repeated = ((ALICE, 1, 1 | track), (ALICE, 2, 1 | track), (ALICE, 3, 2 | track))
    assert scan(*repeated, order="strict").levels.tolist() == [2]


def test_first_and_last_touch_skip_missing_values_and_take_the_smallest_of_ties() -> None:
    rows = (
        (ALICE, 1, 1, NO_VALUE),
        (ALICE, 2, 1, 9),
        (ALICE, 2, 2, 4),
        (ALICE, 8, 1, 6),
        (ALICE, 9, 1, NO_VALUE),
    )
    found = scan(*rows, with_values=True)
    assert found.first_values is not None
    assert found.last_values is not None
    assert (found.first_values.tolist(), found.last_values.tolist()) == ([4], [6])


def test_the_value_of_a_step_leaves_the_other_steps_served() -> None:
    """The event with the smaller value is the only one that can be the second step."""
    rows = ((ALICE, 5, 3, 1), (ALICE, 5, 1, 8))
    found = scan(*rows, with_values=True, value_step=0)
    assert found.step_values is not None
    assert found.step_values.tolist() == [8]


def test_a_trend_counts_an_actor_once_a_bucket() -> None:
    rows = ((ALICE, 1, 1), (ALICE, 2, 1), (ALICE, 3, 2), (ALICE, 15, 1), (BORIS, 12, 1), (BORIS, 13, 2))
    found = scan(*rows, bucket_starts_ms=(0, 10, 20), window_ms=5)
    trend = zip(
        found.bucket_rows.tolist(), found.bucket_indexes.tolist(), found.bucket_levels.tolist(), strict=True
    )
    keys = found.keys.tolist()
    assert sorted((keys[row], index, level) for row, index, level in trend) == [
        (BORIS, 1, 2), (ALICE, 0, 2), (ALICE, 1, 1),
    ]  # fmt: skip


def test_steps_of_a_partition_share_its_value() -> None:
    rows = ((ALICE, 1, 1, 0, 0), (ALICE, 2, 2, 0, 1), (ALICE, 3, 1, 0, 1), (ALICE, 4, 2, 0, 1))
    found = scan(*rows, with_values=True, partitioned=True)
    assert found.partitions is not None
    assert dict(zip(found.partitions.tolist(), found.levels.tolist(), strict=True)) == {0: 1, 1: 2}


def test_the_whole_of_a_partitioned_scan_is_the_scan_without_partitions() -> None:
    rows = ((ALICE, 1, 1, 0), (ALICE, 2, 2, 1), (ALICE, 3, 1, 1), (BORIS, 4, 1, NO_VALUE))
    keys, times, masks, partitions = (np.array(column) for column in zip(*rows, strict=True))
    columns = (keys.astype(np.uint64), times.astype(np.int64), masks.astype(np.uint8))
    plan = FunnelPlan(steps=2, window_ms=9, partitioned=True)
    found = scan_funnel([(*columns, partitions.astype(np.uint32))], plan)
    assert sorted(zip(found.keys.tolist(), found.levels.tolist(), strict=True)) == [(ALICE, 1), (ALICE, 1)]
    assert found.whole is not None
    levels = dict(zip(found.whole.keys.tolist(), found.whole.levels.tolist(), strict=True))
    assert levels == {ALICE: 2, BORIS: 1}


# ---- work and memory stay in proportion to the events, whatever is sent ----


EVERY_STEP = (1 << MAX_STEPS) - 1
ALL_BUT_LAST = EVERY_STEP >> 1
Numbers = np.ndarray[Any, Any]

CRAFTED: dict[str, tuple[Callable[[Numbers], Numbers], int | None, dict[str, Any]]] = {
    # one actor's events, made to be expensive: times, the mask of all (None: random), options
    "every event fits every step": (lambda n: n, EVERY_STEP, {}),
    "all at one instant": (lambda n: n * 0, EVERY_STEP, {}),
    "pairs of random masks": (lambda n: n // 2, None, {}),
    "crowds of random masks": (lambda n: n // 900, None, {}),
    "starts that never go on": (lambda n: n, 1, {"bucket_starts_ms": (0,)}),
    "starts that meet one big crowd": (lambda n: np.maximum(n - len(n) // 2, 0), None, {}),
    "one step missing": (lambda n: n, ALL_BUT_LAST, {"bucket_starts_ms": (0,)}),
    "any order, one step missing": (lambda n: n, ALL_BUT_LAST, {"order": "any"}),
    "any order, random masks": (lambda n: n // 3, None, {"order": "any"}),
}


def operations_on(shape: str, events: int) -> int:
    times, mask, options = CRAFTED[shape]
    masks = np.random.default_rng(4).integers(1, ALL_BUT_LAST, events, dtype=np.uint32)
    if mask is not None:
        masks[:] = mask
    rows = (np.full(events, 5, np.uint64), times(np.arange(events)).astype(np.int64), masks)
    return scan_funnel([rows], FunnelPlan(steps=MAX_STEPS, window_ms=1 << 40, **options)).operations


@pytest.mark.parametrize("shape", CRAFTED)
def test_ten_times_the_events_of_one_actor_are_ten_times_the_work(shape: str) -> None:
    few, many = operations_on(shape, 5_000), operations_on(shape, 50_000)
    assert few > 0
    assert many <= 12 * few + 50_000


def test_many_actors_whose_keys_are_no_hashes_are_still_counted() -> None:
    keys = np.repeat(np.arange(20_000, dtype=np.uint64), 2)
    found = scan_funnel(
        [(keys, np.arange(40_000, dtype=np.int64), np.tile(np.array([1, 2], np.uint8), 20_000))],
        FunnelPlan(steps=2, window_ms=9),
    )
    assert len(found.keys) == 20_000
    assert set(found.levels.tolist()) == {2}


def test_more_events_than_fit_are_refused_before_they_take_the_memory() -> None:
    rows = (
        np.arange(100_000, dtype=np.uint64) << np.uint64(40),
        np.zeros(100_000, np.int64),
        np.ones(100_000, np.uint8),
    )
    with pytest.raises(MemoryError, match="shorter range"):
        scan_funnel([rows], FunnelPlan(steps=1, window_ms=1), memory_bytes=1_000_000)


def test_the_answers_memory_is_freed_with_the_arrays() -> None:
    def resident_kb() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4

    rng = np.random.default_rng(1)
    rows = (
        rng.integers(0, 1 << 63, 200_000, dtype=np.uint64),
        np.zeros(200_000, np.int64),
        np.ones(200_000, np.uint8),
    )
    scan_funnel([rows], FunnelPlan(steps=20, window_ms=1))
    before = resident_kb()
    for _ in range(10):  # 32 MB of step times each
        found = scan_funnel([rows], FunnelPlan(steps=20, window_ms=1))
    assert found.step_times.shape == (200_000, 20)
    del found
    gc.collect()
    assert resident_kb() - before < 100_000


def test_an_answer_outlives_the_scanner_and_its_blocks() -> None:
    rows = block((ALICE, 1, 1), (ALICE, 2, 2))
    found = scan_funnel([rows], FunnelPlan(steps=2, window_ms=9))
    del rows
    gc.collect()
    assert found.step_times.tolist() == [[1, 2]]


# ---- refusals ----


def test_a_time_outside_the_calendar_is_refused_by_its_value() -> None:
    with pytest.raises(ValueError, match="-9000000000000 ms"):
        scan((ALICE, -9_000_000_000_000, 1))


def test_a_block_of_another_form_is_refused() -> None:
    keys, times, masks = block((ALICE, 1, 1))
    plan = FunnelPlan(steps=1, window_ms=1)
    with pytest.raises(ValueError, match="3 columns, this plan reads 4"):
        scan_funnel([(keys, times, masks)], replace(plan, with_values=True))
    with pytest.raises(ValueError, match="differ in length"):
        scan_funnel([(keys, times[:0], masks)], plan)
    with pytest.raises(ValueError, match="times: int64, not uint32"):
        scan_funnel([(keys, times.astype(np.uint32), masks)], plan)
    with pytest.raises(ValueError, match="masks: an unsigned integer type"):
        scan_funnel([(keys, times, masks.astype(np.int8))], plan)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: 1 to 30"),
        ({"steps": 31}, "steps: 1 to 30"),
        ({"window_ms": -1}, "window_ms"),
        ({"exclusions": ((1, 1),)}, "0 <= from < to"),
        ({"exclusions": ((0, 1),) * 63}, "at most"),
        ({"bucket_starts_ms": (5, 5)}, "must ascend"),
        ({"value_step": 0}, "with_values"),
    ],
)
def test_an_impossible_plan_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FunnelPlan(**{"steps": 2, "window_ms": 1, **options})


def test_a_value_without_a_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="no rank"):
        scan((ALICE, 1, 1, 3), with_values=True, ranks=lambda: np.array([0, 1, 2], np.uint32))


def test_a_missing_library_is_an_error_that_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    native.load_library.cache_clear()
    monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
    with pytest.raises(ScannerMissing, match="pip install"):
        scan((ALICE, 1, 1))
    monkeypatch.undo()
    native.load_library.cache_clear()


def test_no_events_give_an_empty_answer() -> None:
    plan = FunnelPlan(steps=3, window_ms=1, with_values=True, value_step=1, bucket_starts_ms=(0,))
    found = scan_funnel([], plan)
    assert found.step_times.shape == (0, 3)
    assert len(found.keys) == len(found.bucket_rows) == found.events == 0
