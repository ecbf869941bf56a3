"""Mistakes put into paths on purpose, one at a time: the comparison with the model must catch every one.

As tests/test_seeded_mistakes.py does for funnels and trends, on persons who open pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import query_api.analyses.paths as paths_analysis
import query_api.sql.node_names as node_names
from footfall.storage.store import Store
from query_api.analyses import paths_figures
from query_api.scan import Labels, PathBlock, PathsPlan, PathsScan, scan_paths
from tests.populations import NOON, RANGE, SECOND, Body, Person, make_person, on_pages, tell
from tests.reference.paths import paths
from tests.seeding import PERSON_NOW, Mistake, Patch, in_scan, in_sql
from tests.truth import TIMEZONE, Footfall, compare_paths, deliver, running


def at_one_place(id_: str) -> Person:
    """A person whose events come in two requests, at the same places and times: ids alone order them."""
    records = tell(id_, *((f"e{i % 4}", NOON + i // 2) for i in range(16))).deliveries[0]
    return Person((records[::2], records[1::2]), frozenset())


PEOPLE = [
    at_one_place("first of all"),
    *(on_pages(make_person(seed, 4 + seed % 9)) for seed in range(90)),
    tell("just together", ("register", NOON), ("purchase", NOON + 60 * SECOND - 1)),
    tell("just apart", ("register", NOON), ("purchase", NOON + 60 * SECOND)),
    tell("a long way", *((name, NOON + i) for i, name in enumerate(("register", "bind_card") * 7))),
    *(tell(f"twelve steps {i}", *((f"e{(i * j) % 5}", NOON + j) for j in range(12))) for i in range(1, 5)),
]
BERLIN = {"range": RANGE, "timezone": "Europe/Berlin"}
PAGES = {"property": "page", "for": ["register", "purchase"]}

BODIES: Sequence[Body] = (
    {**BERLIN, "session_gap_seconds": 60},
    {**BERLIN, "session_gap_seconds": 10**7, "collapse": False, "max_steps": 4, "limit": 1000},
    {**BERLIN, "node": PAGES, "limit": 3, "session_gap_seconds": 10**6},
    {**BERLIN, "node": PAGES, "min_count": 2, "limit": 1000, "session_gap_seconds": 10**6},
    {**BERLIN, "node": {"property": "page"}, "groups": ["/fuNN/*", "*f*"], "limit": 1000,
     "clean": [{"pattern": "[?].*", "replace": ""}, {"pattern": "[nd]", "replace": "N"}]},
    {**BERLIN, "start": "register", "end": "purchase", "max_steps": 3, "session_gap_seconds": 10**7},
    {**BERLIN, "start": "register", "end": "register", "session_gap_seconds": 10**7, "limit": 1000},
    {**BERLIN, "end": "purchase", "max_steps": 2, "session_gap_seconds": 10**7, "limit": 1000},
    {**BERLIN, "session": "sid", "events": [{"event": None}, {"event": "$SignUp"}]},
    {**BERLIN, "node": {"property": "page"}, "start": "/home/", "session_gap_seconds": 10**7,
     "where": [{"property": "channel", "op": "ne", "value": "branch"}], "limit": 1000},
    {**BERLIN, "events": [{"event": "register"}, {"event": "purchase",
     "where": [{"property": "amount", "op": "gte", "value": 12.34}]}],
     "actor": {"property": "channel"}, "limit": 1000},
)  # fmt: skip


@pytest.fixture(scope="module")
def footfall(store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footfall]:
    with running(store_url, tmp_path_factory.mktemp("path_mistakes")) as whole:
        yield whole


@dataclass(frozen=True)
class Held:
    """A project, and what the model says of each body: it says the same however often it is asked."""

    project: str
    expected: list[Mapping[str, Any]]


@pytest.fixture(scope="module")
def held(footfall: Footfall) -> Held:
    project, events = deliver(footfall, PEOPLE)
    tie = footfall.tie_of(project)
    return Held(project, [paths(events, body, timezone=TIMEZONE, tie=tie) for body in BODIES])


def compare_all(footfall: Footfall, held: Held) -> None:
    for body, expected in zip(BODIES, held.expected, strict=True):
        compare_paths(footfall, held.project, (), body, expected)


in_paths = partial(in_scan, paths_analysis, "scan_paths")


def in_labels(put: Callable[[Labels], Labels]) -> Mistake:
    """The scanner gets other labels."""

    def scan(given: Any, plan: PathsPlan, read_labels: Any, **limits: Any) -> PathsScan:
        return scan_paths(given, plan, lambda names: put(read_labels(names)), **limits)

    return lambda patch: patch.setattr(paths_analysis, "scan_paths", scan)


def in_figures(name: str, put: Callable[[Any], Any]) -> Mistake:
    """A function of the figures does something else."""
    return lambda patch: patch.setattr(paths_figures, name, put(getattr(paths_figures, name)))


def zero(column: int) -> Callable[[PathBlock], PathBlock]:
    return lambda block: tuple(
        np.zeros_like(values) if place == column else values for place, values in enumerate(block)
    )


def count_actors_by_session(found: PathsScan) -> PathsScan:
    return replace(found, links=replace(found.links, users=found.links.count))


def sessions_of_cut_links(found: PathsScan) -> PathsScan:
    """A node's sessions are those that go on."""
    nodes = found.nodes
    return replace(found, nodes=replace(nodes, count=nodes.count - nodes.exits, exits=nodes.exits * 0))


