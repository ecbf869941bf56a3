"""retention through the API, computed by hand. tests/test_truth_retention.py checks it at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Query, Store
from query_api.value_codes import ValueCodes
from tests.query_world import Event, World, keys_of

DAYS = {"from": "2026-10-01", "to": "2026-10-03"}
BODY: dict[str, Any] = {"range": DAYS, "start": {"event": "open"}, "return": {"event": "buy"}, "periods": 3}
HOUR, DAY = 3_600_000, 86_400_000


def at(day: int, hour: float = 12) -> int:
    """Epoch ms of an hour of a day of October in Shanghai."""
    return 1_790_784_000_000 + (day - 1) * DAY + round(hour * HOUR)


def visits(user: str, start: int, *returns: int, **properties: Any) -> list[Event]:
    """An `open` on a day, and a `buy` on others."""
    return [Event("open", user, at(start), properties), *(Event("buy", user, at(day)) for day in returns)]


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("retention"), tmp_path)) as made:
        yield made


async def ask(world: World, **more: Any) -> Any:
    return (await world.post("/api/v1/query/retention", {**BODY, **more}))["result"]


async def people(world: World, bucket: str, period: int, outcome: str = "retained", **more: Any) -> Any:
    cell = {"bucket": bucket, "period": period, "outcome": outcome, "key": more.pop("key", [])}
    found = await world.post("/api/v1/query/retention/users", {**BODY, **more, "cell": cell})
    assert found["total"] == len(found["users"])
    return sorted(user["user_id"] for user in found["users"])


def values_of(result: Any) -> list[list[int]]:
    return [row["values"] for row in result["rows"]]


async def test_says_who_came_back_and_when(world: World) -> None:
    world.put(
        *visits("ann", 1, 1, 2),
        *visits("bob", 1, 4),
        *visits("bob", 2),
        *visits("cat", 3),
        Event("buy", "dan", at(2)),
    )
    result = await ask(world)
    assert result == {
        "rows": [
            {"bucket": "2026-10-01", "size": 2, "values": [2, 1, 0, 1], "partial": False},
            {"bucket": "2026-10-02", "size": 1, "values": [1, 0, 1, 0], "partial": False},
            {"bucket": "2026-10-03", "size": 1, "values": [1, 0, 0, 0], "partial": False},
        ],
        "mean": [1, 0.25, 0.25, 0.25],
        "groups": [],
    }
    assert await people(world, "2026-10-01", 0) == ["ann", "bob"]
    assert await people(world, "2026-10-01", 1) == ["ann"]
    assert await people(world, "2026-10-01", 1, "lost") == ["bob"]
    assert await people(world, "2026-10-01", 0, "lost") == []
    assert await people(world, "2026-10-03", 1) == []


async def test_is_zeros_over_nobody(world: World) -> None:
    result = await ask(world, breakdown=["channel"])
    assert values_of(result) == [[0, 0, 0, 0]] * 3
    assert result["mean"] == [0, 0, 0, 0]
    assert result["groups"] == []


async def test_says_who_enters_by_each_kind_of_entry(world: World) -> None:
    world.put(
        Event("open", "ann", at(-40), {"channel": "web"}),
        *visits("ann", 1, channel="app"),
        *visits("ann", 2, 3, channel="app"),
        *visits("bob", 2, 3, channel="app"),
    )
    in_app = {"event": "open", "where": [{"property": "channel", "op": "eq", "value": "app"}]}
    sizes = {}
    for entry in ("recurring", "first_in_range", "first_matching", "first_ever"):
        result = await ask(world, start=in_app, entry=entry)
        sizes[entry] = [row["size"] for row in result["rows"]]
    assert sizes == {
        "recurring": [1, 2, 0],
        "first_in_range": [1, 1, 0],
        "first_matching": [1, 1, 0],
        "first_ever": [0, 1, 0],
    }
    anywhere = await ask(world, entry="first_matching")
    assert [row["size"] for row in anywhere["rows"]] == [0, 1, 0]
    filtered = await ask(world, entry="first_matching", where=in_app["where"])
    assert [row["size"] for row in filtered["rows"]] == [1, 1, 0]
    barred = await ask(world, entry="first_ever", where=in_app["where"])
    assert [row["size"] for row in barred["rows"]] == [0, 1, 0]


@pytest.mark.parametrize("seq", [0, 1])
async def test_of_tied_first_events_any_that_fits_will_do(world: World, seq: int) -> None:
    world.put(
        Event("open", "ann", at(1), {"channel": "web"}, seq=seq),
        Event("open", "ann", at(1), {"channel": "app"}, seq=1 - seq),
    )
    in_app = {"event": "open", "where": [{"property": "channel", "op": "eq", "value": "app"}]}
    assert (await ask(world, start=in_app, entry="first_ever"))["rows"][0]["size"] == 1
    groups = (await ask(world, breakdown=["channel"]))["groups"]
    assert keys_of(groups) == [["app"]]


async def test_on_or_after_counts_any_later_interval(world: World) -> None:
    world.put(*visits("ann", 1, 3), *visits("bob", 1, 30), *visits("cat", 2, 2))
    assert values_of(await ask(world))[:2] == [[2, 0, 1, 0], [1, 0, 0, 0]]
    assert values_of(await ask(world, mode="on_or_after"))[:2] == [[2, 2, 2, 1], [1, 0, 0, 0]]
    assert await people(world, "2026-10-01", 3, mode="on_or_after") == ["bob"]


async def test_enough_occurrences_are_asked_of_an_interval_or_of_all_later_ones(world: World) -> None:
    world.put(*visits("ann", 1, 2, 3, 3), *visits("bob", 1, 2, 4))
    assert values_of(await ask(world, min_occurrences=2))[0] == [2, 0, 1, 0]
    assert values_of(await ask(world, min_occurrences=2, mode="on_or_after"))[0] == [2, 2, 1, 0]
    assert values_of(await ask(world, min_occurrences=3, mode="on_or_after"))[0] == [2, 1, 0, 0]


async def test_rolling_days_count_from_the_entering_event(world: World) -> None:
    world.put(
        Event("open", "ann", at(1, 20)),
        Event("open", "ann", at(2, 21)),
        Event("buy", "ann", at(2, 20) - 1),
        Event("open", "bob", at(1, 20)),
        Event("buy", "bob", at(2, 20)),
        Event("open", "cat", at(2, 1)),
        Event("buy", "cat", at(5, 1)),
    )
    assert values_of(await ask(world)) == [[2, 2, 0, 0], [2, 0, 0, 1], [0, 0, 0, 0]]
    rolling = await ask(world, day_mode="rolling_24h")
    assert values_of(rolling) == [[2, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]


async def test_intervals_are_weeks_and_months_too_and_whole_where_the_range_cuts_them(world: World) -> None:
    world.put(*visits("ann", -3, 5, 40), Event("open", "bob", at(4, 23)), Event("buy", "bob", at(5, 0)))
    weeks = await ask(world, interval="week", periods=1)
    assert [row["bucket"] for row in weeks["rows"]] == ["2026-09-28"]
    assert values_of(weeks) == [[1, 1]]
    assert await people(world, "2026-09-28", 1, interval="week", periods=1) == ["bob"]
    sundays = await ask(world, interval="week", periods=1, week_start="sunday")
    assert [row["bucket"] for row in sundays["rows"]] == ["2026-09-27"]
    assert values_of(sundays) == [[1, 1]]
    from_sunday = {"interval": "week", "periods": 1, "week_start": "sunday"}
    assert await people(world, "2026-09-27", 1, **from_sunday) == ["ann"]
    months = await ask(world, interval="month", periods=1, range={"from": "2026-09-30", "to": "2026-09-30"})
    assert (months["rows"][0]["bucket"], values_of(months)) == ("2026-09-01", [[1, 1]])


async def test_a_day_on_which_the_clock_changes_is_one_interval(world: World) -> None:
    """In Berlin 2026-10-25 has 25 hours."""
    world.put(
        Event("open", "ann", "2026-10-24T23:30:00+02:00"),
        Event("buy", "ann", "2026-10-25T23:30:00+01:00"),
        Event("open", "bob", "2026-10-25T00:30:00+02:00"),
        Event("buy", "bob", "2026-10-26T00:00:00+01:00"),
    )
    days = {"range": {"from": "2026-10-24", "to": "2026-10-25"}, "timezone": "Europe/Berlin", "periods": 2}
    assert values_of(await ask(world, **days)) == [[1, 1, 0], [1, 1, 0]]
    night = {"from": "2026-10-25T02:00:00+02:00", "to": "2026-10-25T03:00:00+01:00"}
    hours = await ask(world, range=night, timezone="Europe/Berlin", interval="hour", periods=1)
    assert [row["bucket"] for row in hours["rows"]] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]


async def test_what_has_not_begun_is_absent_and_what_runs_is_partial(world: World) -> None:
    world.put(*visits("ann", 1, 2), *visits("bob", 2))
    world.now = at(2, 23)
    result = await ask(world)
    assert result["rows"] == [
        {"bucket": "2026-10-01", "size": 1, "values": [1, 1], "partial": True},
        {"bucket": "2026-10-02", "size": 1, "values": [1], "partial": True},
        {"bucket": "2026-10-03", "size": 0, "values": [], "partial": False},
    ]
    assert result["mean"] == [1, 1, 0, 0]
    world.now = at(7, 0) - 1
    result = await ask(world, refresh=True)
    assert values_of(result) == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert [row["partial"] for row in result["rows"]] == [False, False, True]
    world.now += 1
    assert [row["partial"] for row in (await ask(world))["rows"]] == [False] * 3


@pytest.mark.parametrize("day_mode", ["calendar", "rolling_24h"])
async def test_a_kept_answer_ends_where_an_interval_begins_or_ends(world: World, day_mode: str) -> None:
    world.put(*visits("ann", 1, 2))
    world.now = at(2, 23)
    body = {**BODY, "day_mode": day_mode}
    answers = []
    for _ in range(9):
        answers.append(await world.post("/api/v1/query/retention", body))
        world.now = at(3, 0) - 1 if len(answers) == 1 else world.now + (1 if len(answers) % 2 else DAY - 1)
        fresh = await world.post("/api/v1/query/retention", {**body, "refresh": True})
        kept = await world.post("/api/v1/query/retention", body)
        assert kept["result"] == fresh["result"]
    assert len({str(answer["result"]) for answer in answers}) >= 4


async def test_counts_persons_after_merges_and_nobody_never(world: World) -> None:
    world.put(
        *visits("device", 1),
        Event("buy", "ann", at(2)),
        *visits("guest", 1, 2),
        *visits("phone", 1),
        bindings={"phone": "bob"},
    )
    assert values_of(await ask(world))[0] == [2, 0, 0, 0]
    world.bind({"device": "ann"})
    assert values_of(await ask(world))[0] == [2, 1, 0, 0]
    assert await people(world, "2026-10-01", 1) == ["ann"]


async def test_splits_by_the_value_with_which_an_actor_entered(world: World) -> None:
    world.put(
        *visits("ann", 1, 2, channel="app"),
        *visits("ann", 2, channel="web"),
        *visits("bob", 1, channel="web"),
        *visits("cat", 3, 4),
        Event("open", "ann", at(1, 13), {"channel": "aaa"}),
    )
    result = await ask(world, breakdown=["channel"])
    assert keys_of(result["groups"]) == [["web"], [None], ["app"]]
    assert [values_of(group) for group in result["groups"]] == [
        [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]],
        [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert result["groups"][2]["mean"] == [1, 1, 0, 0]
    assert await people(world, "2026-10-02", 0, key=["web"], breakdown=["channel"]) == ["ann"]
    assert await people(world, "2026-10-01", 0, "retained", key=["none"], breakdown=["channel"]) == []
    rest = await ask(world, breakdown=["channel"], breakdown_limit=1)
    assert keys_of(rest["groups"]) == [["web"], ["$other"]]
    assert values_of(rest["groups"][1]) == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    asked = {"breakdown": ["channel"], "breakdown_limit": 1, "key": ["$other"]}
    assert await people(world, "2026-10-03", 1, **asked) == ["cat"]


async def test_splits_by_profiles_alone_and_with_values_of_events(world: World) -> None:
    world.put(*visits("ann", 1, 2, channel="app"), *visits("bob", 1, channel="app"), *visits("cat", 2))
    world.put_profiles({"ann": {"city": "Xi'an"}, "bob": {"city": "北京"}})
    by_city = [{"property": "city", "of": "user"}]
    result = await ask(world, breakdown=by_city)
    assert keys_of(result["groups"]) == [[None], ["Xi'an"], ["北京"]]
    assert values_of(result["groups"][1])[0] == [1, 1, 0, 0]
    both = await ask(world, breakdown=["channel", *by_city])
    assert keys_of(both["groups"]) == [[None, None], ["app", "Xi'an"], ["app", "北京"]]
    assert await people(world, "2026-10-01", 1, "lost", key=["北京"], breakdown=by_city) == ["bob"]


async def test_a_profile_without_the_value_and_no_profile_are_one_group(world: World) -> None:
    world.put(*visits("ann", 1, 2), *visits("bob", 1), *visits("cat", 1, city="?"))
    world.put_profiles({"ann": {"age": 7}, "cat": {"city": "北京"}})
    by_city = [{"property": "city", "of": "user"}]
    result = await ask(world, breakdown=by_city)
    assert keys_of(result["groups"]) == [[None], ["北京"]]
    assert values_of(result["groups"][0])[0] == [2, 1, 0, 0]
    assert await people(world, "2026-10-01", 0, key=[None], breakdown=by_city) == ["ann", "bob"]
    both = await ask(world, breakdown=["city", *by_city, {"property": "tier", "of": "user"}])
    assert keys_of(both["groups"]) == [[None, None, None], ["?", "北京", None]]


async def test_a_profile_that_changes_while_it_is_read_is_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(*visits("ann", 1, 2))
    world.put_profiles({"ann": {"age": 7}})
    texts = ValueCodes.texts
    monkeypatch.setattr(ValueCodes, "texts", lambda codes, _read: texts(codes, dict))
    result = await ask(world, breakdown=[{"property": name, "of": "user"} for name in ("age", "city")])
    assert keys_of(result["groups"]) == [[None, None]]


async def test_a_text_that_only_begins_like_a_list_is_a_key(world: World) -> None:
    world.put(*visits("ann", 1, tags=["a"]), *visits("bob", 1, tags="[" * 5_000))
    groups = (await ask(world, breakdown=["tags"]))["groups"]
    assert keys_of(groups) == [[["a"]], ["[" * 5_000]]


async def test_more_values_than_can_be_listed_are_told_apart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(*visits("ann", 1, 2, channel="app"), *visits("bob", 1, channel="web"), *visits("cat", 1))
    body = {"breakdown": ["channel", "amount"], "breakdown_limit": 2}
    listed = await ask(world, **body)
    monkeypatch.setattr("query_api.analyses.breakdown_values.MAX_LISTED", 1)
    assert await ask(world, **body, refresh=True) == listed


async def test_counts_the_values_of_a_property_as_actors(world: World) -> None:
    world.put(
        Event("open", "ann", at(1), {"account": "a"}),
        Event("buy", "bob", at(2), {"account": "a"}),
        Event("open", "guest", at(1), {"account": "b"}),
        Event("open", "cat", at(1)),
    )
    by_account = {"actor": {"property": "account"}}
    assert values_of(await ask(world, **by_account))[0] == [2, 1, 0, 0]
    assert await people(world, "2026-10-01", 1, **by_account) == ["ann", "bob"]


async def test_conditions_hold_for_starts_and_returns(world: World) -> None:
    world.put(
        *visits("ann", 1, channel="app"),
        Event("buy", "ann", at(2), {"channel": "web", "amount": 5}),
        Event("buy", "ann", at(3), {"channel": "app", "amount": 50}),
    )
    in_app = [{"property": "channel", "op": "eq", "value": "app"}]
    assert values_of(await ask(world, where=in_app))[0] == [1, 0, 1, 0]
    small = {"event": "buy", "where": [{"property": "amount", "op": "lt", "value": 10}]}
    assert values_of(await ask(world, **{"return": small}))[0] == [1, 1, 0, 0]
    either = {"event": ["buy", "open"]}
    assert values_of(await ask(world, start=either, **{"return": either}))[1] == [1, 1, 0, 0]
    anything = {"event": None}
    assert values_of(await ask(world, start=anything, **{"return": anything}))[0] == [1, 1, 1, 0]


async def test_a_comparison_is_the_same_query_again(world: World) -> None:
    world.put(*visits("ann", 1, 2), *visits("bob", 4, 5), *visits("cat", 4))
    shifted = {**BODY, "range": {"from": "2026-10-04", "to": "2026-10-06"}}
    answer = await world.post(
        "/api/v1/query/retention", {**shifted, "compare": {"shift": {"value": 3, "unit": "day"}}}
    )
    assert values_of(answer["result"])[0] == [2, 1, 0, 0]
    assert answer["comparison"] == await ask(world)


async def test_a_sample_scales_counts_and_keeps_rates(world: World) -> None:
    users = [f"user {n}" for n in range(400)]
    world.put(*(event for user in users for event in visits(user, 1, 2)))
    answer = await world.post("/api/v1/query/retention", {**BODY, "sample": 0.25})
    size, retained = answer["result"]["rows"][0]["values"][:2]
    assert answer["meta"]["sample"] == 0.25
    assert size == retained
    assert size % 4 == 0
    assert 240 < size < 560
    assert answer["result"]["mean"][:2] == [1, 1]
    assert await ask(world, sample=1) == await ask(world)


async def test_pages_of_people_are_all_of_them_once(world: World) -> None:
    world.put(*(event for n in range(7) for event in visits(f"user {n}", 1, 2)))
    body: dict[str, Any] = {**BODY, "cell": {"bucket": "2026-10-01", "period": 1}, "limit": 3}
    found: list[str] = []
    while True:
        page = await world.post("/api/v1/query/retention/users", body)
        assert page["total"] == 7
        found += [user["user_id"] for user in page["users"]]
        if page["next_cursor"] is None:
            break
        body["cursor"] = page["next_cursor"]
    assert sorted(found) == [f"user {n}" for n in range(7)]


async def test_reads_the_projection_by_event(world: World) -> None:
    world.put(*visits("ann", 1, 2))
    explained = await world.post("/api/v1/query/retention/explain", {**BODY, "entry": "first_ever"})
    (query,) = explained["queries"]
    assert explained["notes"]
    columns = world.store.rows(_explain(query)).rows
    assert any("by_event" in str(row[0]) for row in columns), columns


def _explain(query: dict[str, Any]) -> Query:
    return Query(f"EXPLAIN projections = 1, indexes = 1 {query['sql']}", query["parameters"])


# ---- laws ----

BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"mode": "on_or_after", "min_occurrences": 2, "breakdown": ["channel"]},
    {"entry": "first_ever", "interval": "week"},
    {"day_mode": "rolling_24h"},
    {"interval": "hour", "periods": 30, "start": {"event": None}},
)


def some_history(seed: int, suffix: str = "") -> list[Event]:
    rng = random.Random(seed)
    return [
        Event(
            rng.choice(("open", "buy")),
            f"user {rng.randint(1, 12)}{suffix}",
            at(rng.randint(-1, 6), hour),
            channel,
        )
        for hour in [rng.choice((0, 0, 11.5, 23.99)) for _ in range(90)]
        for channel in [rng.choice(({"channel": "app"}, {"channel": "web"}, {}))]
    ]


async def all_answers(world: World) -> list[Any]:
    return [await ask(world, **body, refresh=True) for body in BODIES]


async def test_an_irrelevant_event_changes_nothing(world: World) -> None:
    world.put(*some_history(1))
    start = {"event": ["open", "buy"]}
    before = [await ask(world, **{**body, "start": start}) for body in BODIES]
    world.put(Event("look", "user 1", at(2)), Event("open", "guest", at(1)), Event("look", "new", at(1)))
    assert [await ask(world, **{**body, "start": start}) for body in BODIES] == before


async def test_users_copied_under_new_ids_double_counts_and_keep_rates(world: World) -> None:
    world.put(*some_history(2))
    once = await all_answers(world)
    world.put(*some_history(2, " again"))
    for before, after in zip(once, await all_answers(world), strict=True):
        for part, doubled in zip((before, *before["groups"]), (after, *after["groups"]), strict=True):
            assert values_of(doubled) == [[2 * value for value in row] for row in values_of(part)]
            assert doubled["mean"] == part["mean"]


@pytest.fixture
def worlds(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[list[World]]:
    with ExitStack() as opened:
        yield [opened.enter_context(closing(World(store, new_name("order"), tmp_path))) for _ in range(3)]


async def test_the_order_in_which_events_arrive_does_not_matter(worlds: list[World]) -> None:
    answers = []
    for seed, world in enumerate(worlds):
        events = some_history(3)
        random.Random(seed).shuffle(events)
        for start in range(0, len(events), 40):
            world.put(*events[start : start + 40])
        answers.append(await all_answers(world))
    assert answers[0] == answers[1] == answers[2]
