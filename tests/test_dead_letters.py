"""Dead letters can be listed, counted, shown, mended, replayed; a replay changes nothing that is stored."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from query_api.fixes import FixDoesNotFit, InvalidFix, parse_fix
from tests.importing import import_file
from tests.system import SECRET_KEY, WRITE_KEY, System

NOON = 1_795_000_000_000
DAY = 86_400_000
URL = "/api/v1/projects/default/dead-letters"


async def ask(system: System, path: str = "", **query: Any) -> Any:
    answer = await system.query_api.get(URL + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def replay(system: System, **body: Any) -> Any:
    answer = await system.query_api.post(f"{URL}/replay", json=body)
    assert answer.status_code == 200, answer.text
    await system.settle()
    return answer.json()


async def turn_away(system: System) -> None:
    """Six letters of three reasons, among what is accepted."""
    system.clock.freeze(NOON)
    await system.send(
        {"event": "buy", "distinct_id": "a", "event_id": "e1", "properties": {"amount": [1.50]}},
        {"event": "view", "distinct_id": "a", "time": NOON},
        {"event": "buy", "distinct_id": "b", "time": NOON, "properties": {"amount": {"cny": 2}}},
        {"event": "old", "distinct_id": "a", "time": NOON - 400 * DAY, "event_id": "e3"},
    )
    await system.send(*[{"event": "1 bad", "distinct_id": "a", "time": NOON}] * 3)
    await system.settle()


async def closed(system: System) -> dict[str, Any]:
    """The ledger, which must close; and nothing is amiss in the store."""
    total = await system.ledger()
    accounted = total["stored"] + total["duplicate"] + sum(total["rejected"].values()) + total["queued"]
    assert total["received"] == accounted
    told = verify(system.store, system.log, rules_in(system.workspace))
    assert [each for each in told if isinstance(each, Finding)] == []
    return total


async def test_they_are_counted_listed_by_page_and_shown_with_their_bytes(system: System) -> None:
    await turn_away(system)
    counts = {line["reason"]: line["count"] for line in (await ask(system, "/counts"))["reasons"]}
    assert counts == {"invalid_name": 3, "nested_value": 2, "too_old": 1}
    first = await ask(system, limit=4)
    second = await ask(system, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    ids = [letter["id"] for letter in first["letters"] + second["letters"]]
    assert ids == ["0:0:0", "0:0:2", "0:0:3", "0:1:0", "0:1:1", "0:1:2"]
    assert [letter["id"] for letter in (await ask(system, reason="too_old"))["letters"]] == ["0:0:3"]
    shown = await ask(system, "/0:0:0")
    assert json.loads(shown["raw"])["properties"] == {"amount": [1.5]}
    assert shown["field"] == "properties.amount[0]"


async def test_a_mended_letter_is_stored_once_however_often_it_is_replayed(system: System) -> None:
    await turn_away(system)
    fix = "set /properties/amount = number(/properties/amount/0)"
    tried = await replay(system, letters=["0:0:0"], fix=fix, dry_run=True)
    assert (tried["replayed"], len(system.rows("SELECT * FROM events"))) == (1, 1)
    assert (await replay(system, letters=["0:0:0"], fix=fix))["replayed"] == 1
    assert (await replay(system, letters=["0:0:0"], fix=fix))["replayed_before"] == 1
    rows = system.rows("SELECT distinct_id, toString(p_amount), door FROM events WHERE event = 'buy'")
    assert rows == [("a", "1.5", "replay")]
    assert (await ask(system, "/0:0:0"))["replays"][0]["outcome"] == "stored"
    total = await closed(system)
    assert (total["received"], total["stored"]) == (8, 2)


async def test_what_the_client_sent_again_meanwhile_is_not_stored_twice(system: System) -> None:
    await turn_away(system)
    await system.send({"event": "buy", "distinct_id": "a", "event_id": "e1", "properties": {"amount": 1.5}})
    fix = "set /properties/amount = 1.50"
    assert (await replay(system, letters=["0:0:0"], fix=fix))["replayed"] == 1  # not processed yet
    assert (await closed(system))["duplicate"] == 1
    assert (await replay(system, letters=["0:0:0"], fix=fix))["replayed_before"] == 1
    system.store.command("TRUNCATE TABLE replays")
    system.store.command("TRUNCATE TABLE event_ids")  # as after many days
    assert (
        await replay(system, letters=["0:0:0"], fix="set /properties/amount = 1; set /time = 1795000000000")
    )["stored_before"] == 1
    assert len(system.rows("SELECT * FROM events WHERE event = 'buy'")) == 1


async def test_limits_of_time_are_lifted_by_choice_and_the_time_stays(system: System) -> None:
    await turn_away(system)
    refused = await replay(system, reason="too_old")
    assert (refused["replayed"], refused["refused"]) == (0, {"too_old": 1})
    assert (await replay(system, reason="too_old", time_free=True))["replayed"] == 1
    assert system.rows("SELECT toUnixTimestamp64Milli(time) FROM events WHERE event = 'old'") == [
        (NOON - 400 * DAY,)
    ]
    await closed(system)


async def test_a_mended_row_of_an_import_may_be_of_any_age(system: System, tmp_path: Path) -> None:
    system.clock.freeze(NOON)
    file = tmp_path / "old.csv"
    file.write_text("distinct_id,event,time\na,buy,2015-03-01\nb,1 bad,2015-03-02\n")
    await import_file(system, file)
    assert (await replay(system, all=True, fix='set /event = "good"'))["replayed"] == 1
    sql = "SELECT toString(toDate(time, 'Asia/Shanghai')) FROM events WHERE event = 'good'"
    assert system.rows(sql) == [("2015-03-02",)]
    await closed(system)


async def test_a_mended_row_of_a_sensors_export_keeps_its_form(system: System, tmp_path: Path) -> None:
    system.clock.freeze(NOON)
    file = tmp_path / "export.jsonl"
    usual = {"type": "track", "time": NOON, "_track_id": 1, "recv_time": NOON, "project": "production"}
    own = {"event": "1 bad", "distinct_id": "b", "time": NOON, "properties": {}, "type": "track"}
    lines = [usual | {"event": event, "distinct_id": "a", "properties": {}} for event in ("buy", "1 bad")]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    await import_file(system, file)
    assert (await replay(system, all=True, fix='set /event = "good"'))["replayed"] == 1
    rows = (own | {"event": "view"}, own, own | {"recv_time": 1})
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    await import_file(system, file)
    answer = await replay(system, all=True, fix='set /event = "better"')
    assert (answer["replayed"], answer["refused"]) == (1, {"unknown_field": 1})
    stored = [("better",), ("buy",), ("good",), ("view",)]
    assert system.rows("SELECT event FROM events ORDER BY event") == stored
    await closed(system)


CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
SIGN_UP = {"type": "track_signup", "event": "$SignUp", "time": NOON}


@pytest.mark.parametrize("rule", ["keep", "truncate", "drop"])
async def test_a_mended_letter_is_enriched_and_trusted_as_its_request_was(system: System, rule: str) -> None:
    system.clock.freeze(NOON)
    answer = await system.query_api.put("/api/v1/projects/default/privacy", json={"ip": rule})
    assert answer.status_code == 200, answer.text
    for key, agent, address in ((WRITE_KEY, CHROME, "8.8.8.8"), (SECRET_KEY, "app/1", "114.114.114.114")):
        headers = {"Authorization": f"Bearer {key}", "User-Agent": agent, "X-Forwarded-For": address}
        ids = [{"distinct_id": f"login {key} {n}", "original_id": f"device {key} {n}"} for n in range(2)]
        properties = [{"way": "door"}, {"way": {"nested": 1}}]
        records = [SIGN_UP | own | {"properties": each} for own, each in zip(ids, properties, strict=True)]
        await system.collector.post("/v1/events", json=records, headers=headers)
    await system.settle()
    assert (await replay(system, all=True, fix='set /properties/way = "letter"'))["replayed"] == 2
    told = "SELECT toString(properties), `p_$browser`, `p_$country` FROM events WHERE door = {door:String}"
    found = {
        door: sorted(str(row).replace("letter", "door") for row in system.rows(told, door=door))
        for door in ("native", "replay")
    }
    assert found["replay"] == found["native"]
    assert "Chrome" in str(found)
    assert "CN" in str(found)
    said = system.rows("SELECT trusted, count() FROM binding_decisions GROUP BY trusted ORDER BY trusted")
    assert said == [(False, 2), (True, 2)]
    await closed(system)


async def test_equal_records_of_a_request_stay_different_ones(system: System) -> None:
    await turn_away(system)
    for letter in ("0:1:2", "0:1:0"):
        await replay(system, letters=[letter], fix='set /event = "good"')
    assert (await replay(system, reason="invalid_name", fix='set /event = "good"'))["replayed"] == 1
    assert len(system.rows("SELECT * FROM events WHERE event = 'good'")) == 3
    await closed(system)


async def test_a_wrong_clock_is_corrected_by_when_the_letter_came(system: System) -> None:
    system.clock.freeze(NOON)
    record = {
        "type": "track", "event": "1 bad", "distinct_id": "a", "time": NOON - 3_600_000 - 5_000,
        "_flush_time": NOON - 3_600_000, "_track_id": 7, "properties": {"$lib": "js"},
    }  # fmt: skip
    url = f"/sa?project=default&token={WRITE_KEY}"
    await system.collector.post(url, data={"data": _base64(record), "gzip": "0"})
    await system.settle()
    system.clock.freeze(NOON + 30 * DAY)
    await replay(system, all=True, fix='set /event = "good"')
    rows = system.rows("SELECT toUnixTimestamp64Milli(time), properties['$original_time'] FROM events")
    assert rows == [(NOON - 5_000, str(NOON - 3_605_000))]


def _base64(record: Any) -> str:
    import base64

    return base64.b64encode(json.dumps(record).encode()).decode()


async def test_a_replay_that_dies_before_any_insert_is_stored_once(system: System) -> None:
    await turn_away(system)
    answer = await system.query_api.post(f"{URL}/replay", json={"reason": "invalid_name", "fix": FIX})
    assert answer.json()["replayed"] == 3
    assert await system.settle_dying() >= 5
    assert len(system.rows("SELECT * FROM events WHERE event = 'good'")) == 3
    assert system.rows("SELECT outcome, count() FROM replays GROUP BY outcome") == [("stored", 3)]
    await closed(system)


FIX = 'set /event = "good"'


async def test_what_is_wrong_with_a_request_is_said(system: System) -> None:
    for body, field in (
        ({}, ""),
        ({"all": True, "fix": "sett /a = 1"}, "fix"),
        ({"letters": ["1:2"]}, "letters[0]"),
        ({"reason": "too_odl"}, "reason"),
    ):
        answer = await system.query_api.post(f"{URL}/replay", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    answer = await system.query_api.get(URL, params={"reason": "too_odl"})
    assert (answer.status_code, answer.json()["nearest"]) == (422, "too_old")
    assert answer.json()["detail"].endswith("did you mean 'too_old'?"), answer.text
    assert (await system.query_api.get(f"{URL}/9:9:9")).status_code == 404
    wrong = {"Authorization": f"Bearer {WRITE_KEY}"}
    assert (await system.query_api.get(URL, headers=wrong)).status_code == 403


RECORD = (
    b'{"event": " Buy ", "n": 12345678901234567890.10, '
    b'"properties": {"a/b": "1,500.50", "old": 1, "l": ["x"]}}'
)


@pytest.mark.parametrize(
    ("fix", "changed"),
    [
        ("set /event = lower(trim(/event))", {"event": "buy"}),
        ("set /properties/v = number(/properties/a~1b)", {"v": Decimal("1500.50")}),
        ("rename /properties/old to /properties/new", {"old": None, "new": 1}),
        ("delete /properties/old; delete /nothing/there", {"old": None}),
        (
            'set /properties/c = default(/properties/none, "cny")\nset /properties/d = true',
            {"c": "cny", "d": True},
        ),
        ("set /properties/v = text(/properties/old)", {"v": "1"}),
        ("set /properties/v = /properties/l/0", {"v": "x"}),
    ],
)
def test_a_fix_changes_what_it_says_and_nothing_else(fix: str, changed: dict[str, Any]) -> None:
    before = json.loads(RECORD, parse_float=Decimal)
    after = json.loads(parse_fix(fix).apply(RECORD), parse_float=Decimal)
    flat = {**{k: v for k, v in before.items() if k != "properties"}, **before["properties"]}
    expected = {k: v for k, v in {**flat, **changed}.items() if v is not None}
    assert {**{k: v for k, v in after.items() if k != "properties"}, **after["properties"]} == expected


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ("sett /a = 1", "did you mean 'set'"),
        ("set /a = nmber(/b)", "did you mean 'number'"),
        ("set /a", "expected '='"),
        ("set / = 1", "within the record"),
        ("delete /a delete /b", "the end of the statement"),
        ("__import__('os')", "expected a place"),
    ],
)
def test_a_wrong_fix_says_where_and_what(fix: str, said: str) -> None:
    with pytest.raises(InvalidFix, match=said):
        parse_fix(fix)


@pytest.mark.parametrize(
    "fix", ["set /a = number(/event)", "set /a/b = 1", "set /a = /none", "set /a = trim(/none)"]
)
def test_a_fix_that_does_not_fit_changes_nothing(fix: str) -> None:
    with pytest.raises(FixDoesNotFit):
        parse_fix(fix).apply(RECORD)


@settings(max_examples=200)
@given(st.text(max_size=60), st.binary(max_size=40))
def test_whatever_is_written_a_fix_is_refused_or_applied(text: str, raw: bytes) -> None:
    try:
        fix = parse_fix(text)
    except InvalidFix:
        return
    with suppress(FixDoesNotFit):
        fix.apply(raw)
