"""`verify` finds every row that is not as it was inserted, and names it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.events.identity import ResolutionRules
from footfall.proof.findings import Checked, Finding
from footfall.proof.row_digests import solve_place
from footfall.proof.verify import Scope, verify
from footfall.storage.digests import PROVEN
from tests.hasty_log import hasty_log
from tests.system import System

NOON = 1_795_000_000_000


def found(system: System, **scope: Any) -> list[Finding]:
    """What a verification finds."""
    told = verify(system.store, system.log, lambda _: ResolutionRules(), Scope(**scope))
    return [each for each in told if isinstance(each, Finding)]


def records(system: System) -> set[tuple[str, str, str]]:
    """(table, record, problem) of each finding about rows as they came in."""
    return {
        (finding.table, finding.record, finding.problem)
        for finding in found(system)
        if finding.table in PROVEN
    }


def checked(system: System) -> list[Checked]:
    told = verify(system.store, system.log, lambda _: ResolutionRules())
    return [each for each in told if isinstance(each, Checked)]


async def fill(system: System, requests: int = 30) -> None:
    """Records of every kind, in many requests and some blocks."""
    system.clock.freeze(NOON)
    for number in range(requests):
        person = f"customer-{number}"
        answer = await system.send(
            {
                "event": "view",
                "distinct_id": person,
                "time": NOON - number,
                "properties": {"amount": number, "n": "ä"},
            },
            {
                "event": "buy",
                "anonymous_id": f"device-{number}",
                "login_id": person,
                "time": NOON - 40 * 86_400_000,
            },
            {"type": "profile_set", "distinct_id": person, "properties": {"city": "上海", "level": number}},
            {"type": "item_set", "item_type": "fund", "item_id": f"F{number}", "properties": {"nav": 1.5}},
            {"event": "1 bad name", "distinct_id": person, "time": NOON},
        )
        assert answer.json()["accepted"] == 4
        if number % 10 == 9:
            await system.settle()


def change(system: System, sql: str) -> None:
    system.store.command(f"{sql} SETTINGS mutations_sync = 2")


async def test_finds_nothing_where_nothing_is_wrong(system: System) -> None:
    await fill(system)
    assert found(system) == []
    system.store.command("OPTIMIZE TABLE events FINAL")
    assert found(system) == []
    compared = {check.check: check.compared for check in checked(system)}
    assert compared["events of 202611"] == 30
    assert compared["events of 202610"] == 30
    assert compared["profiles"] == 30
    assert compared["items"] == 30
    assert compared["dead_letters of 202611"] == 30


async def test_what_waits_is_not_missed(system: System) -> None:
    await fill(system)
    await system.send({"event": "view", "distinct_id": "late", "time": NOON})
    assert found(system) == []


async def test_what_is_processed_and_gone_from_the_log_meanwhile_is_not_missed(system: System) -> None:
    await system.send({"event": "view", "distinct_id": "late", "time": NOON})
    told = verify(system.store, hasty_log(system), lambda _: ResolutionRules())
    assert [each for each in told if isinstance(each, Finding)] == []


HARMS = {
    "events": "p_amount = 1000000",
    "profile_operations": "value = '\"北京\"'",
    "item_operations": "value = '2.5'",
    "bindings": "login_id = 'somebody'",
    "dead_letters": "reason = 'too_old'",
}


async def test_names_the_rows_that_are_deleted_and_doubled(system: System) -> None:
    await fill(system)
    expected = set()
    for table in (*HARMS, "event_ids"):
        ((seq,),) = system.rows(f"SELECT max(seq) FROM {table} WHERE log_offset = 3")
        change(system, f"ALTER TABLE {table} DELETE WHERE seq = {seq} AND log_offset = 3")
        system.store.command(
            f"INSERT INTO {table} SELECT * FROM {table} WHERE seq = {seq} AND log_offset = 14 LIMIT 1 "
            "SETTINGS insert_deduplicate = 0"
        )
        expected |= {(table, f"0:3:{seq}", "lost"), (table, f"0:14:{seq}", "doubled")}
    assert records(system) == expected


async def test_names_altered_rows(system: System) -> None:
    await fill(system)
    expected = set()
    for table, harm in HARMS.items():
        ((seq,),) = system.rows(f"SELECT min(seq) FROM {table} WHERE log_offset = 17")
        extra = {"item_operations": "AND property != ''", "profile_operations": "AND property = 'city'"}
        where = f"log_offset = 17 AND seq = {seq} {extra.get(table, '')}"
        change(system, f"ALTER TABLE {table} UPDATE {harm} WHERE {where}")
        expected.add((table, f"0:17:{seq}", "altered"))
    assert records(system) == expected
    assert {len(finding.event_id) for finding in found(system) if finding.table == "events"} == {32}


async def test_names_rows_of_what_was_said_and_sent_in_again_on_purpose(system: System) -> None:
    await fill(system)
    url = "/api/v1/projects/default"
    for number in range(4):
        word = {"action": "bind", "anonymous_id": f"phone-{number}", "login_id": f"customer-{number}"}
        assert (await system.query_api.post(f"{url}/bindings", json=word)).status_code < 300
        again = {"letters": [f"0:{number}:4"], "fix": 'set /event = "good"'}
        assert (await system.query_api.post(f"{url}/dead-letters/replay", json=again)).json()["replayed"] == 1
    await system.settle()
    assert found(system) == []
    for table, partition, harm in (
        ("rulings", 9_000, "subject_id = 'x'"),
        ("replays", 9_200, "outcome = 'rejected'"),
    ):
        before = records(system)
        change(system, f"ALTER TABLE {table} UPDATE {harm} WHERE log_offset = 1")
        assert records(system) - before == {(table, f"{partition}:1:0", "altered")}
        change(system, f"ALTER TABLE {table} DELETE WHERE log_offset = 1")
        system.store.command(
            f"INSERT INTO {table} SELECT * FROM {table} WHERE log_offset = 2 SETTINGS insert_deduplicate = 0"
        )
        harmed = {(table, f"{partition}:1:0", "lost"), (table, f"{partition}:2:0", "doubled")}
        assert records(system) - before == harmed


async def test_several_altered_rows_of_a_bucket_are_at_least_seen(system: System) -> None:
    await fill(system)
    change(system, "ALTER TABLE events UPDATE p_amount = 7 WHERE event = 'view' AND log_offset IN (3, 14)")
    assert records(system) == {("events", "0:0..127", "damaged")}
    change(system, "ALTER TABLE events DELETE WHERE event = 'view' AND log_offset IN (20, 21)")
    assert records(system) >= {("events", "0:20:0", "lost"), ("events", "0:21:0", "lost")}


async def test_an_event_at_another_time_is_one_altered_row(system: System) -> None:
    await fill(system)
    columns = "* REPLACE (time + INTERVAL 45 DAY AS time)"
    where = "log_offset = 8 AND event = 'view'"
    system.store.command(
        f"INSERT INTO events SELECT {columns} FROM events WHERE {where} SETTINGS insert_deduplicate = 0"
    )
    change(system, f"ALTER TABLE events DELETE WHERE {where} AND time < '2026-12-01'")
    assert [(f.record, f.problem) for f in found(system)] == [("0:8:0", "altered")]


async def test_a_rewritten_stamp_is_no_alteration(system: System) -> None:
    await fill(system)
    columns = "* REPLACE (1 AS user_key, if(alias_key = 0, user_key, alias_key) AS alias_key)"
    system.store.command(
        f"INSERT INTO events SELECT {columns} FROM events WHERE log_offset = 8 "
        "SETTINGS insert_deduplicate = 0, prefer_column_name_to_alias = 1"
    )
    assert {row[1:] for row in records(system)} == {("0:8:0", "doubled"), ("0:8:1", "doubled")}
    change(system, "ALTER TABLE events DELETE WHERE log_offset = 8 AND user_key != 1")
    assert found(system) == []


async def test_finds_profiles_and_items_that_their_operations_do_not_give(system: System) -> None:
    await fill(system)
    for table, name, key in (("profiles", "user_id", "customer-"), ("items", "item_id", "F")):
        change(system, f"ALTER TABLE {table} DELETE WHERE {name} = '{key}7'")
        change(system, f"ALTER TABLE {table} UPDATE properties = map('a', 'b') WHERE {name} = '{key}8'")
        system.store.command(
            f"INSERT INTO {table} SELECT * REPLACE ('none' AS {name}"
            f"{', 1 AS user_key' if table == 'profiles' else ''}) "
            f"FROM (SELECT * FROM {table} WHERE {name} = '{key}9')"
        )
    keys = [str(system.keyed_hash.id_key("default", f"customer-{number}")) for number in (7, 8)]
    named = {finding.record for finding in found(system) if finding.problem == "derived"}
    assert named == {*keys, "1", "fund F7", "fund F8", "fund none"}


@pytest.mark.parametrize(
    ("table", "harm"),
    [
        ("ledger", "ALTER TABLE ledger UPDATE count = 1 WHERE outcome = 'stored' AND first_offset = 0"),
        ("ledger", "ALTER TABLE ledger DELETE WHERE outcome = 'received' AND first_offset = 0"),
        ("ledger", "ALTER TABLE ledger UPDATE door = 'sensors' WHERE first_offset = 0"),
        ("ingest_blocks", "ALTER TABLE ingest_blocks DELETE WHERE first_offset = 10"),
        ("ingest_blocks", "ALTER TABLE ingest_blocks DELETE WHERE first_offset = 10 AND state = 'done'"),
        ("ingest_blocks", "ALTER TABLE ingest_blocks DELETE WHERE first_offset = 20 AND state = 'done'"),
        ("ingest_blocks", "ALTER TABLE ingest_blocks DELETE WHERE 1"),
    ],
)  # fmt: skip
async def test_finds_harm_to_the_books(system: System, table: str, harm: str) -> None:
    await fill(system)
    change(system, harm)
    assert table in {finding.table for finding in found(system)}


async def test_what_was_dropped_on_purpose_is_not_missed(system: System) -> None:
    await fill(system)
    system.store.command("INSERT INTO retirements VALUES ('events', '', '202610', now64(3))")
    system.store.command("ALTER TABLE events DROP PARTITION ID '202610'")
    assert [finding for finding in found(system) if finding.table == "events"] == []
    notes = {check.check: check.not_compared for check in checked(system)}
    assert "on purpose" in notes["events of 202610"]


async def test_the_api_answers_in_lines_and_ends_with_the_verdict(system: System) -> None:
    await fill(system, 10)
    change(system, "ALTER TABLE events DELETE WHERE log_offset = 3 AND event = 'buy'")
    answer = await system.query_api.get("/api/v1/verify", params={"project": "default"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[-1] == {"kind": "verdict", "ok": False, "findings": 1}
    (finding,) = [line for line in lines if line["kind"] == "finding"]
    assert (finding["record"], finding["problem"], finding["project"]) == ("0:3:1", "lost", "default")
    elsewhere = await system.query_api.get("/api/v1/verify", params={"since": "2026-11"})
    assert json.loads(elsewhere.text.splitlines()[-1])["ok"]
    assert (await system.query_api.get("/api/v1/verify", params={"since": "November"})).status_code == 422
    assert (await system.query_api.get("/api/v1/verify", headers={"Authorization": "x"})).status_code == 401


@settings(max_examples=200)
@given(place=st.integers(0, 2**31 - 1), sum_=st.integers(1, 2**64 - 1))
def test_the_place_of_one_difference_comes_out_of_two_sums(place: int, sum_: int) -> None:
    if sum_ % 2**33:
        assert solve_place(sum_, sum_ * place % 2**64) == place
