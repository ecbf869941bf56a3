"""What every query takes means the same in every analysis, and wherever a selector may stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from footfall.storage.store import Store
from query_api.run import ANALYSES
from tests.query_world import Event, World

RANGE = {"from": "2026-10-01", "to": "2026-10-02"}
BOTH = ("ann", "bob")


def at(day: int, clock: str) -> str:
    return f"2026-10-0{day}T{clock}+08:00"


@pytest.fixture(scope="module")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """ann and bob look and buy on the first day, and come back on the second; cat looks once, at night."""
    with closing(World(store, "common", tmp_path_factory.mktemp("common"))) as made:
        shared = {"vip": True, "amount": Decimal("5.5"), "account_id": "shared", "$event_session_id": "s"}
        for user in BOTH:
            made.put(
                Event("look", user, at(1, "10:00:00"), {**shared, "channel": user}),
                Event("buy", user, at(1, "10:05:00"), {**shared, "channel": user}),
                Event("look", user, at(2, "10:00:00"), {**shared, "channel": user}),
            )
        made.put(Event("look", "cat", "2026-10-01T23:30:00Z"))  # the second day in Shanghai
        made.put(Event("look", "ann", "2026-09-01T10:00:00+08:00", shared))
        made.put_profiles({"ann": {"plan": "gold"}, "bob": {"plan": "silver"}, "cat": {"plan": "gold"}})
        yield made


def body(analysis: str, selector: dict[str, Any] | None = None) -> dict[str, Any]:
    """A query whose first number is how many actors have an event of the selector."""
    chosen = selector or {"event": "look"}
    return {
        "trends": {"series": [{**chosen, "measure": "users"}], "interval": "total"},
        "funnel": {"steps": [chosen]},
        "retention": {"start": {"event": None}, "return": chosen, "interval": "month", "periods": 0}
        if "occurrence" in chosen
        else {"start": chosen, "return": chosen, "interval": "month", "periods": 0},
        "paths": {"events": [chosen], "session_gap_seconds": 8_640_000, "collapse": False, "max_steps": 1},
    }[analysis]


def first_number(analysis: str, result: dict[str, Any]) -> int:
    match analysis:
        case "trends":
            return int(result["series"][0]["total"])
        case "funnel":
            return int(result["steps"][0]["users"])
        case "retention":
            return int(result["rows"][0]["size"])
        case _:
            return int(sum(node["users"] for node in result["nodes"]))


async def count(world: World, analysis: str, asked: dict[str, Any]) -> int:
    """Of all days of October, since retention takes whole months."""
    whole = {"range": {"from": "2026-10-01", "to": "2026-10-31"}, **asked}
    explained = await world.post(f"/api/v1/query/{analysis}/explain", whole)
    assert explained["queries"]
    answer = await world.post(f"/api/v1/query/{analysis}", whole)
    return first_number(analysis, answer["result"])


GOLD = {"property": "plan", "of": "user", "op": "eq", "value": "gold"}
FIELDS: list[tuple[dict[str, Any], int]] = [
    ({}, 3),
    ({"where": [{"property": "vip", "op": "is_true"}]}, 2),
    ({"where": [{"any": [{"property": "channel", "op": "eq", "value": "ann"}, GOLD]}]}, 2),
    ({"where": [{"not": {"all": [GOLD]}}]}, 1),
    ({"where": [{"property": "amount", "op": "between", "value": [5.5, 5.5]}]}, 2),
    ({"actor": {"property": "account_id"}}, 1),
    ({"actor": {"session": "$event_session_id"}}, 2),
    ({"actor": "session"}, 5),
    ({"sample": 1}, 3),
    ({"timezone": "America/New_York", "week_start": "sunday"}, 3),
]


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize(("fields", "expected"), FIELDS, ids=lambda value: str(value)[:50])
async def test_a_field_means_the_same_in_every_analysis(
    world: World, analysis: str, fields: dict[str, Any], expected: int
) -> None:
    assert await count(world, analysis, {**body(analysis), **fields}) == expected


SELECTORS: list[tuple[dict[str, Any], int]] = [
    ({"event": "buy"}, 2),
    ({"event": ["buy", "look"]}, 3),
    ({"event": None}, 3),
    ({"event": "look", "where": [{"property": "channel", "op": "eq", "value": "bob"}]}, 1),
    ({"event": "shopping"}, 2),
    ({"event": ["shopping", "buy"], "where": [GOLD]}, 1),
]


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize(("selector", "expected"), SELECTORS, ids=lambda value: str(value)[:50])
async def test_a_selector_means_the_same_in_every_analysis(
    world: World, analysis: str, selector: dict[str, Any], expected: int
) -> None:
    url = f"/api/v1/projects/{world.project}/virtual-events"
    shopping = {"event": "look", "where": [{"property": "vip", "op": "is_true"}]}
    await world.client.post(url, json={"name": "shopping", "events": [{"event": "buy"}, shopping]})
    assert await count(world, analysis, body(analysis, selector)) == expected


@pytest.mark.parametrize(
    "analysis", [name for name in ANALYSES if name != "retention"]
)  # there it is `entry`
@pytest.mark.parametrize(("occurrence", "expected"), [("first_ever", 2), ("first_matching", 2), ("any", 3)])
async def test_occurrences_look_at_all_history(
    world: World, analysis: str, occurrence: str, expected: int
) -> None:
    """ann's first look was in September."""
    assert (
        await count(world, analysis, body(analysis, {"event": "look", "occurrence": occurrence})) == expected
    )


