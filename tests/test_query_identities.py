"""Declared identity keys (strategy `global`) through both ports: projects, persons, administrators' words."""

from __future__ import annotations

from typing import Any

import pytest

from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from tests.system import System

NOW = 1_795_301_590_252
WEB = {"$identity_cookie_id": "c1", "$identity_anonymous_id": "c1"}


async def make(system: System, name: str = "bank", **identity: Any) -> str:
    """A project with declared keys; its secret key."""
    body = {"name": name, "identity": {"strategy": "global", **identity}}
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["write_key"])


async def get(system: System, path: str, status: int = 200) -> Any:
    answer = await system.query_api.get(f"/api/v1/{path}" + ("?project=bank" if "users/" in path else ""))
    assert answer.status_code == status, answer.text
    return answer.json()


async def say(system: System, status: int = 202, project: str = "bank", **word: Any) -> Any:
    system.clock.freeze(system.clock() + 1_000)
    answer = await system.query_api.post(f"/api/v1/projects/{project}/bindings", json=word)
    assert answer.status_code == status, answer.text
    await system.settle()
    return answer.json()


def event(name: str, distinct_id: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, "distinct_id": distinct_id, "time": NOW, "properties": {}} | fields


async def fill(system: System, key: str) -> None:
    """A visitor who tells her number, then logs in; as the Web SDK sends it."""
    system.clock.freeze(NOW)
    told = {"$identity_mobile": "138"}
    await system.send(
        event("view", "c1", anonymous_id="c1", identities=WEB),
        event("$BindID", "c1", type="track_id_bind", anonymous_id="c1", identities=WEB | told),
        {"type": "profile_set", **event("", "c1", anonymous_id="c1", identities=WEB | told)}
        | {"properties": {"city": "上海"}},
        event(
            "$SignUp", "lin", type="track_signup", original_id="c1", login_id="lin", anonymous_id="c1",
            identities=WEB | told | {"$identity_login_id": "lin"},
        ),
        event("buy", "lin", login_id="lin", identities={"$identity_login_id": "lin", "$identity_idfv": "i1"}),
        key=key,
    )  # fmt: skip
    await system.settle()


async def test_a_person_shows_all_their_identity_keys_whichever_is_asked_for(system: System) -> None:
    await fill(system, await make(system))
    person = await get(system, "users/lin")
    assert person["user_id"] == "lin"
    assert person["distinct_ids"] == [
        "lin", "$identity_cookie_id+c1", "$identity_idfv+i1", "$identity_mobile+138", "c1"
    ]  # fmt: skip
    assert person["identities"] == {
        "$identity_login_id": ["lin"],
        "$identity_mobile": ["138"],
        "$identity_anonymous_id": ["c1"],
        "$identity_cookie_id": ["c1"],
        "$identity_idfv": ["i1"],
    }
    assert person["properties"] == {"city": "上海"}
    for id_ in ("c1", "$identity_mobile+138", "$identity_cookie_id+c1", "$identity_idfv+i1"):
        assert await get(system, f"users/{id_}") == person
        timeline = await get(system, f"users/{id_}/events")
        assert [each["event"] for each in timeline["events"]] == ["buy", "$SignUp", "$BindID", "view"]
        history = await get(system, f"users/{id_}/history")
        assert [each["distinct_id"] for each in history["operations"]] == ["$identity_mobile+138"]
    await get(system, "users/138", status=404)
    users = await system.ask("trends", USERS)
    assert users["series"][0]["total"] == 1
    await system.restamp()
    assert await get(system, "users/c1") == person
    assert (await system.ask("trends", USERS))["series"][0]["total"] == 1


USERS = {
    "project": "bank",
    "range": {"from": "2026-01-01", "to": "2027-12-31"},
    "series": [{"event": "view", "measure": "users"}],
    "interval": "year",
}


