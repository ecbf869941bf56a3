"""trends through the API: what is counted, in which bucket, for which group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World, keys_of

OCTOBER = {"from": "2026-10-01", "to": "2026-10-03"}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("trends"), tmp_path)) as made:
        yield made


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
    assert [(one["key"], one["total"]) for one in result["series"]] == [
        (["a"], 3),
        (["b"], 2),
        (["c"], 2),
        ([None], 1),
    ]
    result = await world.trends({**body, "breakdown_limit": 2})
    assert [(one["key"], one["total"]) for one in result["series"]] == [
        (["a"], 3),
        (["b"], 2),
        (["$other"], 2),
    ]


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


async def test_breaks_ties_of_size_by_the_typed_key(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    ages = [10, 9, None, 1.5, "old"]
    world.put(
        *[Event("buy", f"u{i}", day, {} if age is None else {"age": age}) for i, age in enumerate(ages)]
    )
    body = {"range": OCTOBER, "series": [{"event": "buy"}], "breakdown": ["age"], "interval": "total"}
    result = await world.trends(body)
    assert keys_of(result["series"]) == [[None], [Decimal("1.5")], [9], [10], ["old"]]
    result = await world.trends({**body, "breakdown_limit": 3})
    assert keys_of(result["series"]) == [[None], [Decimal("1.5")], [9], ["$other"]]
    funnel = await world.funnel(
        {"range": OCTOBER, "steps": [{"event": "buy"}], "breakdown": ["age"], "breakdown_limit": 3}
    )
    assert keys_of(funnel["groups"]) == [[None], [Decimal("1.5")], [9], ["$other"]]


async def test_a_group_without_numbers_ranks_as_zero(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(
        Event("buy", "ann", day, {"channel": "a", "amount": Decimal("-5.5")}),
        Event("buy", "ann", day, {"channel": "b"}),
        Event("buy", "ann", day, {"channel": "c", "amount": Decimal("0.1")}),
    )
    series = [{"event": "buy", "measure": {"sum": "amount"}}]
    result = await world.trends({"range": OCTOBER, "series": series, "breakdown": ["channel"]})
    assert [(one["key"], one["total"]) for one in result["series"]] == [
        (["c"], Decimal("0.1")),
        (["b"], 0),
        (["a"], Decimal("-5.5")),
    ]


@pytest.mark.parametrize(
    ("interval", "buckets"),
    [
        ("week", ["2026-09-28"]),
        ("month", ["2026-10-01"]),
        ("quarter", ["2026-10-01"]),
        ("year", ["2026-01-01"]),
        ("total", ["2026-10-01"]),
    ],
)
async def test_names_a_bucket_by_the_date_at_which_it_begins(
    world: World, interval: str, buckets: list[str]
) -> None:
    world.put(
        Event("buy", "ann", "2026-09-30T10:00:00+08:00"),
        Event("buy", "ann", "2026-10-02T10:00:00+08:00"),
    )
    result = await world.trends({"range": OCTOBER, "interval": interval, "series": [{"event": "buy"}]})
    assert result["buckets"] == buckets
    assert result["series"][0]["values"] == [1]


async def test_an_hour_that_comes_twice_is_two_buckets(world: World) -> None:
    world.put(
        Event("buy", "ann", "2026-11-01T01:30:00-04:00"),
        Event("buy", "ann", "2026-11-01T01:30:00-05:00"),
        Event("buy", "ann", "2026-11-01T23:59:59-05:00"),
    )
    body = {
        "range": {"from": "2026-11-01", "to": "2026-11-01"},
        "interval": "hour",
        "timezone": "America/New_York",
        "series": [{"event": "buy"}],
    }
    result = await world.trends(body)
    assert len(result["buckets"]) == 25
    assert result["buckets"][1:3] == ["2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00"]
    assert [index for index, value in enumerate(result["series"][0]["values"]) if value] == [1, 2, 24]
    result = await world.trends({**body, "interval": "day"})
    assert result["series"][0]["values"] == [3]


async def test_instants_cut_the_first_and_last_bucket(world: World) -> None:
    world.put(
        Event("buy", "ann", "2026-10-01T07:59:59+08:00"),
        Event("buy", "ann", "2026-10-01T08:00:00+08:00"),
        Event("buy", "ann", "2026-10-02T08:00:00+08:00"),
    )
    day = {"from": "2026-10-01T08:00:00+08:00", "to": "2026-10-02T08:00:00+08:00"}
    result = await world.trends({"range": day, "series": [{"event": "buy"}]})
    assert result == {
        "buckets": ["2026-10-01", "2026-10-02"],
        "series": [{"label": "buy", "key": [], "values": [1, 0], "total": 1}],
    }


async def test_the_last_days_end_with_today_up_to_now(world: World) -> None:
    world.put(
        Event("buy", "ann", world.now),
        Event("buy", "ann", world.now + 1),
        Event("buy", "bob", world.now - 86_400_000),
        Event("buy", "bob", world.now - 3 * 86_400_000),
    )
    result = await world.trends(
        {"range": {"last": {"value": 2, "unit": "day"}}, "series": [{"event": "buy"}]}
    )
    assert result["buckets"] == ["2026-11-29", "2026-11-30"]
    assert result["series"][0]["values"] == [1, 1]


async def test_a_trailing_window_counts_the_days_before_too(world: World) -> None:
    for day, user in ((28, "ann"), (29, "bob"), (30, "ann")):
        world.put(Event("buy", user, f"2026-09-{day}T10:00:00+08:00"))
    world.put(Event("buy", "cat", "2026-10-02T10:00:00+08:00"))
    body = {"range": OCTOBER, "series": [{"event": "buy", "measure": "users"}], "trailing": 3}
    result = await world.trends(body)
    assert result["series"][0] == {"label": "buy", "key": [], "values": [2, 2, 1], "total": 1}
    people = await world.post(
        "/api/v1/query/trends/users", {**body, "cell": {"series": 0, "bucket": "2026-10-02"}}
    )
    assert sorted(user["user_id"] for user in people["users"]) == ["ann", "cat"]
    result = await world.trends({**body, "interval": "total", "trailing": 4})
    assert result["series"][0]["values"] == [2]


@pytest.mark.parametrize(
    "more",
    [
        {"range": {"from": "1901-01-01", "to": "2298-12-31"}, "interval": "year", "trailing": 366},
        {"range": {"from": "1901-01-01", "to": "2298-12-31"}, "interval": "week", "week_start": "sunday"},
        {"range": {"last": {"value": 100_000, "unit": "minute"}}},
        {"range": {"last": {"value": 100, "unit": "year"}}, "interval": "total", "trailing": 7},
        {
            "range": {"last": {"value": 3, "unit": "quarter"}},
            "compare": {"range": {"last": {"value": 1, "unit": "hour"}}},
        },
    ],
)
async def test_extreme_ranges_are_answered(world: World, more: dict[str, Any]) -> None:
    world.put(Event("buy", "ann", world.now))
    measures = ["users", {"sum": "event"}, {"max": "distinct_id"}, {"distinct": "event"}]
    result = await world.trends({"series": [{"event": "buy", "measure": m} for m in measures], **more})
    assert [one["total"] for one in result["series"]] == [1, 0, 0, 1]


async def test_formulas_divide_to_null_by_zero(world: World) -> None:
    world.put(
        Event("view", "ann", "2026-10-01T10:00:00+08:00"),
        Event("view", "bob", "2026-10-01T10:00:00+08:00"),
        Event("view", "bob", "2026-10-01T10:00:00+08:00"),
        Event("buy", "bob", "2026-10-01T10:00:00+08:00"),
    )
    body = {
        "range": OCTOBER,
        "series": [{"event": "buy"}, {"event": "view"}],
        "formula": "1 - A / (A + B) * 2",
    }
    result = await world.trends(body)
    assert result["series"] == [
        {
            "label": "1 - A / (A + B) * 2",
            "key": [],
            "values": [Decimal("0.5"), None, None],
            "total": Decimal("0.5"),
        }
    ]


async def test_events_of_nobody_count_as_events_only(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(Event("buy", "guest", day), Event("buy", "null", day), Event("buy", "ann", day))
    series = [{"event": "buy", "measure": name} for name in ("events", "users", "events_per_user")]
    result = await world.trends({"range": OCTOBER, "interval": "total", "series": series})
    assert [one["total"] for one in result["series"]] == [3, 1, 1]


async def test_any_event_leaves_identity_records_out(world: World) -> None:
    day = "2026-10-01T10:00:00+08:00"
    world.put(Event("buy", "ann", day), Event("$SignUp", "ann", day, type="track_signup"))
    series = [{"event": None}, {"event": "$SignUp"}, {"event": ["buy", "$SignUp"]}]
    result = await world.trends({"range": OCTOBER, "interval": "total", "series": series})
    assert [one["total"] for one in result["series"]] == [1, 1, 2]


async def test_sums_do_not_depend_on_the_order_of_events(world: World) -> None:
    values = [0.1, 1e16, -1e16, 0.2, 0.3]
    for order, name in ((values, "one"), (values[::-1], "two")):
        world.put(*[Event(name, "ann", "2026-10-01T10:00:00+08:00", {"points": v}) for v in order])
    series = [{"event": name, "measure": {"sum": "points"}} for name in ("one", "two")]
    result = await world.trends({"range": OCTOBER, "interval": "total", "series": series})
    assert [one["total"] for one in result["series"]] == [Decimal("0.6"), Decimal("0.6")]


async def test_a_number_too_large_to_be_exact_makes_the_sum_a_double(world: World) -> None:
    world.put(*[Event("buy", "ann", "2026-10-01T10:00:00+08:00", {"points": v}) for v in (1e300, 2e300)])
    series = [{"event": "buy", "measure": {name: "points"}} for name in ("sum", "max", "average", "median")]
    result = await world.trends({"range": OCTOBER, "interval": "total", "series": series})
    assert [float(one["total"]) for one in result["series"]] == [3e300, 2e300, 1.5e300, 1.5e300]


async def test_an_answer_comes_from_the_cache_until_something_is_processed(world: World) -> None:
    body = {"range": OCTOBER, "series": [{"event": "buy"}]}
    first = await world.post("/api/v1/query/trends", body)
    world.put(Event("buy", "ann", "2026-10-01T10:00:00+08:00"), committed=False)
    second = await world.post("/api/v1/query/trends", body)
    assert (first["meta"]["cached"], second["meta"]["cached"]) == (False, True)
    assert second["result"] == first["result"]
    for more in ({"refresh": True}, {"timezone": "Asia/Tokyo"}):
        fresh = await world.post("/api/v1/query/trends", {**body, **more})
        assert (fresh["meta"]["cached"], fresh["result"]["series"][0]["total"]) == (False, 1)
    world.put(Event("buy", "ann", "2026-10-01T10:00:00+08:00"))
    third = await world.post("/api/v1/query/trends", body)
    assert (third["meta"]["cached"], third["result"]["series"][0]["total"]) == (False, 2)


async def test_says_what_an_answer_took_and_how_fresh_it_is(world: World) -> None:
    world.put(Event("buy", "ann", "2026-10-01T10:00:00+08:00"))
    meta = (await world.post("/api/v1/query/trends", {"range": OCTOBER, "series": [{"event": "buy"}]}))[
        "meta"
    ]
    assert meta["rows_read"] > 0
    assert meta["bytes_read"] > 0
    assert meta["elapsed_ms"] > 0
    assert meta["data_until"] == "2026-11-30T00:53:20.000Z"
    assert (meta["timezone"], meta["sample"], meta["warnings"]) == ("Asia/Shanghai", None, [])
