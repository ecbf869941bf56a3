# ruff: noqa: E501 - one case a line
"""Conditions, through the API: for each operator the users whose event it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World

DAY = "2026-10-01T10:00:00+08:00"
BODY: dict[str, Any] = {
    "range": {"from": "2026-10-01", "to": "2026-10-01"},
    "series": [{"event": "buy", "measure": "users"}],
    "cell": {"series": 0},
}

# In the map: plan (string), age (number), vip (boolean), tags (list), born (datetime).
# In columns: channel (label), amount (decimal), event_duration (number), $is_bot (boolean).
USERS: dict[str, dict[str, Any]] = {
    "ann": {
        "plan": "gold", "age": 30, "vip": True, "tags": ["a", "b"], "born": "2000-05-01 08:00:00.000",
        "channel": "app_store", "amount": Decimal("0.1"), "event_duration": 1.5, "$is_bot": True,
    },
    "bob": {
        "plan": "silver", "age": 9, "vip": False, "tags": ["ab"], "born": "2000-05-02 00:00:00.000",
        "channel": "web", "amount": Decimal("0.3"), "event_duration": 2, "$is_bot": False,
    },
    "cat": {"plan": "", "age": 0, "tags": [], "channel": "", "amount": Decimal(0), "event_duration": 0},
    "dan": {"age": 9007199254740993, "channel": "App_Store", "amount": Decimal("12345678901234567890.000001")},
    "eve": {"age": "n/a", "amount": "free", "channel": 7, "vip": "yes", "tags": "a", "born": "soon"},
    "fay": {},
}  # fmt: skip

EVERYBODY = "ann bob cat dan eve fay"
CASES: list[tuple[dict[str, Any], str]] = [
    # Text, in the map and in a column
    ({"property": "plan", "op": "eq", "value": "gold"}, "ann"),
    ({"property": "plan", "op": "eq", "value": ""}, "cat"),
    ({"property": "plan", "op": "ne", "value": "gold"}, "bob cat dan eve fay"),
    ({"property": "plan", "op": "in", "value": ["gold", ""]}, "ann cat"),
    ({"property": "plan", "op": "in", "value": []}, ""),
    ({"property": "plan", "op": "not_in", "value": ["gold", ""]}, "bob dan eve fay"),
    ({"property": "plan", "op": "contains", "value": "l"}, "ann bob"),
    ({"property": "plan", "op": "contains", "value": ""}, "ann bob cat"),
    ({"property": "plan", "op": "not_contains", "value": "l"}, "cat dan eve fay"),
    ({"property": "plan", "op": "starts_with", "value": "go"}, "ann"),
    ({"property": "plan", "op": "ends_with", "value": "er"}, "bob"),
    ({"property": "plan", "op": "matches", "value": "^(gold|silver)$"}, "ann bob"),
    ({"property": "plan", "op": "matches", "value": ".*"}, "ann bob cat"),
    ({"property": "plan", "op": "gt", "value": "gold"}, "bob"),
    ({"property": "plan", "op": "between", "value": ["a", "h"]}, "ann"),
    ({"property": "plan", "op": "is_set"}, "ann bob cat"),
    ({"property": "plan", "op": "is_not_set"}, "dan eve fay"),
    ({"property": "channel", "op": "eq", "value": "app_store"}, "ann"),
    ({"property": "channel", "op": "ne", "value": "app_store"}, "bob cat dan eve fay"),
    ({"property": "channel", "op": "contains", "value": "_Store"}, "dan"),
    ({"property": "channel", "op": "is_set"}, "ann bob cat dan eve"),
    ({"property": "channel", "op": "eq", "value": 7}, "eve"),
    # Numbers, in the map, as doubles and as exact decimals
    ({"property": "age", "op": "eq", "value": 30}, "ann"),
    ({"property": "age", "op": "eq", "value": 30.0}, "ann"),
    ({"property": "age", "op": "gt", "value": 9}, "ann dan"),
    ({"property": "age", "op": "gte", "value": 9}, "ann bob dan"),
    ({"property": "age", "op": "lt", "value": 30}, "bob cat"),
    ({"property": "age", "op": "lte", "value": 30}, "ann bob cat"),
    ({"property": "age", "op": "between", "value": [9, 30]}, "ann bob"),
    ({"property": "age", "op": "eq", "value": 9007199254740993}, "dan"),
    ({"property": "age", "op": "eq", "value": 9007199254740992}, ""),
    ({"property": "age", "op": "in", "value": [30, 0]}, "ann cat"),
    ({"property": "age", "op": "ne", "value": 30}, "bob cat dan eve fay"),
    ({"property": "age", "op": "is_set"}, "ann bob cat dan eve"),
    ({"property": "age", "op": "eq", "value": "n/a"}, "eve"),
    ({"property": "age", "op": "gt", "value": -1e300}, "ann bob cat dan"),
    ({"property": "amount", "op": "eq", "value": 0.1}, "ann"),
    ({"property": "amount", "op": "gt", "value": 0.1}, "bob dan"),
    ({"property": "amount", "op": "gte", "value": 0.1}, "ann bob dan"),
    ({"property": "amount", "op": "eq", "value": "free"}, "eve"),
    ({"property": "amount", "op": "is_set"}, "ann bob cat dan eve"),
    ({"property": "event_duration", "op": "eq", "value": 1.5}, "ann"),
    ({"property": "event_duration", "op": "between", "value": [1.5, 2]}, "ann bob"),
    # Booleans
    ({"property": "vip", "op": "is_true"}, "ann"),
    ({"property": "vip", "op": "is_false"}, "bob"),
    ({"property": "vip", "op": "eq", "value": True}, "ann"),
    ({"property": "vip", "op": "ne", "value": True}, "bob cat dan eve fay"),
    ({"property": "$is_bot", "op": "is_true"}, "ann"),
    ({"property": "$is_bot", "op": "is_false"}, "bob"),
    # Lists
    ({"property": "tags", "op": "contains", "value": "a"}, "ann eve"),
    ({"property": "tags", "op": "not_contains", "value": "a"}, "bob cat dan fay"),
    ({"property": "tags", "op": "eq", "value": ["a", "b"]}, "ann"),
    ({"property": "tags", "op": "starts_with", "value": "ab"}, "bob"),
    ({"property": "tags", "op": "is_set"}, "ann bob cat eve"),
    # Times
    ({"property": "born", "op": "before", "value": "2000-05-02"}, "ann"),
    ({"property": "born", "op": "after", "value": "2000-05-01"}, "bob"),
    ({"property": "born", "op": "eq", "value": "2000-05-01"}, "ann"),
    ({"property": "born", "op": "lte", "value": "2000-05-02"}, "ann bob"),
    ({"property": "born", "op": "after", "value": "2000-05-01T07:59:59+08:00"}, "ann bob"),
    ({"property": "born", "op": "after", "value": "2000-05-01T08:00:00+08:00"}, "bob"),
    ({"property": "born", "op": "within_last", "value": {"value": 50, "unit": "year"}}, "ann bob"),
    ({"property": "born", "op": "within_last", "value": {"value": 1, "unit": "year"}}, ""),
    # Groups
    ({"any": [{"property": "plan", "op": "eq", "value": "gold"}, {"property": "age", "op": "eq", "value": 0}]}, "ann cat"),
    ({"any": []}, ""),
    ({"all": []}, EVERYBODY),
    ({"not": {"property": "plan", "op": "is_set"}}, "dan eve fay"),
    ({"not": {"not": {"any": [{"property": "plan", "op": "is_set"}]}}}, "ann bob cat"),
    ({"not": [{"property": "plan", "op": "is_set"}, {"property": "vip", "op": "is_true"}]}, "bob cat dan eve fay"),
    # The current profile
    ({"property": "city", "of": "user", "op": "eq", "value": "Xi'an"}, "ann"),
    ({"property": "city", "of": "user", "op": "ne", "value": "Xi'an"}, "bob cat dan eve fay"),
    ({"property": "city", "of": "user", "op": "is_not_set"}, "cat dan eve fay"),
    ({"property": "score", "of": "user", "op": "gt", "value": 9}, "bob"),
    # Pseudo-properties, and what nobody ever sent
    ({"property": "event", "op": "eq", "value": "buy"}, EVERYBODY),
    ({"property": "distinct_id", "op": "in", "value": ["ann", "fay"]}, "ann fay"),
    ({"property": "never", "op": "eq", "value": "x"}, ""),
    ({"property": "never", "op": "ne", "value": 1}, EVERYBODY),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with closing(World(store, "conditions", tmp_path_factory.mktemp("conditions"))) as made:
        made.put(*[Event("buy", user, DAY, properties) for user, properties in USERS.items()])
        made.put_profiles({"ann": {"city": "Xi'an", "score": 9}, "bob": {"city": "", "score": 10}})
        yield made


@pytest.mark.parametrize(("condition", "expected"), CASES, ids=lambda value: str(value)[:60])
async def test_keeps_exactly_these_users(world: World, condition: dict[str, Any], expected: str) -> None:
    for body in (
        {**BODY, "where": [condition]},
        {**BODY, "series": [{**BODY["series"][0], "where": [condition]}]},
    ):
        answer = await world.post("/api/v1/query/trends/users", body)
        assert sorted(user["user_id"] for user in answer["users"]) == expected.split()


@pytest.fixture
def empty_world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("conditions"), tmp_path)) as made:
        yield made


async def test_a_profile_of_an_older_version_does_not_count(empty_world: World) -> None:
    empty_world.put(Event("buy", "ann", DAY))
    empty_world.put_profiles({"ann": {"city": "old"}}, version=1)
    empty_world.put_profiles({"ann": {"city": "new"}}, version=2)
    for city, users in (("old", 0), ("new", 1)):
        where = [{"property": "city", "of": "user", "op": "eq", "value": city}]
        result = await empty_world.trends({**{k: BODY[k] for k in ("range", "series")}, "where": where})
        assert result["series"][0]["total"] == users