async def test_an_administrator_binds_and_unbinds_identities(system: System) -> None:
    await fill(system, await make(system))
    await say(system, action="unbind", identities={"$identity_mobile": "138"}, note="number given up")
    lin = await get(system, "users/lin")
    assert "$identity_mobile" not in lin["identities"]
    assert lin["properties"] == {}  # was set under the number
    number = await get(system, "users/$identity_mobile+138")
    assert number["identities"] == {"$identity_mobile": ["138"]}
    assert number["properties"] == {"city": "上海"}
    timeline = await get(system, "users/$identity_mobile+138/events")
    assert [each["event"] for each in timeline["events"]] == ["$UnbindID", "$BindID"]
    both = {"$identity_login_id": "lin", "$identity_mobile": "138"}
    await say(system, action="bind", identities=both)
    assert (await get(system, "users/lin"))["properties"] == {"city": "上海"}
    await say(system, action="unbind", identities=both)
    await say(system, action="bind", anonymous_id="$identity_mobile+138", login_id="wang")
    assert (await get(system, "users/$identity_mobile+138"))["user_id"] == "wang"
    log = await get(system, "projects/bank/bindings?kind=unbind")
    assert [(each["anonymous_id"], each["login_id"], each["outcome"]) for each in log["decisions"]] == [
        ("$identity_mobile+138", "lin", "accepted"),
        ("$identity_mobile+138", None, "accepted"),
    ]
    await say(system, action="merge", login_id="wang", into="lin")
    merged = await get(system, "users/wang")
    assert merged["user_id"] == "lin"
    assert merged["identities"]["$identity_login_id"] == ["lin", "wang"]
    await say(system, action="unmerge", login_id="wang", into="lin")
    assert (await get(system, "users/wang"))["identities"]["$identity_login_id"] == ["wang"]


async def test_what_an_administrator_cannot_say_of_identities_is_refused(system: System) -> None:
    await fill(system, await make(system))
    both = {"$identity_login_id": "lin", "$identity_mobile": "1"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"action": "bind", "identities": {"$identity_mobile": "1"}}, "identities"),
        ({"action": "bind", "identities": {"$identity_mobil": "1", **both}}, "identities.$identity_mobil"),
        ({"action": "unbind", "identities": {"$identity_mobile": "null"}}, "identities.$identity_mobile"),
        ({"action": "unbind", "identities": {}}, "identities"),
        ({"action": "bind", "identities": both, "login_id": "x"}, "login_id"),
        ({"action": "merge", "identities": both}, "identities"),
        ({"action": "bind", "anonymous_id": "lin", "login_id": "wang"}, "anonymous_id"),
        ({"action": "merge", "login_id": "lin", "into": "c1"}, "into"),
    ]
    for word, field in wrong:
        problem = await say(system, 422, **word)
        assert problem["field"] == field, problem
    problem = await say(system, 422, action="bind", identities={"$identity_mobil": "1", **both})
    assert problem["nearest"] == "$identity_mobile"
    problem = await say(system, 422, project="default", action="bind", identities=both)
    assert problem["field"] == "identities"


async def test_a_record_with_an_undeclared_key_is_refused_whole(system: System) -> None:
    key = await make(system)
    system.clock.freeze(NOW)
    answer = await system.send(
        event("view", "c1", identities={"$identity_mobil": "138"}),
        event("view", "c1", identities=WEB),
        key=key,
    )
    assert answer.json()["accepted"] == 1
    (refused,) = answer.json()["rejected"]
    assert (refused["reason"], refused["field"]) == ("undeclared_identity", "identities.$identity_mobil")
    assert "did you mean '$identity_mobile'" in refused["message"]
    await system.settle()
    assert (await system.ledger("bank"))["rejected"] == {"undeclared_identity": 1}
    letters = await get(system, "projects/bank/dead-letters?reason=undeclared_identity")
    assert len(letters["letters"]) == 1
    answer = await system.send(event("view", "c1", identities={"anything": "goes"}))  # many_to_one
    assert answer.json()["accepted"] == 1


async def test_a_project_says_which_keys_it_declares(system: System) -> None:
    keys: list[dict[str, Any]] = [
        {"name": "$identity_login_id", "values": "one"},
        {"name": "customer_no", "values": "one", "overflow": "replace"},
        {"name": "$identity_anonymous_id"},
        {"name": "device", "most": 5},
        {"name": "app_id", "parent": "device"},
    ]
    await make(system, keys=keys)
    told = {"values": "many", "parent": None, "most": None, "overflow": "refuse"}
    found = await get(system, "projects/bank")
    assert found["identity"]["keys"] == [told | key for key in keys]
    assert [each.name for each in system.workspace.projects()] == ["bank", "default"]
    await make(system, "defaults")
    names = [key["name"] for key in (await get(system, "projects/defaults"))["identity"]["keys"]]
    assert names[:3] == ["$identity_login_id", "$identity_mobile", "$identity_email"]
    assert "keys" not in (await get(system, "projects/default"))["identity"]


