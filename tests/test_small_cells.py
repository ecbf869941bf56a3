"""Keys with a minimum cell size: what they see of each analysis; no difference isolates one person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from footfall.storage.store import Store
from query_api.openapi import describe
from query_api.small_cells import Cells
from tests.query_world import NOW, Event, World

K = 5
NOON = 1_780_000_000_000
DAY = 86_400_000
RANGE = {"from": "2026-05-01", "to": "2026-07-01"}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    opened = World(store, new_name("cells"), tmp_path)
    yield opened
    opened.close()


def buyers(city: str, count: int, *, amount: float = 10, first: int = 0) -> list[Event]:
    """People of a city who open and then buy, one event each."""
    events = []
    for number in range(first, first + count):
        user, properties = f"{city} {number}", {"city": city, "amount": amount, "number": number}
        events += [
            Event("open", user, NOON, properties),
            Event("buy", user, NOON + 60_000, properties),
        ]
    return events


async def make_key(world: World, **spec: Any) -> dict[str, Any]:
    url = f"/api/v1/projects/{world.project}/keys"
    answer = await world.client.post(url, json={"kind": "secret", **spec})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
async def careful(world: World) -> dict[str, str]:
    """Headers with a key of minimum cell size K."""
    key = (await make_key(world, name="reports", min_cell=K))["key"]
    return {"Authorization": f"Bearer {key}"}


async def ask(world: World, analysis: str, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await world.client.post(
        f"/api/v1/query/{analysis}", json={"project": world.project, "range": RANGE, **body}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def trend(
    world: World, headers: dict[str, str], measure: Any = "users", **body: Any
) -> dict[tuple[str, ...], Any]:
    """`{key: total}`."""
    series = [{"event": "buy", "measure": measure}]
    answer = await ask(world, "trends", headers, series=series, interval="total", **body)
    return {tuple(one["key"]): one["total"] for one in answer["result"]["series"]}


async def test_groups_of_fewer_are_left_out_and_totals_do_not_give_them(
    world: World, careful: dict[str, str]
) -> None:
    world.put(*buyers("Beijing", 12), *buyers("Shanghai", 3))
    assert await trend(world, careful, breakdown=["city"]) == {("Beijing",): 10}
    assert await trend(world, careful) == {(): 15}
    assert await trend(world, {}, breakdown=["city"]) == {("Beijing",): 12, ("Shanghai",): 3}
    answer = await ask(world, "trends", careful, series=[{"event": "buy"}])
    assert answer["meta"]["min_cell"] == K
    assert (answer["meta"]["rows_read"], answer["meta"]["bytes_read"]) == (None, None)
    assert "minimum cell size is 5" in answer["meta"]["warnings"][-1]
    assert answer["result"]["series"][0]["label"] == "buy"
    assert set(answer["result"]["series"][0]["values"]) == {None, 15}


async def test_a_cached_answer_is_not_shown_to_a_key_that_sees_less(
    world: World, careful: dict[str, str]
) -> None:
    world.put(*buyers("Beijing", 7))
    assert await trend(world, {}) == {(): 7}
    assert await trend(world, careful) == {(): 5}
    assert await trend(world, {}) == {(): 7}


async def test_the_rest_group_is_hidden_where_it_is_not_surely_large(
    world: World, careful: dict[str, str]
) -> None:
    world.put(*buyers("a", 6), *buyers("b", 5), *buyers("c", 2), *buyers("d", 1))
    shown = await trend(world, careful, breakdown=["city"], breakdown_limit=2)
    assert shown == {("a",): 5, ("b",): 5}
    world.put(*buyers("e", 3))
    shown = await trend(world, careful, breakdown=["city"], breakdown_limit=2)
    assert shown == {("a",): 5, ("b",): 5, ("$other",): 5}
    # By their sums other groups are the largest: what the rest is of then is not what was counted.
    world.put(*buyers("f", 2, amount=1_000), *buyers("g", 2, amount=2_000))
    shown = await trend(world, careful, {"sum": "amount"}, breakdown=["city"], breakdown_limit=2)
    assert shown == {}


async def test_one_persons_weight_is_lost_in_sums(world: World, careful: dict[str, str]) -> None:
    world.put(*buyers("Beijing", 10, amount=100))
    whole = await trend(world, careful, {"sum": "amount"})
    without = await trend(
        world, careful, {"sum": "amount"}, where=[{"property": "number", "op": "gt", "value": 0}]
    )
    assert whole == {(): 1000}
    assert without == {(): 800}  # on a grid of 200: not 900, which were the one's 100 less
    assert await trend(world, careful, {"average": "amount"}) == {(): 100}


@pytest.mark.parametrize("total", [14, 15, 16, 19, 20])
async def test_no_difference_of_two_questions_is_one_person(
    world: World, careful: dict[str, str], total: int
) -> None:
    world.put(*buyers("Beijing", total))
    everybody_else = [{"property": "number", "op": "ne", "value": 0}]
    only = [{"property": "number", "op": "eq", "value": 0}]
    for measure in ("users", "events"):
        whole = (await trend(world, careful, measure))[()]
        without = (await trend(world, careful, measure, where=everybody_else))[()]
        assert whole - without in (0, K)
        assert (await trend(world, careful, measure, where=only))[()] is None
    steps = [{"event": "open"}, {"event": "buy"}]
    window = {"value": 1, "unit": "day"}
    funnels = [
        (await ask(world, "funnel", careful, steps=steps, window=window, where=where))["result"]["steps"]
        for where in ([], everybody_else)
    ]
    for whole_step, step in zip(*funnels, strict=True):
        assert whole_step["users"] - step["users"] in (0, K)
        assert step["conversion_rate"] == 1
        assert step["dropped"] % K == 0


async def test_a_funnel_hides_steps_groups_and_bars_of_fewer(world: World, careful: dict[str, str]) -> None:
    world.put(*buyers("Beijing", 11), *buyers("Shanghai", 4))
    world.put(*[Event("pay", f"Beijing {n}", NOON + 120_000, {"city": "Beijing"}) for n in range(3)])
    answer = await ask(
        world,
        "funnel",
        careful,
        steps=[{"event": "open"}, {"event": "buy"}, {"event": "pay"}],
        window={"value": 1, "unit": "day"},
        breakdown=["city"],
        trend={"interval": "month"},
        histogram={"from_step": 0, "to_step": 1},
    )
    result = answer["result"]
    assert [step["users"] for step in result["steps"]] == [15, 15, None]
    assert [step["conversion_rate"] for step in result["steps"]] == [1, 1, None]
    assert [step["dropped"] for step in result["steps"]] == [0, 0, None]
    assert [step["median_seconds"] for step in result["steps"]] == [None, 60, None]
    assert [group["key"] for group in result["groups"]] == [["Beijing"]]
    assert [step["users"] for step in result["groups"][0]["steps"]] == [10, 10, None]
    months = [(each["entered"], each["converted"], each["rate"]) for each in result["trend"]]
    assert set(months) == {(None, None, None), (15, None, None)}
    assert {bar["users"] for bar in result["histogram"]} <= {15, None}


async def test_retention_hides_rows_and_cells_of_fewer(world: World, careful: dict[str, str]) -> None:
    back = [Event("open", f"Beijing {n}", NOON + DAY, {"city": "Beijing"}) for n in range(6)]
    late = [Event("open", f"Beijing {n}", NOON + 2 * DAY, {"city": "Beijing"}) for n in range(2)]
    world.put(*buyers("Beijing", 13), *back, *late, *buyers("Shanghai", 2))
    answer = await ask(
        world,
        "retention",
        careful,
        **{"start": {"event": "buy"}, "return": {"event": "open"}, "periods": 2, "breakdown": ["city"]},
    )
    (row,) = [row for row in answer["result"]["rows"] if row["size"] is not None]
    assert (row["size"], row["values"]) == (15, [15, 5, None])
    assert answer["result"]["mean"] == pytest.approx([1, 1 / 3, None])
    (group,) = answer["result"]["groups"]
    assert group["key"] == ["Beijing"]
    assert {row["size"] for row in group["rows"]} == {10, None}


async def test_paths_hide_nodes_and_links_of_fewer(world: World, careful: dict[str, str]) -> None:
    world.put(*buyers("Beijing", 7))
    world.put(*[Event("pay", f"Beijing {n}", NOON + 120_000) for n in range(3)])
    # Many sessions of one person are no many persons.
    world.put(*[Event("help", "Beijing 1", NOON + n * DAY) for n in range(1, 30)])
    result = (await ask(world, "paths", careful))["result"]
    assert {node["id"]: (node["users"], node["sessions"], node["exits"]) for node in result["nodes"]} == {
        "1_open": (5, 5, None),
        "2_buy": (5, 5, None),
    }
    (link,) = result["links"]
    assert (link["source"], link["target"], link["count"], link["users"]) == ("1_open", "2_buy", 5, 5)
    assert (result["sessions"], result["other"]) == (35, None)


async def test_nothing_at_all_is_shown_of_fewer(world: World, careful: dict[str, str]) -> None:
    world.put(*buyers("Beijing", K - 1))
    result = (await ask(world, "paths", careful))["result"]
    assert (result["nodes"], result["links"], result["sessions"]) == ([], [], None)
    assert await trend(world, careful, "events_per_user") == {(): None}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("series[0].measure", {"series": [{"event": "buy", "measure": {"max": "amount"}}]}),
        ("series[0].measure", {"series": [{"event": "buy", "measure": {"median": "amount"}}]}),
        ("formula", {"series": [{"event": "buy"}, {"event": "open"}], "formula": "A/B"}),
        ("sample", {"series": [{"event": "buy"}], "sample": 0.5}),
        ("actor", {"series": [{"event": "buy"}], "actor": "session"}),
    ],
)
async def test_what_is_one_persons_number_is_refused(
    world: World, careful: dict[str, str], field: str, body: dict[str, Any]
) -> None:
    answer = await world.client.post(
        "/api/v1/query/trends", json={"project": world.project, "range": RANGE, **body}, headers=careful
    )
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json()["code"] == "min_cell"


PARTS = (("events", "event"), ("properties", "property"))


async def test_the_catalogue_tells_such_a_key_names_and_no_counts(
    world: World, careful: dict[str, str]
) -> None:
    world.put(*buyers("Xi'an", 1))
    url = f"/api/v1/catalogue?project={world.project}"
    whole = (await world.client.get(url)).json()
    shown = (await world.client.get(url, headers=careful)).json()
    assert [(each["event"], each["count"]) for each in whole["events"]] == [("buy", 1), ("open", 1)]
    names = {part: [(each[one], each["type"]) for each in whole[part]] for part, one in PARTS}
    assert {part: [(each[one], each["type"]) for each in shown[part]] for part, one in PARTS} == names
    for each in shown["events"]:
        assert (each["count"], each["first_seen"], each["last_seen"]) == (None, None, None)
    assert {each["first_seen"] for each in shown["properties"]} == {None}


OPEN_TO_IT = {
    "GET /api/v1/catalogue",
    "GET /api/v1/projects",
    "POST /api/v1/query/{analysis}",
    "POST /api/v1/query/{analysis}/explain",
}


async def test_every_other_route_is_closed_to_such_a_key(world: World, careful: dict[str, str]) -> None:
    """All routes of the document, so that a new one is closed until it hides small cells itself."""
    for path, methods in describe()["paths"].items():
        if not path.startswith("/api/"):
            continue
        parts = path.split("/")
        shown = "/".join(["{analysis}" if parts[i - 1] == "query" else part for i, part in enumerate(parts)])
        url = path.replace("{name}", world.project).replace("{", "").replace("}", "")
        for method in methods:
            answer: httpx.Response = await world.client.request(method.upper(), url, json={}, headers=careful)
            if f"{method.upper()} {shown}" in OPEN_TO_IT:
                assert answer.status_code == 200 or answer.json()["code"] != "min_cell", f"{method} {path}"
            elif answer.status_code != 404 or "there is nothing at" not in answer.text:
                assert (answer.status_code, answer.json()["code"]) == (403, "min_cell"), f"{method} {path}"


async def test_keys_are_listed_revoked_and_end(world: World) -> None:
    made = await make_key(world, name="partner", expires_at="2026-12-24T00:00:00Z")
    url = f"/api/v1/projects/{world.project}/keys"
    listed = (await world.client.get(url)).json()["keys"]
    assert [(key["kind"], key["name"], key["expires_at"]) for key in listed][-1] == (
        "secret",
        "partner",
        "2026-12-24T00:00:00.000Z",
    )
    assert len(listed) == 3
    assert made["key"] not in repr(listed)
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await world.client.get("/api/v1/projects", headers=headers)).status_code == 200
    world.now = 1_798_070_400_000
    assert (await world.client.get("/api/v1/projects", headers=headers)).status_code == 401
    world.now = NOW
    assert (await world.client.delete(f"{url}/{made['fingerprint']}")).json() == {
        "revoked": made["fingerprint"]
    }
    assert (await world.client.get("/api/v1/projects", headers=headers)).status_code == 401
    assert (await world.client.delete(f"{url}/{made['fingerprint']}")).status_code == 404
    assert (await world.client.delete(f"{url}/%25")).status_code == 404


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "root"},
        {"kind": "write", "min_cell": 5},
        {"kind": "secret", "min_cell": 1},
        {"kind": "secret", "min_cell": 1_001},
        {"kind": "secret", "min_cell": True},
        {"kind": "secret", "expires_at": "tomorrow"},
        {"kind": "secret", "expires_at": "2020-01-01"},
        {"kind": "secret", "name": "x" * 101},
        {"kind": "secret", "project": "other"},
    ],
)
async def test_a_key_that_cannot_be_is_refused(world: World, spec: dict[str, Any]) -> None:
    answer = await world.client.post(f"/api/v1/projects/{world.project}/keys", json=spec)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, 0), (1000, 1000), (999, 800), (123456, 100000), (-999, -800), (0.37, 0.3), (4.9, 4), (60.0, 60)],
)
def test_values_are_on_a_grid_of_a_kth(number: float, shown: float) -> None:
    assert Cells(K).value(number) == pytest.approx(shown)
