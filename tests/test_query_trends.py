"""trends through the API: what is counted, in which bucket, for which group."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World, keys_of

OCTOBER = {"from": "2026-10-01", "to": "2026-10-03"}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> World:
    return World(store, new_name("trends"), tmp_path)


async def test_counts_events_and_users_by_local_day(world: World) -> None:
    world.put(
        Event("buy", "ann", "2026-09-30T15:59:59Z"),
        Event("buy", "ann", "2026-09-30T16:00:00Z"),
        Event("buy", "ann", "2026-10-01T16:00:00Z"),
        Event("buy", "bob", "2026-10-02T10:00:00Z"),
        Event("view", "bob", "2026-10-02T10:00:00Z"),
        Event("buy", "bob", "2026-10-03T15:59:59.999Z"),
        Event("buy", "bob", "2026-10-03T16:00:00Z"),
    )
    result = await world.trends(
        {
            "range": OCTOBER,
            "series": [{"event": "buy"}, {"event": "buy", "measure": "users", "label": "buyers"}],
        }
    )
    assert result == {
        "buckets": ["2026-10-01", "2026-10-02", "2026-10-03"],
        "series": [
            {"label": "buy", "key": [], "values": [1, 2, 1], "total": 4},
            {"label": "buyers", "key": [], "values": [1, 2, 1], "total": 2},
        ],
    }


async def test_measures_money_exactly(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(
        Event("buy", "ann", day, {"amount": Decimal("0.1")}),
        Event("buy", "ann", day, {"amount": Decimal("0.2")}),
        Event("buy", "bob", day, {"amount": Decimal("12345678901234567890.123456")}),
        Event("buy", "bob", day, {}),
    )
    measures = ["sum", "min", "max", "average", "median", "p75", "distinct", "sum_per_user"]
    series = [{"event": "buy", "measure": {name: "amount"}} for name in measures]
    result = await world.trends({"range": OCTOBER, "interval": "total", "series": series})
    big = Decimal("12345678901234567890.123456")
    assert [one["total"] for one in result["series"]] == [
        big + Decimal("0.3"),
        Decimal("0.1"),
        big,
        (big + Decimal("0.3")) / 3,
        Decimal("0.2"),
        (big + Decimal("0.2")) / 2,
        3,
        (big + Decimal("0.3")) / 2,
    ]


async def test_breaks_down_with_the_rest_as_one_group(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(
        *[Event("buy", f"u{i}", day, {"channel": "a"}) for i in range(3)],
        *[Event("buy", f"u{i}", day, {"channel": "b"}) for i in range(2)],
        *[Event("buy", f"u{i}", day, {"channel": "c"}) for i in range(2)],
        Event("buy", "u0", day),
    )
    body = {"range": OCTOBER, "series": [{"event": "buy", "measure": "users"}], "breakdown": ["channel"]}
    result = await world.trends(body)
    assert [(one["key"], one["total"]) for one in result["series"]] == [(["a"], 3), (["b"], 2), (["c"], 2), ([None], 1)]
    result = await world.trends({**body, "breakdown_limit": 2})
    assert [(one["key"], one["total"]) for one in result["series"]] == [(["a"], 3), (["b"], 2), (["$other"], 2)]


async def test_lists_the_people_behind_a_cell(world: World) -> None:
    world.put(
        Event("buy", "ann", "2026-10-01T10:00:00+08:00", {"channel": "a"}),
        Event("buy", "bob", "2026-10-01T10:00:00+08:00", {"channel": "b"}),
        Event("buy", "cat", "2026-10-02T10:00:00+08:00", {"channel": "a"}),
    )
    world.put_profiles({"ann": {"age": 30}})
    body = {
        "range": OCTOBER,
        "series": [{"event": "buy", "measure": "users"}],
        "breakdown": ["channel"],
        "cell": {"series": 0, "bucket": "2026-10-01", "key": ["a"]},
        "properties": ["age"],
    }
    answer = await world.post("/api/v1/query/trends/users", body)
    assert answer["total"] == 1
    assert answer["users"] == [
        {
            "user_id": "ann",
            "distinct_ids": ["ann"],
            "first_time": "2026-10-01T02:00:00.000Z",
            "last_time": "2026-10-01T02:00:00.000Z",
            "properties": {"age": 30},
        }
    ]


async def test_breaks_down_by_a_user_property(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(*[Event("buy", user, day, {"channel": "a"}) for user in ("ann", "bob", "cat")])
    world.put_profiles({"ann": {"age": 30}, "bob": {"age": 30}})
    parts = [{"property": "age", "of": "user"}, "channel"]
    result = await world.trends(
        {"range": OCTOBER, "series": [{"event": "buy", "measure": "users"}], "breakdown": parts}
    )
    assert keys_of(result["series"]) == [[30, "a"], [None, "a"]]
