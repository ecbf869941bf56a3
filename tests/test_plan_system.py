"""Tracking plans from the query API to the doors, the log, the store and back."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collector.options import CollectorOptions
from footfall.privacy.settings import PrivacySettings, Rule
from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from footfall.storage.store import Store
from footfall.tracking_plan.reading import read_plan
from footfall.tracking_plan.yaml_form import read_yaml, write_yaml
from footfall.workspace.audit import AuditFilter
from tests.collector_worker import wrapped
from tests.importing import import_file
from tests.system import WRITE_KEY, System, open_system

URL = "/api/v1/projects/default/plan"
NOON = 1_795_000_000_000
PLAN: dict[str, Any] = {
    "mode": "report",
    "events": {
        "buy": {
            "properties": {
                "fund": {"type": "string", "required": True, "allowed": ["A", "B"], "grade": "C1"},
                "rate": {"type": "decimal"},
            }
        }
    },
}
_numbers = itertools.count(1)


@pytest.fixture
async def system(store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """As the shared one, but its collector asks for the plan each time."""
    url = f"{store_url}?database=plans_{next(_numbers)}"
    options = CollectorOptions(project_seconds=0.0)
    async with open_system(url, tmp_path, options=options) as opened:
        opened.clock.freeze(NOON)
        yield opened


async def put(system: System, plan: Any, version: int, **query: str) -> dict[str, Any]:
    answer = await system.query_api.put(URL, json={"version": version, "plan": plan}, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def violations(system: System, **query: str) -> dict[str, Any]:
    answer = await system.query_api.get(f"{URL}/violations", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def counted(system: System) -> dict[tuple[str, str, str], int]:
    await system.settle()
    ever = {"from": "2026-01-01", "to": "2100-01-01"}  # imports go by the wall clock
    rows = (await violations(system, by="event,property,kind", **ever))["rows"]
    return {(row["event"], row["property"], row["kind"]): row["count"] for row in rows}


def buy(event_id: str, **properties: Any) -> dict[str, Any]:
    lib = {"$lib": "iOS", "$app_version": "8.1"}
    return {
        "event": "buy",
        "distinct_id": "a",
        "time": NOON,
        "event_id": event_id,
        "properties": properties,
        "lib": lib,
    }


BAD = {("buy", "fund", "not_allowed"): 1, ("buy", "rate", "wrong_type"): 1}


async def send(system: System, door: str, record: dict[str, Any], directory: Path) -> None:
    """The record through a door."""
    if door == "native":
        assert (await system.send(record)).status_code == 200
    elif door == "sensors":
        sensors = {**record, "_track_id": 7, "type": "track"}
        sensors.pop("event_id")
        body = b"data=" + wrapped(sensors)
        assert (await system.collector.post(f"/sa?token={WRITE_KEY}", content=body)).status_code == 200
    else:
        file = directory / "records.jsonl"
        file.write_text(json.dumps(record) + "\n")
        await import_file(system, file, None)


@pytest.mark.parametrize("door", ["native", "sensors", "import"])
@pytest.mark.parametrize("mode", ["off", "report", "enforce"])
async def test_a_door_judges_in_every_mode(system: System, mode: str, door: str, tmp_path: Path) -> None:
    await put(system, {**PLAN, "mode": mode}, 0)
    await send(system, door, buy("e1", fund="C", rate="x"), tmp_path)
    assert await counted(system) == ({} if mode == "off" else BAD)
    stored = len(system.rows("SELECT * FROM events"))
    letters = system.rows("SELECT reason FROM dead_letters")
    assert (stored, letters) == ((0, [("plan_not_allowed",)]) if mode == "enforce" else (1, []))
    total = await system.ledger()
    assert total["received"] == 1
    told = verify(system.store, system.log, rules_in(system.workspace))
    assert not [each for each in told if isinstance(each, Finding)]


async def test_a_replay_is_judged_by_the_plan_of_the_moment(system: System) -> None:
    await put(system, {**PLAN, "mode": "enforce"}, 0)
    await system.send(buy("e1", fund="C", rate="x"))
    await system.settle()
    replay = f"{URL.removesuffix('/plan')}/dead-letters/replay"
    refused = (await system.query_api.post(replay, json={"all": True})).json()
    assert refused["refused"] == {"plan_not_allowed": 1}
    await put(system, PLAN, 1)
    mended = {"all": True, "fix": 'set /properties/fund = "A"'}
    assert (await system.query_api.post(replay, json=mended)).json()["replayed"] == 1
    await system.settle()
    rows = (await violations(system, by="property,refused"))["rows"]
    assert {(row["property"], row["refused"]): row["count"] for row in rows} == {
        ("fund", True): 1,
        ("rate", True): 1,
        ("rate", False): 1,
    }


async def test_counts_are_the_same_whatever_is_cut_off(system: System) -> None:
    await put(system, {**PLAN, "mode": "report"}, 0)
    for number in range(3):
        await system.send(buy(f"e{number}", fund="C", rate="x"), buy("same", fund="C"))
    assert await system.settle_dying() > 5
    assert await counted(system) == {("buy", "fund", "not_allowed"): 4, ("buy", "rate", "wrong_type"): 3}


async def test_violations_are_told_by_what_is_asked(system: System) -> None:
    await put(system, PLAN, 0)
    await system.send(buy("e1", fund="C"), buy("e2", fund="C"), buy("e3"), {**buy("e4"), "event": "sell"})
    await system.settle()
    answer = await violations(system)
    assert (answer["from"], answer["to"], answer["total"], answer["refused"]) == (
        "2026-11-12",
        "2026-11-18",
        4,
        0,
    )
    assert answer["rows"][0] == {
        "event": "buy",
        "property": "fund",
        "kind": "not_allowed",
        "app_version": "8.1",
        "count": 2,
    }
    assert (await violations(system, by="day,kind", limit="1"))["truncated"]
    assert (await violations(system, kind="unknown_event"))["total"] == 1
    assert (await violations(system, app_version="9"))["rows"] == []
    assert (await violations(system, **{"from": "2026-11-01", "to": "2026-11-17"}))["total"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"by": "days"}, "by"),
        ({"kind": "wrong"}, "kind"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "from"),
        ({"evnt": "a"}, "evnt"),
        ({"limit": "0"}, "limit"),
    ],
)
async def test_a_question_that_means_nothing_is_refused(
    system: System, query: dict[str, str], field: str
) -> None:
    answer = await system.query_api.get(f"{URL}/violations", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_change_says_what_it_changes_and_is_remembered(system: System) -> None:
    assert (await system.query_api.get(URL)).json() == {
        "version": 0,
        "changed_at": None,
        "changed_by": None,
        "plan": {"mode": "off", "unknown_events": "report", "unknown_properties": "report", "events": {}},
    }
    first = await put(system, PLAN, 0)
    assert (first["version"], first["changed"]) == (1, True)
    changed = {**PLAN, "mode": "enforce"}
    tried = await put(system, changed, 1, dry_run="true")
    assert (tried["version"], tried["dry_run"]) == (1, True)
    assert tried["changes"] == [{"path": "mode", "change": "changed", "before": "report", "after": "enforce"}]
    assert (await put(system, changed, 1))["version"] == 2
    assert (await put(system, changed, 2))["changed"] is False
    versions = (await system.query_api.get(f"{URL}/versions")).json()["versions"]
    assert [each["version"] for each in versions] == [2, 1]
    assert all(each["changed_by"] for each in versions)
    older = (await system.query_api.get(URL, params={"version": "1"})).json()
    assert older["plan"]["mode"] == "report"
    assert (await system.query_api.get(URL, params={"version": "9"})).status_code == 404
    rows = system.workspace.audit.rows(AuditFilter(project="default", action="plan.change"))
    assert [row.subject for row in rows] == ["version 1", "version 2"]


async def test_a_change_on_an_older_version_conflicts(system: System) -> None:
    await put(system, PLAN, 0)
    answer = await system.query_api.put(URL, json={"version": 0, "plan": PLAN})
    assert answer.status_code == 409
    assert answer.json()["code"] == "plan_changed"
    assert "version 1" in answer.json()["detail"]


async def test_faults_are_named_with_what_was_meant(system: System) -> None:
    plan = {"mode": "reprot", "events": {"a": {"properties": {"x": {"type": "int"}}}}}
    answer = await system.query_api.put(URL, json={"version": 0, "plan": plan})
    assert answer.status_code == 422
    told = [(each["field"], each["nearest"]) for each in answer.json()["errors"]]
    assert told == [("plan.mode", "report"), ("plan.events.a.properties.x.type", "number")]
    answer = await system.query_api.put(URL, json={"plan": PLAN})
    assert (answer.status_code, answer.json()["field"]) == (422, "version")


async def test_yaml_goes_in_and_comes_out_byte_for_byte(system: System) -> None:
    text = write_yaml(read_yaml(json.dumps(PLAN).encode()))
    yaml = {"Content-Type": "application/yaml"}
    answer = await system.query_api.put(URL, content=text.encode(), headers=yaml, params={"version": "0"})
    assert answer.json()["version"] == 1
    for asked in ({"params": {"format": "yaml"}}, {"headers": {"Accept": "application/yaml"}}):
        shown = await system.query_api.get(URL, **asked)
        assert shown.headers["content-type"].startswith("application/yaml")
        assert shown.text == text
    wrong = await system.query_api.put(URL, content=b"mode: of\n", headers=yaml, params={"version": "1"})
    assert wrong.json()["errors"][0]["message"].startswith("line 1: ")
    unsaid = await system.query_api.put(URL, content=text.encode(), headers=yaml)
    assert (unsaid.status_code, unsaid.json()["field"]) == (422, "version")


async def test_only_the_projects_secret_key_opens_its_plan(system: System) -> None:
    write = {"Authorization": f"Bearer {WRITE_KEY}"}
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("GET", "/versions"),
        ("GET", "/violations"),
        ("POST", "/propose"),
    ):
        answer = await system.query_api.request(method, URL + path, headers=write, json={})
        assert answer.status_code == 403, path
    assert (await system.query_api.get("/api/v1/projects/nobody/plan")).status_code in (403, 404)


async def test_a_type_that_cannot_change_any_more_is_told(system: System) -> None:
    await system.send(buy("e1", fund="A", rate=1.5))
    await system.settle()
    (warning,) = (await put(system, PLAN, 0, dry_run="true"))["warnings"]
    assert "'rate' was first seen as number" in warning


async def test_declared_decimals_are_exact_in_answers(system: System) -> None:
    await put(system, PLAN, 0)
    body = json.dumps([buy("e1", fund="A", rate=0), buy("e2", fund="B", rate=0)]).replace(
        '"rate": 0', '"rate": 0.10'
    )
    key = {"Authorization": f"Bearer {WRITE_KEY}"}
    assert (await system.collector.post("/v1/events", content=body.encode(), headers=key)).status_code == 200
    await system.settle()
    assert system.rows("SELECT toString(type) FROM property_catalogue WHERE property = 'rate'") == [
        ("decimal",)
    ]
    assert system.rows("SELECT properties['rate'] FROM events") == [("0.10",), ("0.10",)]


def seen_records() -> list[dict[str, Any]]:
    """What an app might send: properties that are always there, now and then, of every type."""
    records = []
    for number in range(60):
        properties: dict[str, Any] = {
            "channel": ("app", "web")[number % 2],
            "order": f"order-{number}",
            "when": f"2026-01-{1 + number % 28:02d} 08:00:00",
            "tags": ["a", "b"][: number % 3],
            "vip": number % 2 == 0,
            "amount": number + 0.25,
            "$os": "iOS",
        }
        if number % 8 == 1:
            properties |= {"note": "x" * number, "rate": number / 7}
        if number == 7:
            properties["mixed"] = 1
        if number == 8:
            properties["mixed"] = "one"
        event = ("buy", "sell", "$pageview", "look")[number % 4]
        records.append(
            {"event": event, "distinct_id": f"u{number % 5}", "time": NOON - number, "properties": properties}
        )
    records += [
        {"type": "profile_set", "distinct_id": "u1", "time": NOON, "properties": {"city": "上海", "age": 30}},
        {"type": "profile_increment", "distinct_id": "u1", "time": NOON, "properties": {"coins": 3}},
        {"type": "profile_append", "distinct_id": "u1", "time": NOON, "properties": {"cards": ["x"]}},
        {"type": "profile_unset", "distinct_id": "u1", "time": NOON, "properties": {"city": True}},
        {
            "type": "item_set",
            "item_type": "fund",
            "item_id": "7",
            "time": NOON,
            "properties": {"risk": "low"},
        },
    ]
    return records


async def test_what_is_proposed_accepts_all_that_was_seen(system: System) -> None:
    records = seen_records()
    await system.send(*records)
    await system.settle()
    answer = (await system.query_api.post(f"{URL}/propose")).json()
    plan = answer["plan"]
    assert answer["notes"] == ["the event property 'mixed' came with several types: it is left out"]
    common = plan["common_properties"]
    assert common["order"] == {"type": "string", "required": True}
    assert common["channel"] == {"type": "string", "required": True, "allowed": ["app", "web"]}
    assert {name: each["type"] for name, each in common.items()} == {
        "amount": "decimal", "channel": "string", "order": "string", "tags": "list", "vip": "boolean",
        "when": "datetime",
    }  # fmt: skip
    note, rate = {"type": "string"}, {"type": "number"}
    assert plan["events"] == {"buy": {}, "look": {}, "sell": {"properties": {"note": note, "rate": rate}}}
    assert plan["user_properties"].keys() == {"age", "cards", "city", "coins"}
    enforced = {**plan, "mode": "enforce", "unknown_events": "refuse", "unknown_properties": "report"}
    await put(system, enforced, 0)
    again = [{**record, "time": record["time"] - 1} for record in records]
    answer = (await system.send(*again)).json()
    assert answer == {"accepted": len(records), "rejected": []}
    assert await counted(system) == {
        ("buy", "mixed", "unknown_property"): 1,
        ("look", "mixed", "unknown_property"): 1,
    }
    yaml = await system.query_api.post(f"{URL}/propose", params={"format": "yaml", "days": "30"})
    assert read_yaml(yaml.content) == read_plan(enforced)


async def test_small_sets_of_values_and_what_is_always_there_are_proposed(system: System) -> None:
    records = [
        {"event": "buy", "distinct_id": f"u{number % 6}", "time": NOON - number, "properties": properties}
        for number in range(40)
        for properties in [
            {"side": ("in", "out")[number % 2], "masked": "138****8000"}
            | ({"x": 1} if number else {})
            # Of two persons each, as names of a few customers are; one of them in a column.
            | {"who": ("lin", "wang", "zhao")[number % 3], "channel": ("ann", "bob", "cui")[number % 3]}
        ]
    ]
    await system.send(*records)
    await system.settle()
    plan = (await system.query_api.post(f"{URL}/propose")).json()["plan"]
    assert plan["events"]["buy"]["properties"] == {
        "channel": {"type": "string", "required": True},
        "masked": {"type": "string", "required": True},
        "who": {"type": "string", "required": True},
        "side": {"type": "string", "required": True, "allowed": ["in", "out"]},
        "x": {"type": "number"},
    }


async def test_a_proposal_keeps_what_people_wrote_and_what_privacy_hides(system: System) -> None:
    written = {"type": "string", "allowed": ["lin", "wang"], "grade": "C2", "owner": "crm"}
    age, level = {"type": "number", "grade": "C2"}, {"type": "string", "grade": "C1"}
    plan: dict[str, Any] = {
        "mode": "enforce",
        "events": {
            "buy": {"owner": "wealth", "grade": "C1", "properties": {"who": written}},
            "never": {"properties": {"secret": {"type": "string", "grade": "C3"}}},
        },
        "user_properties": {"age": age, "level": level},
    }
    await put(system, plan, 0)
    hashed = PrivacySettings(rules=(Rule("branch", "hash"),))
    system.workspace.privacy.save("default", hashed, by="ann", now=NOON)
    properties = {"who": "lin", "branch": "east", "side": "in"}
    records: list[dict[str, Any]] = [
        {"event": "buy", "distinct_id": f"u{each % 3}", "time": NOON - each, "properties": properties}
        for each in range(20)
    ]
    profile = {
        "type": "profile_set",
        "distinct_id": "a",
        "time": NOON,
        "properties": {"age": 30, "level": "x"},
    }
    await system.send(*records, profile)
    await system.settle()
    answer = (await system.query_api.post(f"{URL}/propose")).json()
    assert answer["plan"]["mode"] == "enforce"
    assert answer["plan"]["events"]["never"] == plan["events"]["never"]
    bought = answer["plan"]["events"]["buy"]
    assert (bought["owner"], bought["grade"]) == ("wealth", "C1")
    assert bought["properties"] == {
        "side": {"type": "string", "required": True, "allowed": ["in"]},
        "who": written,
    }
    assert answer["plan"]["user_properties"] == {"age": age, "level": level}
    (note,) = answer["notes"]
    assert "'branch' is changed by a privacy rule" in note