@pytest.mark.parametrize("analysis", ANALYSES)
async def test_a_comparison_is_the_same_query_over_its_own_range(world: World, analysis: str) -> None:
    asked = {**body(analysis), "range": {"from": "2026-10-01", "to": "2026-10-31"}}
    september = {"from": "2026-09-01", "to": "2026-09-30"}
    for compare in ({"range": september}, {"shift": {"value": 1, "unit": "month"}}):
        answer = await world.post(f"/api/v1/query/{analysis}", {**asked, "compare": compare})
        alone = await world.post(f"/api/v1/query/{analysis}", {**asked, "range": september})
        assert first_number(analysis, answer["comparison"]) == 1
        assert answer["comparison"] == alone["result"]
        assert first_number(analysis, answer["result"]) == 3


@pytest.mark.parametrize("analysis", ANALYSES)
async def test_a_sample_says_so_and_has_no_users(world: World, analysis: str) -> None:
    answer = await world.post(f"/api/v1/query/{analysis}", {**body(analysis), "sample": 0.5})
    assert float(answer["meta"]["sample"]) == 0.5
    cells: dict[str, dict[str, Any]] = {
        "trends": {"series": 0},
        "funnel": {"step": 0},
        "retention": {"bucket": "2026-10-01"},
        "paths": {"node": "1_look"},
    }
    refused = {**body(analysis), "sample": 0.5, "cell": cells[analysis]}
    problem = await world.post(f"/api/v1/query/{analysis}/users", refused, status=422)
    assert problem["field"] == "sample"


@pytest.mark.parametrize("analysis", ["trends", "funnel", "retention"])
async def test_ties_at_the_limit_of_groups_are_cut_by_key(world: World, analysis: str) -> None:
    """Everybody has one of these: the groups are equally large."""
    values = [None, -2, 0, 0.1, 0.25, 3, 20, 100, "", "a", "n/a", "理财"]
    world.put(
        *(
            Event(
                f"tie_{analysis}",
                f"t{n}",
                at(1, "10:00:00"),
                {} if value is None else {f"v_{analysis}": value},
            )
            for n, value in enumerate([3, *values])  # the first decides the type: numbers
        )
    )
    keys = {"trends": "series", "funnel": "groups", "retention": "groups"}[analysis]
    for limit in range(1, len(values) + 1):
        selector = {
            "event": f"tie_{analysis}",
            "where": [{"property": "distinct_id", "op": "ne", "value": "t0"}],
        }
        asked = {**body(analysis, selector), "breakdown_limit": limit, "range": RANGE}
        asked["breakdown"] = (
            {"properties": [f"v_{analysis}"], "attribution": "step"}
            if analysis == "funnel"
            else [f"v_{analysis}"]
        )
        result = (await world.post(f"/api/v1/query/{analysis}", asked))["result"]
        found = [group["key"][0] for group in result[keys]]
        assert found[:limit] == [Decimal(str(v)) if isinstance(v, float) else v for v in values[:limit]]
        assert found[limit:] == (["$other"] if limit < len(values) else [])
