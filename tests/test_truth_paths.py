"""Hypothesis: paths, through the whole system, equal a model that is written by the book.

Like tests/test_truth_queries.py, over persons who open pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from footfall.storage.store import Store
from tests.populations import Body, make_person, on_pages, paths_bodies, walkers
from tests.truth import Footfall, compare_paths, deliver, running

EXAMPLES = 30


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("paths")) as whole:
        yield whole


@pytest.mark.timeout(900)  # a difference takes its time to shrink
def test_paths_equal_the_model_on_generated_histories(footfall: Footfall) -> None:
    answers: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(people=walkers, asked=paths_bodies)
    def compare(people: Sequence[tuple[int, int]], asked: Sequence[Body]) -> None:
        project, events = deliver(footfall, [on_pages(make_person(seed, size)) for seed, size in people])
        note(f"{events}")
        for body in asked:
            answers.update(traits_of(body, compare_paths(footfall, project, events, body)))

    compare()
    print(answers)
    for trait in ("links", "other", "alone", "several steps"):
        assert answers[trait] >= answers["all"] / 60, f"too few answers with {trait}: {answers}"


def traits_of(body: Body, expected: Mapping[str, Any]) -> list[str]:
    """What makes an answer worth comparing."""
    traits = {
        "links": bool(expected["links"]),
        "middle": any(node["name"] == "..." for node in expected["nodes"]),
        "other": expected["other"] > 0,
        "alone": any(node["step"] == 1 and node["exits"] for node in expected["nodes"]),
        "several steps": any(node["step"] > 2 for node in expected["nodes"]),
        "both points": body["start"] is not None and body["end"] is not None and expected["sessions"] > 0,
    }
    return ["all", *(trait for trait, holds in traits.items() if holds)]
