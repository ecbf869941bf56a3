"""Virtual events: saved in a project, named like an event's, in every analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from footfall.storage.store import Store
from query_api.spec.virtual_event import MAX_VIRTUAL_EVENTS
from tests.query_world import Event, World

DAY = {"from": "2026-10-01", "to": "2026-10-01"}
AT = "2026-10-01T1{}:00:00+08:00"
LARGE = {"property": "amount", "op": "gte", "value": 100}
ANY_PURCHASE: dict[str, Any] = {
    "name": "any_purchase",
    "events": [
        {"event": ["buy_fund", "buy_bond"]},
        {"event": "transfer", "where": [{"any": [LARGE, {"not": {"property": "to", "op": "is_set"}}]}]},
    ],
}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("virtual"), tmp_path)) as made:
        made.put(
            Event("buy_fund", "ann", AT.format(0)),
            Event("transfer", "ann", AT.format(1), {"amount": 5, "to": "bob"}),
            Event("transfer", "bob", AT.format(2), {"amount": 500, "to": "ann"}),
            Event("transfer", "cat", AT.format(3), {"amount": 1, "to": "ann"}),
            Event("buy_bond", "cat", AT.format(4)),
            Event("look", "dan", AT.format(5)),
            Event("look", "bob", AT.format(6)),
        )
        yield made


def url(world: World) -> str:
    return f"/api/v1/projects/{world.project}/virtual-events"


async def save(world: World, body: dict[str, Any] = ANY_PURCHASE, *, status: int = 201) -> Any:
    return await world.post(url(world), body, status=status)


async def test_is_saved_listed_shown_in_the_catalogue_and_deleted(world: World) -> None:
    exact = {"name": "small", "events": [{"event": None, "where": [{**LARGE, "value": 0.1}]}]}
    assert (await save(world))["name"] == "any_purchase"
    await save(world, exact)
    listed = (await world.get(url(world)))["virtual_events"]
    assert [one["name"] for one in listed] == ["any_purchase", "small"]
    assert orjson.dumps(listed[0]["events"]) == orjson.dumps(
        [{"event": ["buy_fund", "buy_bond"]}, {**ANY_PURCHASE["events"][1], "event": ["transfer"]}]
    )
    catalogue = await world.get(f"/api/v1/catalogue?project={world.project}")
    assert catalogue["virtual_events"] == listed
    response = await world.client.delete(f"{url(world)}/small")
    assert response.json() == {"deleted": "small"}
    assert [one["name"] for one in (await world.get(url(world)))["virtual_events"]] == ["any_purchase"]
    response = await world.client.delete(f"{url(world)}/any_purchas")
    assert response.status_code == 404
    assert "did you mean 'any_purchase'" in response.json()["detail"]


async def test_counts_what_its_selectors_take(world: World) -> None:
    await save(world)
    series = [{"event": "any_purchase"}, {"event": ["any_purchase", "look"]}, {"event": "transfer"}]
    answer = await world.post("/api/v1/query/trends", {"range": DAY, "series": series, "interval": "total"})
    assert [one["total"] for one in answer["result"]["series"]] == [3, 5, 3]
    assert answer["result"]["series"][0]["label"] == "any_purchase"
    assert answer["meta"]["warnings"] == []


async def test_takes_conditions_occurrences_and_groups_like_an_event(world: World) -> None:
    await save(world)

    async def keys(selector: dict[str, Any]) -> dict[str, int]:
        body = {"range": DAY, "interval": "total", "breakdown": ["event"]}
        result = await world.trends({**body, "series": [{"event": "any_purchase", **selector}]})
        return {one["key"][0]: one["total"] for one in result["series"]}

    assert await keys({}) == {"buy_fund": 1, "buy_bond": 1, "transfer": 1}
    assert await keys({"where": [LARGE]}) == {"transfer": 1}
    # cat's transfer is none of it, so that her first one is the bond
    assert await keys({"occurrence": "first_ever"}) == {"buy_fund": 1, "buy_bond": 1, "transfer": 1}
    matching = {"occurrence": "first_matching", "where": [{"property": "amount", "op": "is_set"}]}
    assert await keys(matching) == {"transfer": 1}


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
async def test_is_a_step_and_an_exclusion_of_a_funnel(world: World, order: str) -> None:
    await save(world)
    steps = [{"event": "any_purchase"}, {"event": "look"}]
    result = await world.funnel({"range": DAY, "steps": steps, "order": order})
    # in any order, dan and bob enter by looking, too
    assert [step["users"] for step in result["steps"]] == ([4, 1] if order == "any" else [3, 1])
    people = await world.post(
        "/api/v1/query/funnel/users", {"range": DAY, "steps": steps, "cell": {"step": 1}}
    )
    assert [user["user_id"] for user in people["users"]] == ["bob"]
    excluded = {"steps": [{"event": "transfer"}, steps[1]], "exclude": [{"event": "any_purchase"}]}
    result = await world.funnel({"range": DAY, **excluded, "order": "ordered"})
    assert [step["users"] for step in result["steps"]] == [2, 1]  # cat bought a bond in between


async def test_explain_shows_what_it_stands_for(world: World) -> None:
    await save(world)
    body = {"range": DAY, "series": [{"event": "any_purchase"}]}
    (query,) = (await world.post("/api/v1/query/trends/explain", body))["queries"]
    values = [value for value in query["parameters"].values() if isinstance(value, str)]
    assert {"buy_fund", "buy_bond", "transfer"} <= set(values)
    assert "any_purchase" not in values


async def test_answers_are_not_kept_beyond_a_changed_definition(world: World) -> None:
    body = {"range": DAY, "series": [{"event": "v"}], "interval": "total"}
    for name, total in (("look", 2), ("buy_bond", 1)):
        await save(world, {"name": "v", "events": [{"event": name}]})
        assert (await world.trends(body))["series"][0]["total"] == total
        assert (await world.client.delete(f"{url(world)}/v")).status_code == 200
    assert (await world.trends(body))["series"][0]["total"] == 0


async def test_a_name_is_one_event_only(world: World) -> None:
    await save(world, {**ANY_PURCHASE, "name": "look"}, status=409)
    await save(world)
    await save(world, status=409)
    await save(world, {"name": "other", "events": [{"event": "any_purchase"}]}, status=422)
    await save(world, {"name": "other", "events": [{"event": "other"}]}, status=422)


async def test_an_event_that_comes_later_under_its_name_is_warned_of(world: World) -> None:
    await save(world)
    world.put(Event("any_purchase", "eve", AT.format(7)))
    answer = await world.post(
        "/api/v1/query/trends", {"range": DAY, "series": [{"event": "any_purchase"}], "interval": "total"}
    )
    assert answer["result"]["series"][0]["total"] == 3
    assert "the virtual event was taken" in answer["meta"]["warnings"][0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**ANY_PURCHASE, "name": "no name"}, "name"),
        ({**ANY_PURCHASE, "events": []}, "events"),
        ({**ANY_PURCHASE, "evnts": []}, "evnts"),
        ({"name": "v", "events": [{"event": "x", "occurrence": "any"}]}, "events[0].occurrence"),
        (
            {"name": "v", "events": [{"event": "x", "where": [{"property": "p", "op": "eqq", "value": 1}]}]},
            "events[0].where[0].op",
        ),
        (
            {
                "name": "v",
                "events": [{"event": "x", "where": [{"property": "p", "op": "matches", "value": "("}]}],
            },
            "events[0].where[0].value",
        ),
    ],
)
async def test_a_definition_that_cannot_be_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    assert (await save(world, body, status=422))["field"] == field


async def test_belongs_to_its_project(world: World, store: Store, tmp_path: Path) -> None:
    await save(world)
    other = world.workspace.create_project(type(world.workspace.projects()[0])("other_project"))
    answer = await world.client.get(url(world), headers={"Authorization": f"Bearer {other.secret_key}"})
    assert answer.status_code == 403
    answer = await world.client.get(
        "/api/v1/projects/other_project/virtual-events",
        headers={"Authorization": f"Bearer {other.secret_key}"},
    )
    assert answer.json() == {"virtual_events": []}


async def test_a_project_has_so_many_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_VIRTUAL_EVENTS == 500
    monkeypatch.setattr("query_api.virtual_events.MAX_VIRTUAL_EVENTS", 1)
    await save(world)
    assert "at most 1" in (await save(world, {**ANY_PURCHASE, "name": "w"}, status=409))["detail"]
    assert len((await world.get(url(world)))["virtual_events"]) == 1
