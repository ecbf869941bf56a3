"""Rules on personal data: set over the API, in force at the doors, counted; tokens read with a reason."""

from __future__ import annotations

from typing import Any

from footfall.workspace.audit import AuditFilter
from tests.system import System

URL = "/api/v1/projects/default/privacy"
PHONE = "13800138000"


def record(**fields: Any) -> dict[str, Any]:
    return {"event": "pay", "distinct_id": "u1", "properties": {}} | fields


def actions(system: System) -> list[str]:
    """What stands in the audit log, the newest last."""
    rows = system.workspace.audit.rows(AuditFilter())
    return [row.action for row in rows if not row.action.startswith("key.")]


async def properties_of(system: System, event: str) -> dict[str, str]:
    rows = system.rows("SELECT properties FROM events WHERE event = {event:String}", event=event)
    return dict(rows[0][0])


async def test_shows_defaults_until_something_is_set(system: System) -> None:
    shown = (await system.query_api.get(URL)).json()
    assert shown["settings"] == {
        "detect": {"id_card": "mask", "phone": "mask", "bank_card": "mask", "email": "mask"},
        "ids": "detected",
        "ip": "drop",
        "c2": "mask",
        "suite": None,
        "rules": [],
    }
    assert shown["changed_at"] is None
    assert "password" in shown["never_collected"]


async def test_rules_count_at_the_door_and_tokens_are_read_again(system: System) -> None:
    rules = [
        {"property": "mobile", "action": "tokenise"},
        {"property": "note_*", "action": "hash", "events": ["pay"]},
        {"property": "free", "action": "keep"},
        {"property": "secret", "action": "drop"},
    ]
    answer = await system.query_api.put(URL, json={"rules": rules, "suite": "gm"})
    assert answer.status_code == 200, answer.text
    sent = {
        "mobile": PHONE,
        "note_a": "x",
        "free": PHONE,
        "secret": "s",
        "other": f"tel {PHONE}",
        "n": int(PHONE),
    }
    await system.send(record(properties=sent), record(event="view", properties={"note_a": "x"}))
    await system.settle()
    kept = await properties_of(system, "pay")
    assert kept["free"] == PHONE
    assert kept["other"] == "tel 138****8000"
    assert kept["n"] == "138****8000"
    assert kept["note_a"].startswith("hash_")
    assert "secret" not in kept
    assert (await properties_of(system, "view"))["note_a"] == "x"
    body = {"values": [kept["mobile"]], "reason": "a customer complained"}
    revealed = await system.query_api.post(f"{URL}/detokenise", json=body)
    assert revealed.json() == {"values": [PHONE]}
    assert actions(system) == ["privacy.change", "unmask"]
    counts = {
        (each["event"], each["property"], each["kind"], each["action"]): each["count"]
        for each in (await system.query_api.get(URL)).json()["counts"]
    }
    assert counts["pay", "mobile", "rule", "tokenise"] == 1
    assert counts["pay", "other", "phone", "mask"] == 1
    assert counts["pay", "secret", "rule", "drop"] == 1


async def test_a_token_that_is_none_is_named_and_noted(system: System) -> None:
    answer = await system.query_api.post(f"{URL}/detokenise", json={"values": ["tok_i_ab"], "reason": "why"})
    assert answer.status_code == 422
    assert answer.json()["field"] == "values[0]"
    for body in ({"values": [], "reason": "why"}, {"values": ["x"]}, {"values": ["x"], "reason": ""}):
        assert (await system.query_api.post(f"{URL}/detokenise", json=body)).status_code == 422


async def test_what_cannot_be_is_said_with_its_place_and_the_nearest_word(system: System) -> None:
    wrong = {
        "ipp": "drop",
        "ids": "hide",
        "rules": [
            {"property": "password", "action": "keep"},
            {"property": "distinct_id", "action": "mask"},
            {"property": "a", "action": "encrypt"},
            {"action": "drop"},
            {"property": "identities.$identity_mobile", "action": "mask"},
        ],
    }
    answer = await system.query_api.put(URL, json=wrong)
    assert answer.status_code == 422
    faults = {each["field"]: each for each in answer.json()["errors"]}
    assert faults["ipp"]["nearest"] == "ip"
    assert faults["rules[2].action"]["nearest"] == "tokenise"
    assert faults.keys() == {
        "ipp", "ids", "rules[0].action", "rules[1].property", "rules[2].action", "rules[3].property",
        "rules[4].action",
    }  # fmt: skip
    for nonsense in ([], "x", {"rules": {}}, {"detect": []}, {"suite": 3}):
        assert (await system.query_api.put(URL, json=nonsense)).status_code == 422


async def test_a_record_is_tried_out_and_nothing_is_stored(system: System) -> None:
    body = {"record": record(properties={"note": PHONE, "pin": "1234"})}
    told = (await system.query_api.post(f"{URL}/test", json=body)).json()
    assert told["record"]["properties"] == {"note": "138****8000"}
    assert {(each["property"], each["kind"], each["action"]) for each in told["done"]} == {
        ("note", "phone", "mask"),
        ("pin", "never_collect", "drop"),
    }
    refused = (await system.query_api.post(f"{URL}/test", json={"record": {"event": "1"}})).json()
    assert not refused["accepted"]
    await system.settle()
    assert (await system.ledger())["received"] == 0


async def test_people_are_found_by_the_id_that_was_sent(system: System) -> None:
    await system.send(record(distinct_id=PHONE, event_id="a"), record(distinct_id=PHONE, event_id="b"))
    await system.settle()
    person = (await system.query_api.get(f"/api/v1/users/{PHONE}")).json()
    assert person["user_id"].startswith("pid_")
    assert (await system.query_api.get(f"/api/v1/users/{person['user_id']}")).json() == person
    events = (await system.query_api.get(f"/api/v1/users/{PHONE}/events")).json()["events"]
    assert len(events) == 2
    condition = {"property": "distinct_id", "op": "eq", "value": PHONE}
    asked = {
        "series": [{"event": "pay", "where": [condition], "measure": "events"}],
        "range": {"last": {"value": 7, "unit": "day"}},
    }
    assert (await system.ask("trends", asked))["series"][0]["total"] == 2


async def test_a_write_key_sees_and_sets_nothing(system: System) -> None:
    headers = {"Authorization": "Bearer ff_wk_of_the_test"}
    assert (await system.query_api.get(URL, headers=headers)).status_code == 403
    assert (await system.query_api.put(URL, headers=headers, json={})).status_code == 403
