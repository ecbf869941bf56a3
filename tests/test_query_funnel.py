"""funnel through the API: steps, groups and people. tests/test_truth_queries.py checks it at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World, keys_of

OCTOBER = {"from": "2026-10-01", "to": "2026-10-31"}
STEPS = [{"event": "register"}, {"event": "bind_card"}, {"event": "buy"}]


def at(minutes: float, day: int = 1) -> int:
    """Epoch ms, that long after noon of a day of October in Shanghai."""
    return 1_790_827_200_000 + (day - 1) * 86_400_000 + round(minutes * 60_000)


def path(user: str, *events: str, day: int = 1, **properties: Any) -> list[Event]:
    """Those events, a minute apart."""
    return [Event(event, user, at(minute, day), properties) for minute, event in enumerate(events)]


def users_of(steps: list[dict[str, Any]]) -> list[int]:
    return [step["users"] for step in steps]


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("funnel"), tmp_path)) as made:
        yield made


async def test_says_where_users_are_lost_and_how_long_it_takes(world: World) -> None:
    world.put(
        *path("ann", "register", "bind_card", "buy"),
        Event("register", "bob", at(0)),
        Event("bind_card", "bob", at(2)),
        *path("cat", "register"),
        *path("dan", "buy", "bind_card"),
    )
    result = await world.funnel({"range": OCTOBER, "steps": STEPS})
    assert result["steps"] == [
        {
            "label": "register",
            "users": 3,
            "conversion_rate": 1,
            "step_conversion_rate": 1,
            "dropped": 0,
            "average_seconds": None,
            "median_seconds": None,
        },
        {
            "label": "bind_card",
            "users": 2,
            "conversion_rate": Decimal("0.6666666666666666"),
            "step_conversion_rate": Decimal("0.6666666666666666"),
            "dropped": 1,
            "average_seconds": 90,
            "median_seconds": 90,
        },
        {
            "label": "buy",
            "users": 1,
            "conversion_rate": Decimal("0.3333333333333333"),
            "step_conversion_rate": Decimal("0.5"),
            "dropped": 1,
            "average_seconds": 60,
            "median_seconds": 60,
        },
    ]
    assert result["groups"] == result["trend"] == result["histogram"] == result["correlate"] == []


async def test_is_all_zeros_over_nobody(world: World) -> None:
    result = await world.funnel({"range": OCTOBER, "steps": STEPS, "breakdown": ["channel"]})
    assert users_of(result["steps"]) == [0, 0, 0]
    assert [step["conversion_rate"] for step in result["steps"]] == [0, 0, 0]
    assert result["groups"] == []


@pytest.mark.parametrize(("late", "bought"), [(0, 1), (1, 0)])
async def test_the_window_includes_its_end(world: World, late: int, bought: int) -> None:
    world.put(Event("register", "ann", at(0)), Event("buy", "ann", at(60) + late))
    body = {"range": OCTOBER, "steps": [STEPS[0], STEPS[2]], "window": {"value": 3600, "unit": "second"}}
    assert users_of((await world.funnel(body))["steps"]) == [1, bought]


async def test_later_steps_may_follow_after_the_range_if_asked(world: World) -> None:
    world.put(
        Event("register", "ann", at(0, day=31)),
        Event("buy", "ann", at(0, day=32)),
        Event("register", "bob", at(0, day=32)),
    )
    body = {"range": OCTOBER, "steps": [STEPS[0], STEPS[2]]}
    assert users_of((await world.funnel(body))["steps"]) == [1, 0]
    assert users_of((await world.funnel({**body, "complete_after_range": True}))["steps"]) == [1, 1]


async def test_a_window_may_reach_beyond_all_times(world: World) -> None:
    world.put(*path("ann", "register", "buy"))
    body = {"range": {"from": "1901-01-01", "to": "2298-12-31"}, "steps": [STEPS[0], STEPS[2]]}
    more = {
        "window": {"value": 520, "unit": "week"},
        "complete_after_range": True,
        "trend": {"interval": "year"},
    }
    assert users_of((await world.funnel({**body, **more}))["steps"]) == [1, 1]


async def test_follows_a_person_over_a_merge(world: World) -> None:
    world.put(*path("device", "register", "bind_card"), Event("buy", "ann", at(5)))
    body = {"range": OCTOBER, "steps": STEPS}
    assert users_of((await world.funnel(body))["steps"]) == [1, 1, 0]
    world.bind({"device": "ann"})
    assert users_of((await world.funnel({**body, "refresh": True}))["steps"]) == [1, 1, 1]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 2}})
    assert people["users"][0]["user_id"] == "ann"
    assert people["users"][0]["distinct_ids"] == ["ann", "device"]
    assert people["total"] == 1


async def test_nobody_is_no_actor(world: World) -> None:
    world.put(*path("guest", "register", "bind_card", "buy"))
    assert users_of((await world.funnel({"range": OCTOBER, "steps": STEPS}))["steps"]) == [0, 0, 0]


async def test_conditions_and_any_event_may_be_steps(world: World) -> None:
    world.put(
        *path("ann", "register", "view", "buy", channel="a"),
        *path("bob", "register", "buy", channel="b"),
        Event("$SignUp", "cat", at(0), type="track_signup"),
    )
    of_a = [{"property": "channel", "op": "eq", "value": "a"}]
    steps = [{"event": None, "where": of_a}, {"event": ["view", "nothing"]}, {"event": None}]
    assert users_of((await world.funnel({"range": OCTOBER, "steps": steps}))["steps"]) == [1, 1, 1]


@pytest.mark.parametrize(
    ("breakdown", "expected"),
    [
        (["channel"], {("a",): [2, 1], ("b",): [1, 1], (None,): [1, 0]}),
        (
            {"properties": ["channel"], "attribution": "last_touch"},
            {("b",): [2, 2], ("a",): [1, 0], (None,): [1, 0]},
        ),
        ({"properties": ["channel"], "attribution": "step", "step": 1}, {("b",): [1, 1], ("",): [1, 1]}),
        ({"properties": ["channel"], "attribution": "all_steps"}, {("a",): [2, 0], ("b",): [1, 1]}),
        ({"properties": ["age"], "of": "user"}, {(None,): [2, 0], (30,): [1, 1], (7,): [1, 1]}),
        (
            ["channel", {"property": "age", "of": "user"}],
            {("a", None): [1, 0], ("a", 7): [1, 1], ("b", 30): [1, 1], (None, None): [1, 0]},
        ),
    ],
    ids=["first_touch", "last_touch", "step", "all_steps", "of user", "mixed"],
)
async def test_groups_by(world: World, breakdown: Any, expected: dict[tuple[Any, ...], list[int]]) -> None:
    world.put(
        Event("register", "ann", at(0), {"channel": "a"}),
        Event("bind_card", "ann", at(1), {"channel": "b"}),
        Event("buy", "ann", at(2), {"channel": "c"}),
        Event("register", "bob", at(0), {"channel": "b"}),
        Event("bind_card", "bob", at(1), {"channel": "b"}),
        Event("bind_card", "bob", at(2), {"channel": ""}),
        Event("register", "cat", at(0), {"channel": "a"}),
        Event("register", "dan", at(0)),
    )
    world.put_profiles({"ann": {"age": 7}, "bob": {"age": 30}})
    if isinstance(breakdown, dict) and breakdown.get("attribution") == "step":
        world.put(Event("register", "eve", at(0)), Event("bind_card", "eve", at(1), {"channel": ""}))
        expected = {("b",): [2, 2], ("",): [1, 1]}
    result = await world.funnel({"range": OCTOBER, "steps": STEPS[:2], "breakdown": breakdown})
    assert {tuple(group["key"]): users_of(group["steps"]) for group in result["groups"]} == expected
    for group in result["groups"]:
        for step, users in enumerate(users_of(group["steps"])):
            cell = {"step": step, "key": group["key"]}
            body = {"range": OCTOBER, "steps": STEPS[:2], "breakdown": breakdown, "cell": cell}
            people = await world.post("/api/v1/query/funnel/users", body)
            assert (people["total"], len(people["users"])) == (users, users)


async def test_the_rest_is_one_group(world: World) -> None:
    for index, channel in enumerate("aaabbcd"):
        world.put(*path(f"u{index}", "register", "bind_card", channel=channel))
    body = {"range": OCTOBER, "steps": STEPS, "breakdown": ["channel"], "breakdown_limit": 2}
    result = await world.funnel(body)
    assert keys_of(result["groups"]) == [["a"], ["b"], ["$other"]]
    assert users_of(result["groups"][2]["steps"]) == [2, 2, 0]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 0, "key": ["$other"]}})
    assert sorted(user["user_id"] for user in people["users"]) == ["u5", "u6"]


async def test_pages_through_those_who_dropped(world: World) -> None:
    for index in range(7):
        world.put(*path(f"u{index}", "register", *["bind_card"][: index % 2]))
    body = {"range": OCTOBER, "steps": STEPS, "cell": {"step": 1, "outcome": "dropped"}, "limit": 3}
    found, cursor = [], None
    for _ in range(5):
        page = await world.post("/api/v1/query/funnel/users", {**body, "cursor": cursor})
        assert page["total"] == 4
        found += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == ["u0", "u2", "u4", "u6"]


async def test_counts_accounts_instead_of_persons(world: World) -> None:
    world.put(
        *path("ann", "register", account_id="1"),
        Event("bind_card", "bob", at(5), {"account_id": "1"}),
        *path("cat", "register", "bind_card"),
    )
    body = {"range": OCTOBER, "steps": STEPS[:2], "actor": {"property": "account_id"}}
    assert users_of((await world.funnel(body))["steps"]) == [1, 1]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 1}})
    assert sorted(user["user_id"] for user in people["users"]) == ["ann", "bob"]


async def test_takes_only_a_first_occurrence_in_all_history(world: World) -> None:
    world.put(
        Event("register", "ann", at(0, day=-5)),
        Event("register", "ann", at(0), {"channel": "a"}),
        Event("register", "bob", at(0), {"channel": "a"}),
    )
    of_a = [{"property": "channel", "op": "eq", "value": "a"}]
    for occurrence, users in (("any", 2), ("first_ever", 1), ("first_matching", 2)):
        step = {"event": "register", "where": of_a, "occurrence": occurrence}
        assert users_of((await world.funnel({"range": OCTOBER, "steps": [step]}))["steps"]) == [users]


async def test_a_sample_scales_counts_and_keeps_funnels_whole(world: World) -> None:
    for index in range(200):
        world.put(*path(f"u{index}", "register", "bind_card", "buy"))
    body = {"range": OCTOBER, "steps": STEPS, "sample": 0.5}
    answer = await world.post("/api/v1/query/funnel", body)
    assert answer["meta"]["sample"] == Decimal("0.5")
    users = users_of(answer["result"]["steps"])
    assert users[0] == users[1] == users[2]
    assert users[0] % 2 == 0
    assert 120 < users[0] < 280
    refused = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 0}}, status=422)
    assert refused["field"] == "sample"


async def test_compares_with_the_week_before(world: World) -> None:
    world.put(
        *path("ann", "register", day=8), *path("bob", "register", day=1), *path("cat", "register", day=1)
    )
    body = {
        "range": {"from": "2026-10-08", "to": "2026-10-14"},
        "steps": STEPS[:1],
        "compare": {"shift": {"value": 1, "unit": "week"}},
    }
    answer = await world.post("/api/v1/query/funnel", body)
    assert users_of(answer["result"]["steps"]) == [1]
    assert users_of(answer["comparison"]["steps"]) == [2]


async def test_times_are_those_of_the_latest_entry_that_converts_first(world: World) -> None:
    world.put(Event("a", "ann", at(1)), Event("a", "ann", at(35)), Event("b", "ann", at(41)))
    result = await world.funnel({"range": OCTOBER, "steps": [{"event": "a"}, {"event": "b"}]})
    assert result["steps"][1]["median_seconds"] == 360


async def test_strict_order_allows_repeats_and_nothing_else_between(world: World) -> None:
    world.put(
        *path("ann", "register", "register", "bind_card"),
        *path("bob", "register", "view", "bind_card"),
        Event("register", "cat", at(0)),
        Event("$SignUp", "cat", at(1), type="track_signup"),
        Event("bind_card", "cat", at(2)),
    )
    body = {"range": OCTOBER, "steps": STEPS[:2], "order": "strict"}
    assert users_of((await world.funnel(body))["steps"]) == [3, 2]
    no_views = [{"property": "event", "op": "ne", "value": "view"}]
    assert users_of((await world.funnel({**body, "where": no_views}))["steps"]) == [3, 3]


async def test_any_order_counts_distinct_steps_within_a_window(world: World) -> None:
    world.put(*path("ann", "buy", "register"), *path("bob", "bind_card"), *path("cat", "buy", "buy"))
    body = {"range": OCTOBER, "steps": STEPS, "order": "any"}
    assert users_of((await world.funnel(body))["steps"]) == [3, 1, 0]


async def test_an_excluded_event_voids_the_attempt_it_falls_in(world: World) -> None:
    world.put(
        *path("ann", "register", "view", "buy"),
        *path("bob", "register", "buy"),
        *path("cat", "register", "view", "register", "buy"),
        *path("dan", "register", "view"),
    )
    steps = [STEPS[0], STEPS[2]]
    body = {"range": OCTOBER, "steps": steps, "exclude": [{"event": "view"}]}
    assert users_of((await world.funnel(body))["steps"]) == [2, 2]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 1}})
    assert sorted(user["user_id"] for user in people["users"]) == ["bob", "cat"]
    problem = await world.post(
        "/api/v1/query/funnel", {**body, "exclude": [{"event": "view", "to_step": 2}]}, status=422
    )
    assert problem["field"] == "exclude[0].to_step"


async def test_a_trend_counts_an_actor_once_a_bucket(world: World) -> None:
    world.put(
        *path("ann", "register", "register", "buy"),
        *path("ann", "register", day=2),
        *path("bob", "register", day=1),
        Event("buy", "bob", at(0, day=2)),
        *path("cat", "register", "buy", day=3, channel="a"),
    )
    body = {
        "range": {"from": "2026-10-01", "to": "2026-10-04"},
        "steps": [STEPS[0], STEPS[2]],
        "window": {"value": 2, "unit": "hour"},
        "trend": {"interval": "day"},
        "breakdown": ["channel"],
    }
    result = await world.funnel(body)
    assert [(one["bucket"], one["entered"], one["converted"], one["rate"]) for one in result["trend"]] == [
        ("2026-10-01", 2, 1, Decimal("0.5")),
        ("2026-10-02", 1, 0, 0),
        ("2026-10-03", 1, 1, 1),
        ("2026-10-04", 0, 0, 0),
    ]
    assert not any(one["partial"] for one in result["trend"])
    of_a = next(group for group in result["groups"] if group["key"] == ["a"])
    assert [one["entered"] for one in of_a["trend"]] == [0, 0, 1, 0]
    for cell, users in (
        ({"step": 0}, ["ann", "bob"]),
        ({"step": 1}, ["ann"]),
        ({"step": 1, "outcome": "dropped"}, ["bob"]),
        ({"step": 0, "key": ["a"]}, []),
    ):
        asked = {**body, "cell": {**cell, "bucket": "2026-10-01"}}
        people = await world.post("/api/v1/query/funnel/users", asked)
        assert sorted(user["user_id"] for user in people["users"]) == users
    await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 0, "bucket": "x"}}, status=422)


async def test_a_bucket_is_partial_while_a_window_in_it_is_open(world: World) -> None:
    body = {
        "range": {"last": {"value": 2, "unit": "day"}},
        "steps": [STEPS[0], STEPS[2]],
        "window": {"value": 1, "unit": "hour"},
        "trend": {"interval": "day"},
        "complete_after_range": True,
    }
    assert [one["partial"] for one in (await world.funnel(body))["trend"]] == [False, True]
    body["window"] = {"value": 1, "unit": "day"}
    assert [one["partial"] for one in (await world.funnel(body))["trend"]] == [True, True]


async def test_a_kept_answer_ends_when_a_bucket_is_partial_no_longer(world: World) -> None:
    body = {
        "range": {"from": "2026-11-01", "to": "2026-11-30T00:53:24Z"},
        "steps": [STEPS[0], STEPS[2]],
        "window": {"value": 1, "unit": "second"},
        "trend": {"interval": "year"},
        "compare": {"shift": {"value": 1, "unit": "week"}},
    }

    async def ask() -> tuple[bool, bool]:
        answer = await world.post("/api/v1/query/funnel", body)
        return answer["result"]["trend"][0]["partial"], answer["meta"]["cached"]

    begin = world.now
    assert [await ask(), await ask()] == [(True, False), (True, True)]
    world.now = begin + 3_999
    assert await ask() == (True, True)
    world.now = begin + 4_000
    assert [await ask(), await ask()] == [(False, False), (False, True)]


async def test_users_who_never_reach_the_step_are_in_no_group(world: World) -> None:
    for index in range(4):
        world.put(*path(f"u{index}", "register", *["bind_card"][: index % 2]))
    world.put_profiles({"u1": {"city": "SH"}, "u2": {"city": "SH"}})
    breakdown = {"properties": ["city"], "of": "user", "attribution": "step", "step": 1}
    result = await world.funnel({"range": OCTOBER, "steps": STEPS[:2], "breakdown": breakdown})
    assert users_of(result["steps"]) == [4, 2]
    groups = {tuple(group["key"]): users_of(group["steps"]) for group in result["groups"]}
    assert groups == {(None,): [1, 1], ("SH",): [1, 1]}


async def test_a_profile_without_the_value_and_no_profile_are_one_group(world: World) -> None:
    world.put(*path("ann", "register", "bind_card"), *path("bob", "register"), *path("cat", "register"))
    world.put_profiles({"ann": {"age": 7}, "cat": {"city": "SH"}})
    breakdown = {"properties": ["city"], "of": "user"}
    result = await world.funnel({"range": OCTOBER, "steps": STEPS[:2], "breakdown": breakdown})
    groups = [(group["key"], users_of(group["steps"])) for group in result["groups"]]
    assert groups == [([None], [2, 1]), (["SH"], [1, 0])]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_a_value_called_other_counts_with_the_rest(world: World, limit: int) -> None:
    channels = ["$other", "$other", "$other", "a", "a", "b"]
    for index, channel in enumerate(channels):
        world.put(*path(f"u{index}", "register", "bind_card", channel=channel))
    body = {"range": OCTOBER, "steps": STEPS[:2], "breakdown": ["channel"], "breakdown_limit": limit}
    expected = {
        1: [(["$other"], 6)],
        2: [(["a"], 2), (["$other"], 4)],
        3: [(["$other"], 3), (["a"], 2), (["b"], 1)],
    }[min(limit, 3)]
    groups = (await world.funnel(body))["groups"]
    assert [(group["key"], group["steps"][0]["users"]) for group in groups] == expected
    for key, users in expected:
        people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 0, "key": key}})
        assert (people["total"], len(people["users"])) == (users, users)
    series = [{"event": "register", "measure": "users"}]
    asked = {"range": OCTOBER, "series": series, "breakdown": ["channel"], "breakdown_limit": limit}
    assert [(one["key"], one["total"]) for one in (await world.trends(asked))["series"]] == expected
    for key, users in expected:
        people = await world.post("/api/v1/query/trends/users", {**asked, "cell": {"key": key}})
        assert people["total"] == users


async def test_a_histogram_of_times_has_whole_second_bars(world: World) -> None:
    for index, seconds in enumerate((60.5, 61, 70, 80.5)):
        user = f"u{index}"
        world.put(Event("register", user, at(0)), Event("buy", user, at(seconds / 60)))
    body = {"range": OCTOBER, "steps": [STEPS[0], STEPS[2]], "histogram": {}}
    result = await world.funnel(body)
    assert result["histogram"] == [
        {"from_seconds": 60, "users": 2},
        {"from_seconds": 70, "users": 1},
        {"from_seconds": 80, "users": 1},
    ]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"histogram": 60}})
    assert sorted(user["user_id"] for user in people["users"]) == ["u0", "u1"]
    result = await world.funnel({**body, "histogram": {"bins": 1}, "breakdown": ["channel"]})
    assert (
        result["groups"][0]["histogram"]
        == result["histogram"]
        == [
            {"from_seconds": 60, "users": 3},
            {"from_seconds": 80, "users": 1},
        ]
    )


async def test_many_values_are_grouped_as_few_are(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(6):
        world.put(*path(f"u{index}", "register", "bind_card", order_id=f"o{index // 2}"))
    body = {"range": OCTOBER, "steps": STEPS[:2], "breakdown": ["order_id"]}
    few = await world.funnel(body)
    monkeypatch.setattr("query_api.analyses.breakdown_values.MAX_LISTED", 2)
    many = await world.funnel({**body, "refresh": True})
    assert keys_of(many["groups"]) == [["o0"], ["o1"], ["o2"]]
    assert many == few
