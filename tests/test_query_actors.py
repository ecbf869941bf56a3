"""What is counted: users, sessions, or the values of a property."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World

DAY = {"from": "2026-10-01", "to": "2026-10-01"}


def at(clock: str) -> str:
    return f"2026-10-01T{clock}+08:00"


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("actors"), tmp_path)) as made:
        yield made


async def count(world: World, **body: Any) -> Any:
    series = [{"event": "look", "measure": "users"}]
    result = await world.trends({"range": DAY, "series": series, "actor": "session", **body})
    return result["series"][0]


async def test_a_gap_of_thirty_minutes_begins_a_session(world: World) -> None:
    world.put(
        Event("look", "ann", at("10:00:00.000")),
        Event("look", "ann", at("10:29:59.999")),
        Event("look", "ann", at("10:59:59.999")),
        Event("look", "bob", at("10:00:00.000")),
    )
    assert (await count(world))["total"] == 3


async def test_all_track_events_hold_a_session_together_before_any_condition(world: World) -> None:
    world.put(
        Event("look", "ann", at("10:00:00")),
        Event("scroll", "ann", at("10:20:00"), {"hidden": True}),
        Event("look", "ann", at("10:40:00")),
        Event("$SignUp", "ann", at("11:00:00"), type="track_signup"),
        Event("look", "ann", at("11:20:00")),  # a sign-up holds nothing together
    )
    assert (await count(world))["total"] == 2
    unhidden = [{"property": "hidden", "op": "is_not_set"}]
    assert (await count(world, where=unhidden))["total"] == 2


async def test_a_session_over_midnight_counts_on_both_days_and_once_in_all(world: World) -> None:
    world.put(
        Event("look", "ann", "2026-10-01T23:50:00+08:00"),
        Event("look", "ann", "2026-10-02T00:10:00+08:00"),
    )
    found = await count(world, range={"from": "2026-10-01", "to": "2026-10-02"})
    assert (found["values"], found["total"]) == ([1, 1], 1)


async def test_sessions_follow_merges_and_nobody_has_none(world: World) -> None:
    world.put(
        Event("look", "device", at("10:00:00")),
        Event("look", "ann", at("10:10:00")),
        Event("look", "guest", at("10:00:00")),
    )
    assert (await count(world))["total"] == 2
    world.bind({"device": "ann"})
    assert (await count(world))["total"] == 1
    events = [{"event": "look", "measure": "events"}]
    assert (await count(world, series=events))["total"] == 3


async def test_a_named_sign_up_is_in_the_session_it_falls_in(world: World) -> None:
    world.put(
        Event("$SignUp", "ann", at("09:00:00"), type="track_signup"),
        Event("look", "ann", at("10:00:00")),
        Event("$SignUp", "ann", at("10:10:00"), type="track_signup"),
        Event("$SignUp", "ann", at("10:30:00"), type="track_signup"),
    )
    series = [{"event": "$SignUp", "measure": "users"}, {"event": ["$SignUp", "look"], "measure": "users"}]
    result = await world.trends({"range": DAY, "series": series, "actor": "session"})
    assert [one["total"] for one in result["series"]] == [1, 1]


async def test_a_funnel_of_sessions_converts_within_one(world: World) -> None:
    world.put(
        Event("look", "ann", at("10:00:00")),
        Event("buy", "ann", at("10:20:00")),
        Event("look", "bob", at("10:00:00")),
        Event("buy", "bob", at("10:40:00")),
    )
    body = {"range": DAY, "steps": [{"event": "look"}, {"event": "buy"}], "actor": "session"}
    assert [step["users"] for step in (await world.funnel(body))["steps"]] == [2, 1]
    people = await world.post("/api/v1/query/funnel/users", {**body, "cell": {"step": 1}})
    assert [user["user_id"] for user in people["users"]] == ["ann"]
    everybody = {**body, "actor": "user"}
    assert [step["users"] for step in (await world.funnel(everybody))["steps"]] == [2, 2]


@pytest.mark.parametrize("order", ["strict", "any"])
async def test_sessions_in_every_order_and_with_occurrences(world: World, order: str) -> None:
    world.put(
        Event("look", "ann", "2026-09-30T23:50:00+08:00"),
        Event("look", "ann", "2026-10-01T00:10:00+08:00"),
        Event("buy", "ann", "2026-10-01T00:20:00+08:00"),
        Event("look", "ann", "2026-10-01T02:00:00+08:00"),
        Event("buy", "ann", "2026-10-01T02:10:00+08:00"),
    )
    body = {"range": DAY, "actor": "session", "order": order}
    steps = [{"event": "look"}, {"event": "buy"}]
    assert [s["users"] for s in (await world.funnel({**body, "steps": steps}))["steps"]] == [2, 2]
    # the first session's first look was before the range
    first = [{"event": "look", "occurrence": "first_ever"}, {"event": "buy"}]
    counted = [1, 1] if order == "strict" else [2, 1]
    assert [s["users"] for s in (await world.funnel({**body, "steps": first}))["steps"]] == counted


async def test_a_session_id_that_events_carry_is_a_users_own(world: World) -> None:
    world.put(
        Event("look", "ann", at("10:00:00"), {"$event_session_id": "s1"}),
        Event("look", "ann", at("19:00:00"), {"$event_session_id": "s1"}),
        Event("look", "ann", at("10:01:00"), {"$event_session_id": "s2"}),
        Event("look", "bob", at("10:00:00"), {"$event_session_id": "s1"}),
        Event("look", "bob", at("10:00:00")),
    )
    found = await count(world, actor={"session": "$event_session_id"})
    assert found["total"] == 3
    events = [{"event": "look", "measure": "events"}]
    assert (await count(world, series=events, actor={"session": "$event_session_id"}))["total"] == 4


async def test_values_of_a_property_are_counted_and_events_without_it_dropped(world: World) -> None:
    world.put(
        Event("look", "ann", at("10:00:00"), {"account_id": "a"}),
        Event("look", "bob", at("10:00:00"), {"account_id": "a"}),
        Event("look", "bob", at("10:00:00"), {"account_id": "b"}),
        Event("look", "bob", at("10:00:00")),
        Event("look", "guest", at("10:00:00"), {"account_id": "c"}),
    )
    assert (await count(world, actor={"property": "account_id"}))["total"] == 3
    people = await world.post(
        "/api/v1/query/trends/users",
        {
            "range": DAY,
            "series": [{"event": "look", "measure": "users"}],
            "actor": {"property": "account_id"},
            "cell": {"series": 0},
        },
    )
    assert [user["user_id"] for user in people["users"]] == sorted(["ann", "bob"], key=world.key)


@pytest.mark.parametrize(
    "actor",
    ["sesion", {"session": None}, {"session": ""}, {"session": 1}, {}, {"property": "x", "session": "y"}],
)
async def test_other_actors_are_refused(world: World, actor: Any) -> None:
    body = {"series": [{"event": "look"}], "actor": actor}
    assert (await world.post("/api/v1/query/trends", body, status=422))["field"].startswith("actor")


async def test_sampled_sessions_stay_whole(world: World) -> None:
    world.put(
        *(
            Event(name, f"u{n}", at(f"{10 + k}:0{k}:00"))
            for n in range(60)
            for k, name in enumerate(("look", "look", "buy"))
        )
    )
    body = {"range": DAY, "steps": [{"event": "look"}], "actor": "session", "sample": 0.5}
    users = (await world.funnel(body))["steps"][0]["users"]
    assert 60 < users < 180
