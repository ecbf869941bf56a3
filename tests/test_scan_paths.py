"""The native path scanner gives what the literal model gives; worked examples; bounds and refusals."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.scan import PathsPlan, native_paths, oracle_paths
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
