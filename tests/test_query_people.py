"""People, the catalogue, projects and the ledger, through the whole system."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from footfall.workspace import Project
from query_api.ledger import read_ledger
from query_api.run import ANALYSES
from tests.hasty_log import hasty_log
from tests.system import SECRET_KEY, WRITE_KEY, System

NOW = 1_796_000_000_000  # 2026-11-30T00:53:20Z


@pytest.fixture
def system(system: System) -> System:
    system.clock.freeze(NOW)
    return system


async def get(system: System, path: str, status: int = 200) -> Any:
    answer = await system.query_api.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def event(name: str, user: str, minute: int = 0, **properties: Any) -> dict[str, Any]:
    return {
        "event": name,
        "distinct_id": user,
        "time": NOW - 3_600_000 + minute * 60_000,
        "properties": properties,
    }


async def test_a_person_is_found_by_any_of_their_ids(system: System) -> None:
    await system.send(
        event("view", "device-1", 0, channel="a"),
        {"type": "track_signup", "original_id": "device-1", **event("$SignUp", "ann", 1)},
        event("buy", "ann", 2),
        {**event("buy", "ignored", 3), "anonymous_id": "device-2", "login_id": "ann"},
        {"type": "profile_set", "distinct_id": "ann", "properties": {"age": 30, "vip": True, "tags": ["x"]}},
        {"type": "profile_set", "distinct_id": "device-1", "properties": {"city": "Xi'an"}},
    )
    await system.settle()
    person = await get(system, "users/ann")
    assert person == {
        "user_id": "ann",
        "distinct_ids": ["ann", "device-1", "device-2"],
        "first_time": "2026-11-29T23:53:20.000Z",
        "last_time": "2026-11-29T23:56:20.000Z",
        "properties": {"age": 30, "city": "Xi'an", "tags": ["x"], "vip": True},
    }
    assert await get(system, "users/device-1") == person
    assert await get(system, "users/device-2?project=default") == person
    await get(system, "users/nobody-of-that-name", status=404)
    await get(system, "users/guest", status=404)


async def test_an_id_may_contain_anything(system: System) -> None:
    for name in ("a/b", "events", "a b?c=d&e", "用户", "x/events"):
        await system.send(event("buy", name))
    await system.settle()
    for name in ("a%2Fb", "events", "a%20b%3Fc%3Dd%26e", "%E7%94%A8%E6%88%B7", "x%2Fevents"):
        person = await get(system, f"users/{name}")
        assert len(person["distinct_ids"]) == 1
        assert len((await get(system, f"users/{name}/events"))["events"]) == 1


async def test_a_timeline_is_newest_first_and_pages_through_ties(system: System) -> None:
    await system.send(*[event(f"e{index}", "ann", index // 4, n=index) for index in range(10)])
    await system.settle()
    names: list[str] = []
    path = "users/ann/events?limit=3"
    while True:
        page = await get(system, path)
        names += [one["event"] for one in page["events"]]
        if page["next_before"] is None:
            break
        path = f"users/ann/events?limit=3&before={page['next_before']}"
    assert names == [f"e{index}" for index in reversed(range(10))]
    early = await get(system, "users/ann/events?before=2026-11-29T23:54:20Z")
    assert [one["event"] for one in early["events"]] == ["e3", "e2", "e1", "e0"]
    await get(system, "users/ann/events?before=yesterday", status=422)
    await get(system, "users/ann/events?limit=0", status=422)
    await get(system, "users/no-such/events", status=404)


async def test_a_timeline_shows_typed_properties_and_the_ids_that_came(system: System) -> None:
    await system.send(
        event("buy", "ann", 0, amount=10.1, channel="a", n=3, ok=True, tags=["x"], note="5"),
        event("buy", "ann", 1, amount="free", n="many"),
    )
    await system.settle()
    later, earlier = (await get(system, "users/ann/events"))["events"]
    assert earlier["properties"] == {
        "amount": 10.1, "channel": "a", "n": 3, "note": "5", "ok": True, "tags": ["x"]
    }  # fmt: skip
    assert later["properties"] == {"amount": "free", "n": "many"}
    assert (earlier["distinct_id"], earlier["login_id"], earlier["type"]) == ("ann", None, "track")
    assert earlier["time"] == "2026-11-29T23:53:20.000Z"


async def test_the_catalogue_lists_events_and_properties_with_conflicts(system: System) -> None:
    await system.send(
        event("buy", "ann", 0, channel="a", n=3),
        event("buy", "bob", 1, n="many"),
        {"type": "profile_set", "distinct_id": "ann", "properties": {"age": 30}},
    )
    await system.settle()
    found = await get(system, "catalogue")
    assert found["events"] == [
        {
            "event": "buy",
            "type": "track",
            "count": 2,
            "first_seen": "2026-11-29T23:53:20.000Z",
            "last_seen": "2026-11-29T23:54:20.000Z",
        }
    ]
    properties = {(one["of"], one["property"]): one for one in found["properties"]}
    assert properties["event", "n"]["type"] == "number"
    assert properties["event", "n"]["conflicts"] == {"string": 1}
    assert properties["event", "channel"]["has_column"] is True
    assert properties["user", "age"]["type"] == "number"


async def test_a_project_is_made_with_keys_of_its_own(system: System) -> None:
    body = {
        "name": "retail",
        "timezone": "Europe/Berlin",
        "week_start": "sunday",
        "keyless": True,
        "identity": {"strategy": "many_to_one", "bindings": "trusted", "shared_device_limit": 5},
    }
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert answer.status_code == 201
    keys = answer.json()
    assert keys["name"] == "retail"
    made = system.workspace.project("retail")
    assert made is not None
    assert (made.timezone, made.week_start, made.keyless) == ("Europe/Berlin", "sunday", True)
    assert (made.identity.bindings, made.identity.shared_device_limit) == ("trusted", 5)
    await system.send(event("buy", "ann"), key=keys["write_key"])
    await system.settle()
    body = {"project": "retail", "series": [{"event": "buy"}], "range": {"last": {"value": 1, "unit": "day"}}}
    answer = await system.query_api.post(
        "/api/v1/query/trends", json=body, headers={"Authorization": f"Bearer {keys['secret_key']}"}
    )
    assert answer.json()["result"]["series"][0]["total"] == 1
    assert answer.json()["meta"]["timezone"] == "Europe/Berlin"
    again = await system.query_api.post("/api/v1/projects", json={"name": "retail"})
    assert (again.status_code, again.json()["code"]) == (409, "exists")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({}, "name"),
        ({"name": "x", "timezone": "Mars/Base"}, "timezone"),
        ({"name": "x", "week_start": "tuesday"}, "week_start"),
        ({"name": "x", "identity": {"strategy": "one_to_many"}}, "identity.strategy"),
        ({"name": "x", "identity": {"shared_device_limit": 0}}, "identity.shared_device_limit"),
        ({"name": "x", "colour": "red"}, "colour"),
        ([], ""),
    ],
)
async def test_a_project_that_cannot_be_is_refused(system: System, body: Any, field: str) -> None:
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_the_ledger_is_closed_at_every_moment(system: System) -> None:
    empty = (await system.query_api.get("/api/v1/projects/default/ledger")).json()
    assert empty["total"] == {"received": 0, "stored": 0, "duplicate": 0, "rejected": {}, "queued": 0}
    assert empty["minutes"] == []
    await system.send(event("buy", "ann"), event("buy", "bob"), {"event": "buy"})
    assert await system.ledger() == {
        "received": 3, "stored": 0, "duplicate": 0, "rejected": {}, "queued": 3
    }  # fmt: skip
    await system.settle()
    await system.send(event("buy", "ann"))
    assert await system.ledger() == {
        "received": 4, "stored": 2, "duplicate": 0, "rejected": {"missing_field": 1}, "queued": 1
    }  # fmt: skip
    await system.settle()
    answer = (await system.query_api.get("/api/v1/projects/default/ledger")).json()
    assert answer["total"]["queued"] == 0
    assert answer["total"]["stored"] + answer["total"]["duplicate"] == 3
    assert [(one["minute"], one["door"], one["received"]) for one in answer["minutes"]] == [
        ("2026-11-30T00:53:00.000Z", "native", 4)
    ]
    assert answer["data_until"] == "2026-11-30T00:53:20.000Z"


async def test_the_ledger_is_closed_when_what_waited_is_gone_meanwhile(system: System) -> None:
    await system.send(event("buy", "ann"), event("buy", "bob"), {"event": "buy"})
    ledger = await asyncio.to_thread(read_ledger, system.store, hasty_log(system), "default", 0)
    assert ledger["total"] == {
        "received": 3, "stored": 2, "duplicate": 0, "rejected": {"missing_field": 1}, "queued": 0
    }  # fmt: skip


async def test_what_was_never_processed_and_is_gone_leaves_the_ledger_open(system: System) -> None:
    await system.send(event("buy", "ann"))
    (partition,) = system.log.partitions()
    system.log.commit(partition, 1)
    system.log.truncate(partition, 1)
    assert await system.ledger() == {
        "received": 1, "stored": 0, "duplicate": 0, "rejected": {}, "queued": 0
    }  # fmt: skip


async def test_ledgers_of_projects_are_kept_apart(system: System) -> None:
    key = system.create_project(Project("other"))
    await system.send(event("buy", "ann"))
    await system.send(event("buy", "ann"), event("buy", "bob"), key=key)
    await system.settle()
    assert (await system.ledger())["stored"] == 1
    assert (await system.ledger("other"))["stored"] == 2


async def test_a_merge_never_changes_event_counts_and_lowers_users(system: System) -> None:
    await system.send(event("view", "device", 0), event("view", "ann", 1))
    await system.settle()
    body = {
        "series": [{"event": "view"}, {"event": "view", "measure": "users"}],
        "range": {"last": {"value": 2, "unit": "day"}},
        "interval": "total",
    }
    assert [one["total"] for one in (await system.ask("trends", body))["series"]] == [2, 2]
    await system.send({"type": "track_signup", "original_id": "device", **event("$SignUp", "ann", 2)})
    await system.settle()
    assert [one["total"] for one in (await system.ask("trends", body))["series"]] == [2, 1]


async def test_is_alive_ready_and_measured(system: System) -> None:
    await system.query_api.post("/api/v1/query/trends", json={"series": [{"event": "buy"}]})
    for path, text in (("healthz", "ok"), ("readyz", "ready"), ("metrics", "footfall_query_requests_total{")):
        answer = await system.query_api.get(f"/{path}", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert text in answer.text


async def test_openapi_describes_every_route(system: System) -> None:
    document = (await system.query_api.get("/openapi.json")).json()
    routes = {
        f"/api/v1/query/{analysis}{what}" for analysis in ANALYSES for what in ("", "/users", "/explain")
    } | {
        "/api/v1/users/{id}", "/api/v1/users/{id}/events", "/api/v1/users/{id}/history",
        "/api/v1/catalogue", "/api/v1/projects", "/api/v1/projects/{name}/ledger",
        "/api/v1/projects/{name}/bindings", "/api/v1/projects/{name}/bindings/counts",
        "/healthz", "/readyz", "/metrics", "/",
        "/api/v1/verify",
    }  # fmt: skip
    assert routes <= set(document["paths"])
    text = str(document)
    for name in document["components"]["schemas"]:
        assert f"'#/components/schemas/{name}'" in text, f"{name} is not referred to"


async def test_neither_keys_nor_sql_errors_leak(system: System) -> None:
    answer = await system.query_api.post("/api/v1/projects", json={"name": "x" * 300})
    assert answer.status_code == 422
    for key in (SECRET_KEY, WRITE_KEY):
        assert key not in answer.text


async def say(system: System, status: int = 202, project: str = "default", **word: Any) -> Any:
    system.clock.freeze(system.clock() + 1)
    answer = await system.query_api.post(f"/api/v1/projects/{project}/bindings", json=word)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_an_administrator_binds_an_id_and_takes_it_back(system: System) -> None:
    await system.send(event("view", "phone", 0), {**event("buy", "ann", 1), "login_id": "ann"})
    await system.send({"type": "profile_set", "distinct_id": "phone", "properties": {"theme": "dark"}})
    await system.settle()
    told = await say(system, action="bind", anonymous_id="phone", login_id="ann", note="she called")
    assert (told["action"], told["note"]) == ("bind", "she called")
    await system.settle()
    ann = await get(system, "users/phone")
    assert (ann["distinct_ids"], ann["properties"]) == (["ann", "phone"], {"theme": "dark"})
    await say(system, action="unbind", anonymous_id="phone")
    await system.settle()
    assert (await get(system, "users/ann"))["distinct_ids"] == ["ann"]
    phone = await get(system, "users/phone")
    assert (phone["user_id"], phone["properties"]) == ("phone", {"theme": "dark"})
    names = [one["event"] for one in (await get(system, "users/phone/events"))["events"]]
    assert names == ["$UnbindID", "view"]
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"], ledger["queued"]) == (5, 5, 0)


async def test_two_logins_become_one_person_and_come_apart_again(system: System) -> None:
    await system.send(
        {**event("view", "phone", 0), "anonymous_id": "phone", "login_id": "old"},
        {**event("buy", "new", 1), "login_id": "new"},
        {"type": "profile_set", "distinct_id": "old", "properties": {"city": "Xi'an", "age": 1}},
        {"type": "profile_set", "distinct_id": "new", "properties": {"age": 2}},
    )
    await system.settle()
    body = {"series": [{"event": None, "measure": "users"}], "interval": "total"}
    query = body | {"range": {"last": {"value": 2, "unit": "day"}}}

    async def users() -> int:
        total: int = (await system.ask("trends", query))["series"][0]["total"]
        return total

    assert await users() == 2
    await say(system, action="merge", login_id="old", into="new")
    await system.settle()
    assert await users() == 1
    person = await get(system, "users/phone")
    assert (person["user_id"], person["distinct_ids"]) == ("new", ["new", "old", "phone"])
    assert person["properties"] == {"age": 2, "city": "Xi'an"}
    assert await get(system, "users/old") == person
    await say(system, action="unmerge", login_id="old", into="new")
    await system.settle()
    assert await users() == 2
    assert (await get(system, "users/phone"))["user_id"] == "old"
    assert (await get(system, "users/old"))["properties"] == {"age": 1, "city": "Xi'an"}
    assert (await get(system, "users/new"))["properties"] == {"age": 2}


async def test_what_an_administrator_cannot_say_is_refused_and_says_why(system: System) -> None:
    await system.send({**event("buy", "ann", 1), "login_id": "ann"})
    await system.settle()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"action": "bind", "anonymous_id": "phone"}, "login_id"),
        ({"action": "bind", "anonymous_id": "phone", "login_id": "ann", "into": "x"}, "into"),
        ({"action": "bind", "anonymous_id": "guest", "login_id": "ann"}, "anonymous_id"),
        ({"action": "bind", "anonymous_id": "ann", "login_id": "bob"}, "anonymous_id"),
        ({"action": "bind", "anonymous_id": "phone", "login_id": "phone"}, "login_id"),
        ({"action": "merge", "login_id": "ann", "into": "never-seen"}, "into"),
        ({"action": "marry", "login_id": "ann", "into": "bob"}, "action"),
        ({"action": "unbind", "anonymous_id": "phone", "nots": "x"}, "nots"),
    ]
    for word, field in wrong:
        problem = await say(system, 422, **word)
        assert problem["field"] == field, problem
    await say(system, 404, project="no-such", action="unbind", anonymous_id="phone")
    assert (await system.ledger())["received"] == 1


async def test_the_log_of_decisions_tells_when_which_and_why(system: System) -> None:
    for login in ("ann", "bob"):
        await system.send({"type": "track_signup", "original_id": "phone", **event("$SignUp", login)})
        await system.settle()
    await say(system, action="unbind", anonymous_id="phone", login_id="ann")
    await system.settle()
    found = await get(system, "projects/default/bindings")
    told = [
        (line["kind"], line["login_id"], line["outcome"], line["reason"], line["is_current"])
        for line in found["decisions"]
    ]
    assert sorted(told[:3]) == [
        ("bind", "ann", "refused", "taken_back", True),
        ("bind", "bob", "accepted", None, True),
        ("unbind", "ann", "accepted", None, True),
    ]
    assert told[3:] == [
        ("bind", "bob", "refused", "login_conflict", False),
        ("bind", "ann", "accepted", None, False),
    ]
    assert found["decisions"][4]["why"] == "it counts"
    assert found["decisions"][4]["record"]["log_partition"] == 0
    assert await get(system, "projects/default/bindings/counts") == {
        "accepted": {"bind": 1, "unbind": 1, "merge": 0, "unmerge": 0},
        "refused": {"taken_back": 1},
    }
    pages: list[Any] = []
    path = "projects/default/bindings?limit=2"
    while path:
        page = await get(system, path)
        pages += page["decisions"]
        cursor = page["next_cursor"]
        path = f"projects/default/bindings?limit=2&cursor={cursor}" if cursor else ""
    assert pages == found["decisions"]
    only = await get(system, "projects/default/bindings?id=bob&outcome=refused")
    assert [line["reason"] for line in only["decisions"]] == ["login_conflict"]
    assert (await get(system, "projects/default/bindings?reason=shared_device"))["decisions"] == []
    for wrong in ("outcome=acepted", "kind=x", "reason=x", "cursor=x", "limit=0", "ids=x"):
        await get(system, f"projects/default/bindings?{wrong}", status=422)


async def test_a_project_may_be_one_to_one_with_ids_of_its_own_for_nobody(system: System) -> None:
    identity = {"strategy": "one_to_one", "nobody_ids": ["visitor"], "somebody_ids": ["0"]}
    answer = await system.query_api.post("/api/v1/projects", json={"name": "retail", "identity": identity})
    assert answer.status_code == 201, answer.text
    key = answer.json()["write_key"]
    await system.send(
        event("view", "phone", 0),
        event("view", "tablet", 1),
        {"type": "track_signup", "original_id": "phone", **event("$SignUp", "ann", 2)},
        {"type": "track_signup", "original_id": "tablet", **event("$SignUp", "ann", 3)},
        {**event("buy", "x", 4), "anonymous_id": "tablet", "login_id": "ann"},
        event("view", "Visitor", 5),
        event("view", "0", 6),
        key=key,
    )
    await system.settle()
    ann = await get(system, "users/phone?project=retail")
    assert ann["distinct_ids"] == ["ann", "phone"]
    assert (await get(system, "users/tablet?project=retail"))["distinct_ids"] == ["tablet"]
    assert (await get(system, "users/0?project=retail"))["distinct_ids"] == ["0"]
    await get(system, "users/visitor?project=retail", status=404)
    refused = await get(system, "projects/retail/bindings?outcome=refused")
    assert [(line["anonymous_id"], line["reason"]) for line in refused["decisions"]] == [
        ("tablet", "one_to_one")
    ]
    for identity in ({"nobody_ids": ["a", " A"]}, {"somebody_ids": ["ann"]}, {"nobody_ids": [" "]}):
        wrong = await system.query_api.post("/api/v1/projects", json={"name": "r2", "identity": identity})
        assert wrong.status_code == 422, wrong.text


async def test_a_timeline_tells_sessions_also_across_pages(system: System) -> None:
    minutes = [0, 29, 58, 88, 89]  # 30 minutes and more lie before the fourth
    await system.send(*[event(f"e{minute}", "phone", minute) for minute in minutes])
    await system.send({"type": "track_signup", "original_id": "phone", **event("$SignUp", "ann", 70)})
    await system.settle()
    whole = await get(system, "users/ann/events")
    assert [(one["event"], one["session"]) for one in whole["events"]] == [
        ("e89", 2), ("e88", 2), ("$SignUp", 1), ("e58", 1), ("e29", 1), ("e0", 1)
    ]  # fmt: skip
    assert whole["sessions"] == [
        {"number": 2, "from": "2026-11-30T01:21:20.000Z", "to": "2026-11-30T01:22:20.000Z", "events": 2},
        {"number": 1, "from": "2026-11-29T23:53:20.000Z", "to": "2026-11-30T00:51:20.000Z", "events": 3},
    ]
    first = await get(system, "users/ann/events?limit=4")
    assert first["sessions"] == whole["sessions"]
    rest = await get(system, f"users/ann/events?before={first['next_before']}")
    assert [one["session"] for one in rest["events"]] == [1, 1]
    assert rest["sessions"] == whole["sessions"][1:]


async def test_a_profiles_history_is_newest_first_and_pages_by_record(system: System) -> None:
    def told(kind: str, user: str, minute: int, **properties: Any) -> dict[str, Any]:
        record = event("", user, minute, **properties)
        return {"type": f"profile_{kind}"} | {name: record[name] for name in record if name != "event"}

    await system.send(
        told("set", "phone", 0, city="Xi'an", balance=10.10),
        told("increment", "ann", 1, visits=2),
        told("append", "ann", 2, tags=["x"]),
        told("unset", "ann", 3, city=True),
        {"type": "track_signup", "original_id": "phone", **event("$SignUp", "ann", 4)},
    )
    await system.settle()
    found = await get(system, "users/ann/history")
    assert [(one["operation"], one["property"], one["value"]) for one in found["operations"]] == [
        ("profile_unset", "city", None),
        ("profile_append", "tags", ["x"]),
        ("profile_increment", "visits", 2),
        ("profile_set", "balance", 10.1),
        ("profile_set", "city", "Xi'an"),
    ]
    assert found["next_before"] is None
    page = await get(system, "users/ann/history?limit=4")
    assert len(page["operations"]) == 3
    rest = await get(system, f"users/ann/history?before={page['next_before']}")
    assert page["operations"] + rest["operations"] == found["operations"]
    await get(system, "users/no-such/history", status=404)