LOGIN = {"name": "$identity_login_id", "values": "one"}
ANONYMOUS = {"name": "$identity_anonymous_id"}


@pytest.mark.parametrize(
    ("keys", "field", "nearest"),
    [
        ([ANONYMOUS, LOGIN], "identity.keys", None),
        ([LOGIN], "identity.keys", None),
        ([{"name": "$identity_login_id"}, ANONYMOUS], "identity.keys[0].values", None),
        ([LOGIN, {**ANONYMOUS, "values": "one"}], "identity.keys[1].values", None),
        ([LOGIN, ANONYMOUS, {"name": "device", "value": "one"}], "identity.keys[2].value", "values"),
        ([LOGIN, ANONYMOUS, {"name": "device", "values": "ones"}], "identity.keys[2].values", "one"),
        ([LOGIN, ANONYMOUS, {"name": "a+b"}], "identity.keys[2].name", None),
        ([LOGIN, ANONYMOUS, {"name": "user_id"}], "identity.keys[2].name", None),
        ([LOGIN, ANONYMOUS, ANONYMOUS], "identity.keys[2].name", None),
        (
            [LOGIN, ANONYMOUS, {"name": "x", "parent": "device"}, {"name": "devices"}],
            "identity.keys[2].parent",
            "devices",
        ),
        ([LOGIN, ANONYMOUS, {"name": "x", "parent": "$identity_login_id"}], "identity.keys[2].parent", None),
        (
            [LOGIN, ANONYMOUS, {"name": "x", "parent": "y", "values": "one"}, {"name": "y"}],
            "identity.keys[2].parent",
            None,
        ),
        (
            [LOGIN, ANONYMOUS, {"name": "x", "parent": "y"}, {"name": "y", "parent": "z"}, {"name": "z"}],
            "identity.keys[2].parent",
            None,
        ),
        ([LOGIN, ANONYMOUS, {"name": "x", "most": 0}], "identity.keys[2].most", None),
        ([LOGIN, ANONYMOUS, {"name": "x", "values": "one", "most": 2}], "identity.keys[2].most", None),
        ([LOGIN, ANONYMOUS, {"name": "x", "overflow": "replace"}], "identity.keys[2].overflow", None),
        ([{**LOGIN, "overflow": "replace"}, ANONYMOUS], "identity.keys[0].overflow", None),
        ([LOGIN, ANONYMOUS, *({"name": f"k{n}"} for n in range(50))], "identity.keys", None),
        ([LOGIN, ANONYMOUS, {"name": "$identity_merged_login_id"}], "identity.keys[2].name", None),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
async def test_keys_that_cannot_be_declared_say_why(
    system: System, keys: list[Any], field: str, nearest: str | None
) -> None:
    body = {"name": "bank", "identity": {"strategy": "global", "keys": keys}}
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["field"], problem["errors"][0]["nearest"]) == (field, nearest)


async def test_keys_are_only_declared_with_the_strategy_that_uses_them(system: System) -> None:
    body = {"name": "bank", "identity": {"keys": [LOGIN, ANONYMOUS]}}
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "identity.keys")


async def test_the_proof_is_closed_and_names_an_altered_link(system: System) -> None:
    await fill(system, await make(system))
    await say(system, action="unbind", identities={"$identity_mobile": "138"})
    assert findings(system) == []
    await system.restamp()
    assert findings(system) == []
    system.store.command(
        "ALTER TABLE identity_links UPDATE other_name = 'x' WHERE other_id = '$identity_idfv+i1' "
        "SETTINGS mutations_sync = 2"
    )
    (found,) = findings(system)
    assert (found.table, found.problem, found.project) == ("identity_links", "altered", "bank")
    assert "link of lin and $identity_idfv+i1" in found.message


def findings(system: System) -> list[Finding]:
    told = verify(system.store, system.log, rules_in(system.workspace))
    return [each for each in told if isinstance(each, Finding)]
