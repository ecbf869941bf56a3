"""Hypothesis: trends and funnel, through the whole system, equal models that are written by the book.

A difference is shown with the query that gave it and with the smallest population that still does:
`people` are what make_person takes. More histories: --hypothesis-seed=1 and so on, each tries others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from footfall.storage.store import Store
from tests.populations import Body, funnel_bodies, make_person, populations, trends_bodies
from tests.truth import Footfall, compare_funnel, compare_trends, deliver, running

EXAMPLES = 60
TRAITS = ("ties", "repeated steps", "merges")


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("truth")) as whole:
        yield whole


@pytest.mark.timeout(900)  # a difference takes its time to shrink
def test_answers_equal_the_models_on_generated_histories(footfall: Footfall) -> None:
    histories: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(
        people=populations,
        of_funnel=st.lists(funnel_bodies(), min_size=1, max_size=4),
        of_trends=st.lists(trends_bodies(), min_size=1, max_size=4),
    )
    def compare(
        people: Sequence[tuple[int, int]], of_funnel: Sequence[Body], of_trends: Sequence[Body]
    ) -> None:
        persons = [make_person(seed, size) for seed, size in people]
        project, events = deliver(footfall, persons)
        note(f"{events}")
        for body in of_funnel:
            compare_funnel(footfall, project, events, body)
        for body in of_trends:
            compare_trends(footfall, project, events, body)
        histories.update(trait for person in persons for trait in person.traits)
        histories["all"] += len(persons)

    compare()
    print(histories)
    for trait in TRAITS:
        assert histories[trait] >= histories["all"] / 5, f"too few histories with {trait}: {histories}"
