"""Hypothesis: retention, through the whole system, equals a model written by the book.

Like tests/test_truth_queries.py, over persons who come back hours and days later, asked at all times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from footfall.storage.store import Store
from tests.populations import Body, make_person, retention_bodies, returners
from tests.truth import Footfall, compare_retention, deliver, running

EXAMPLES = 40


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("returns")) as whole:
        yield whole


@pytest.mark.timeout(900)  # a difference takes its time to shrink
def test_retention_equals_the_model_on_generated_histories(footfall: Footfall) -> None:
    answers: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(people=returners, asked=st.lists(retention_bodies(), min_size=3, max_size=5))
    def compare(people: Sequence[tuple[int, int]], asked: Sequence[tuple[Body, int | None]]) -> None:
        persons = [make_person(seed, size, comes_back=True) for seed, size in people]
        project, events = deliver(footfall, persons)
        note(f"{events}")
        for body, now in asked:
            answers.update(traits_of(body, compare_retention(footfall, project, events, body, now)))

    compare()
    print(answers)
    for trait in ("retained", "lost", "partial", "absent", "groups"):
        assert answers[trait] >= answers["all"] / 12, f"too few answers with {trait}: {answers}"


def traits_of(body: Body, expected: Mapping[str, Any]) -> list[str]:
    """What makes an answer worth comparing."""
    rows = expected["rows"]
    later = [(row["size"], value) for row in rows for value in row["values"][1:]]
    traits = {
        "retained": any(value for _, value in later),
        "lost": any(0 < value < size for size, value in later),
        "partial": any(row["partial"] for row in rows),
        "absent": any(len(row["values"]) <= body["periods"] for row in rows),
        "groups": len(expected["groups"]) > 1,
    }
    return ["all", *(trait for trait, holds in traits.items() if holds)]