def groups_before_cleaning(patch: Patch) -> None:
    def labelled(self: Any, name: str) -> str:
        return whole(replace(self, spec=self.spec.model_copy(update={"clean": ()})), name)

    whole = node_names.NodeNameSql._labelled
    patch.setattr(node_names.NodeNameSql, "_labelled", labelled)


def the_last_group_wins(patch: Patch) -> None:
    def labelled(self: Any, name: str) -> str:
        groups = self.spec.groups[::-1]
        return whole(replace(self, spec=self.spec.model_copy(update={"groups": groups})), name)

    whole = node_names.NodeNameSql._labelled
    patch.setattr(node_names.NodeNameSql, "_labelled", labelled)


MISTAKES: dict[str, Mistake] = {
    "a gap of exactly so long does not end a session": in_paths(gap_ms=lambda ms: ms + 1),
    "a gap a millisecond shorter ends a session": in_paths(gap_ms=lambda ms: ms - 1),
    "the order in the request is ignored": in_paths(blocks=zero(2)),
    "the order of event ids is ignored": in_paths(blocks=zero(3)),
    "runs are not collapsed": in_paths(collapse=lambda _: False),
    "runs are always collapsed": in_paths(collapse=lambda _: True),
    "one step too many is kept": in_paths(max_steps=lambda steps: steps + 1),
    "start does not trim": in_paths(with_start=lambda _: False),
    "end does not trim": in_paths(with_end=lambda _: False),
    "an end may be the start": in_labels(lambda labels: replace(labels, ends=labels.ends & ~labels.starts)),
    "sessions of a property are cut by gaps": in_paths(
        blocks=lambda block: block[:5], by_session=lambda _: False
    ),
    "the middle is called as another node": in_labels(
        lambda labels: replace(labels, middle=len(labels.ends) - 1)
    ),
    "overrides are ignored": in_sql((PERSON_NOW, "user_key")),
    "identity records are always selected": in_sql(("type = 'track'", "1")),
    "nobody has paths": in_sql((f"{PERSON_NOW} AS actor", f"greatest({PERSON_NOW}, 1) AS actor")),
    "slashes stay": in_sql((r"(\\C)/\\z", r"(\\C)//\\z")),
    "a lone slash goes, too": in_sql((r"(\\C)/\\z", r"(\\C?)/\\z")),
    "a missing value is an empty name": in_sql(("if(isNotNull(`p_page`)", "if(1")),
    "the property names every event": in_sql((" AND event IN ({p", " AND 1 OR event IN ({p")),
    "cleaning is done once a name": in_sql(("replaceRegexpAll", "replaceRegexpOne")),
    "groups do not see what was cleaned": groups_before_cleaning,
    "the last group wins": the_last_group_wins,
    "users are counted once a session": in_paths(found=count_actors_by_session),
    "sessions that end are not a node's": in_paths(found=sessions_of_cut_links),
    "links that cannot be reached are kept": in_figures("_reachable", lambda whole: lambda scan, rows: rows),
    "ties go the other way": in_figures("_order_of_steps", lambda whole: lambda steps: -whole(steps)),
    "nodes of one-node sessions are dropped": lambda patch: patch.setattr(paths_figures, "MAX_ALONE", 0),
}


def test_nothing_differs_before_a_mistake_is_made(footfall: Footfall, held: Held) -> None:
    compare_all(footfall, held)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_comparison_catches(
    mistake: str, footfall: Footfall, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError) as difference:
        compare_all(footfall, held)
    assert "is not" in str(difference.value), "it failed, but not by a difference"
