"""The native path scanner gives what the literal model gives; worked examples; bounds and refusals."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from query_api.scan import (
    MAX_NAMES,
    Labels,
    PathsPlan,
    PathsScan,
    TooManyNames,
    native_paths,
    oracle_paths,
    scan_paths,
)
from query_api.scan.funnel_plan import EARLIEST_MS, LATEST_MS
from tests.path_histories import Case, block_of, cells_of, figures_of, random_case

CASES = 400


def assert_equal_scans(case: Case, rng: random.Random) -> int:
    """Compares figures, and the actors behind some of them; returns how many sessions there were."""
    found = native_paths.scan_paths(case.blocks, case.plan, case.labels)
    expected = oracle_paths.scan_paths(case.blocks, case.plan, case.labels)
    assert figures_of(found) == figures_of(expected), case.plan
    for cell in cells_of(expected, rng):
        behind = [
            scanner.find_actors(case.blocks, case.plan, lambda names, cell=cell: (case.labels(names), cell))
            for scanner in (native_paths, oracle_paths)
        ]
        assert behind[0].tolist() == behind[1].tolist(), (case.plan, cell)
    return expected.sessions


def test_native_scan_equals_the_literal_model() -> None:
    rng = random.Random("histories of paths")
    sessions = sum(assert_equal_scans(random_case(rng), rng) for _ in range(CASES))
    assert sessions > CASES * 20, "too few sessions for the comparison to mean much"


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), actors=st.integers(1, 3))
def test_any_seed_gives_equal_scans(seed: int, actors: int) -> None:
    rng = random.Random(seed)
    assert_equal_scans(random_case(rng, actors), rng)


@settings(max_examples=200, deadline=None)
@given(
    max_steps=st.integers(1, 5),
    options=st.tuples(*[st.booleans()] * 4),
    events=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(1, 2)), max_size=9),
)
def test_one_actor_shrinks_to_the_smallest_difference(
    max_steps: int, options: tuple[bool, ...], events: list[tuple[int, int, int]]
) -> None:
    by_session, collapse, with_start, with_end = options
    plan = PathsPlan(
        gap_ms=4, max_steps=max_steps, by_session=by_session, collapse=collapse, with_start=with_start,
        with_end=with_end,
    )  # fmt: skip
    rows = [(7, time, 0, place, name + 1, session) for place, (time, name, session) in enumerate(events)]
    roles = np.array([True, False, False, False]), np.array([False, False, True, False])
    case = Case(plan, (block_of(rows, plan),), {1: 0, 2: 1, 3: 2}, *roles)
    assert_equal_scans(case, random.Random(1))


# ---- laws ----


def relabelled(rows: list[tuple[int, ...]], actor: int) -> list[tuple[int, ...]]:
    """The same events under another actor."""
    return [(actor, *row[1:]) for row in rows]


def figures(
    rows: list[tuple[int, ...]], plan: PathsPlan, *, blocks: int = 1, threads: int = 1
) -> dict[str, Any]:
    """What the native scanner finds; a name's hash is its label's code + 1."""
    scanner = native_paths._Scanner(plan, 1 << 30)
    for i in range(blocks):
        scanner.feed(block_of(rows[i::blocks], plan))
    labels = Labels((scanner.names() - 1).astype(np.uint32), START, END, middle=4)
    found = native_paths._counted([part for part, _ in scanner.walk(labels, None, threads)], scanner.events)
    scanner.close()
    return figures_of(found)


START, END = np.array([False, True, False, False, False]), np.array([False, False, True, False, False])


@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(1, 3)), max_size=12),
    options=st.tuples(*[st.booleans()] * 4),
    order=st.randoms(use_true_random=False),
)
def test_a_copied_actor_doubles_every_count(
    events: list[tuple[int, int, int]], options: tuple[bool, ...], order: random.Random
) -> None:
    by_session, collapse, with_start, with_end = options
    plan = PathsPlan(
        gap_ms=6,
        max_steps=4,
        by_session=by_session,
        collapse=collapse,
        with_start=with_start,
        with_end=with_end,
    )
    rows = [(9, time, 0, place, name + 1, session) for place, (time, name, session) in enumerate(events)]
    alone, both = figures(rows, plan), figures([*rows, *relabelled(rows, 1 << 63)], plan)
    assert both["sessions"] == 2 * alone["sessions"]
    for table, ids in (("nodes", 2), ("links", 3)):
        doubled = [(*row[:ids], *(2 * figure for figure in row[ids:])) for row in alone[table]]
        assert both[table] == doubled
    shuffled = order.sample(rows, len(rows))
    assert figures(shuffled, plan, blocks=3) == alone, "the order of rows and blocks does not matter"


def test_a_scan_depends_neither_on_the_order_of_rows_nor_on_threads() -> None:
    rng = random.Random(4)
    plan = PathsPlan(gap_ms=20, max_steps=5)
    rows = [
        (rng.getrandbits(64), rng.randint(0, 99), rng.randint(0, 9), rng.getrandbits(32), rng.randint(1, 4))
        for _ in range(5_000)
    ]
    rows += [(row[0], rng.randint(0, 99), 0, rng.getrandbits(32), rng.randint(1, 4)) for row in rows]
    stored = sorted(rows)
    assert figures(rows, plan) == figures(stored, plan) == figures(rows, plan, blocks=7, threads=3)


# ---- bounds and refusals ----


def labels_for(names: NDArray[np.uint64]) -> Labels:
    """Every name its own label."""
    nothing = np.zeros(len(names) + 1, np.bool_)
    return Labels(np.arange(len(names), dtype=np.uint32), nothing, nothing, middle=len(names))


def scan(rows: list[tuple[int, ...]], plan: PathsPlan, **limits: Any) -> PathsScan:
    return scan_paths([block_of(rows, plan)], plan, labels_for, **limits)


PLAN = PathsPlan(gap_ms=1_000, max_steps=10)


def test_nobody_and_events_of_no_session_are_left_out() -> None:
    by_session = PathsPlan(gap_ms=1, max_steps=3, by_session=True)
    assert scan([(0, 1, 0, 0, 5)], PLAN).sessions == 0
    assert scan([(7, 1, 0, 0, 5, 0), (7, 2, 0, 0, 5, 1)], by_session).sessions == 1


def test_times_of_all_centuries_keep_their_order() -> None:
    plan = PathsPlan(gap_ms=1 << 60, max_steps=3)
    found = scan([(7, LATEST_MS, 0, 0, 2), (7, EARLIEST_MS, 0, 0, 1)], plan)
    assert found.links.took.tolist() == [LATEST_MS - EARLIEST_MS]
    with pytest.raises(ValueError, match="years 1900 to 2457"):
        scan([(7, LATEST_MS + 1, 0, 0, 2)], plan)


def test_a_million_names_are_told_apart_and_no_more() -> None:
    count = MAX_NAMES
    columns = [np.full(count, 7, np.uint64), np.arange(count, dtype=np.int64)]
    columns += [np.zeros(count, np.uint32)] * 2
    names = np.arange(1, count + 1, dtype=np.uint64) << np.uint64(
        20
    )  # no hash tells them apart by its low bits
    found = scan_paths([(*columns, names)], PathsPlan(gap_ms=10, max_steps=3), labels_for)
    assert found.nodes.label.tolist() == [0, 1, 2]
    one_more = (*(column[:1] for column in columns), np.array([3], np.uint64))
    with pytest.raises(TooManyNames):
        scan_paths([(*columns, names), one_more], PLAN, labels_for)


def test_events_and_links_beyond_the_memory_are_refused() -> None:
    rng = random.Random(2)
    actors = [rng.getrandbits(64) for _ in range(20_000)]
    rows = [(actor, j, 0, 0, 1 + i * 2 + j) for i, actor in enumerate(actors) for j in range(2)]
    with pytest.raises(MemoryError, match="more than 0 MiB: choose a shorter range"):
        scan(rows, PLAN, memory_bytes=400_000)
    with pytest.raises(MemoryError):
        scan(rows, PLAN, memory_bytes=4_000_000)  # the events fit, the links do not
    assert scan(rows, PLAN, memory_bytes=40_000_000).sessions == 20_000


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((np.uint64, np.int64, np.uint32, np.uint32), "4 columns, this plan reads 5"),
        ((np.uint64, np.int64, np.uint32, np.uint32, np.uint32), "names: uint64, not uint32"),
        ((np.uint64, np.float64, np.uint32, np.uint32, np.uint64), "times: int64, not float64"),
    ],
)
def test_refuses_blocks_of_another_form(columns: tuple[type[np.generic], ...], message: str) -> None:
    block = tuple(np.zeros(1, dtype) for dtype in columns)
    with pytest.raises(ValueError, match=message):
        scan_paths([block], PLAN, labels_for)


def test_refuses_columns_of_different_length_and_labels_that_do_not_fit() -> None:
    block = list(block_of([(7, 1, 0, 0, 1), (7, 2, 0, 0, 2)], PLAN))
    with pytest.raises(ValueError, match="differ in length"):
        scan_paths([(*block[:4], block[4][:1])], PLAN, labels_for)
    with pytest.raises(RuntimeError, match="status 3"):
        scan_paths([tuple(block)], PLAN, lambda names: labels_for(names[:1]))


@pytest.mark.parametrize("wrong", [{"gap_ms": 0}, {"max_steps": 0}, {"max_steps": 1_001}])
def test_refuses_plans_out_of_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PathsPlan(**{"gap_ms": 1, "max_steps": 1, **wrong})


def test_work_is_linear_in_events() -> None:
    """A million events of one actor in one session, with runs, are done at once."""
    count = 1_000_000
    block = (
        np.full(count, 7, np.uint64),
        np.arange(count, dtype=np.int64)[::-1].copy(),
        np.zeros(count, np.uint32),
        np.zeros(count, np.uint32),
        np.arange(count, dtype=np.uint64) // np.uint64(3) % np.uint64(5) + np.uint64(1),
    )
    found = scan_paths([block], PathsPlan(gap_ms=1 << 40, max_steps=10), labels_for)
    assert found.sessions == 1
    assert len(found.links.step) == 9
