"""Erasures in odd circumstances: sealed journals, the strategy `global`, others at work at the same time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from footfall.dead_letters import open_letter
from footfall.envelopes.keys import Algorithm, generate
from footfall.eventlog.log import Tally
from footfall.eventlog.partitions import IMPORTS
from footfall.events.log_record import Header, write_log_record
from footfall.importing.journal import Effects, Journal, RejectedRow
from footfall.rights.files import clean_files
from footfall.rights.opened import Elsewhere
from footfall.sealing import Sealer
from footfall.workspace.erasures import Erasure
from processor.event_block import EventBlock
from processor.pipeline import EVENT_STEPS
from processor.removals import Removal
from tests.envelopes import Device, form
from tests.system import INSTALLATION_KEY, VAULT, WRITE_KEY, System, open_system
from tests.test_erasure import MINUTE, NOW, PROJECT, erase, findings, left_in, visit

SEALER = Sealer(INSTALLATION_KEY)


@pytest.fixture
async def installation(store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """With its log in files."""
    async with open_system(
        f"{store_url}?database=corners_{tmp_path.name}", tmp_path, log_url=f"sqlite:///{tmp_path}/log"
    ) as opened:
        opened.clock.freeze(NOW)
        yield opened


def test_rejected_rows_of_journals_go_though_they_are_sealed(tmp_path: Path) -> None:
    path = tmp_path / "imports" / "a.db"
    rows = [
        RejectedRow(1, "invalid_name", "event", "a", b'{"event": "1bad", "distinct_id": "ann"}'),
        RejectedRow(2, "invalid_name", "event", "a", b'{"event": "1bad", "distinct_id": "joanna"}'),
        RejectedRow(3, "invalid_name", "event", "of 'ann'", b"x"),
        RejectedRow(4, "invalid_name", "event", "a", b'{"event": "1bad", "distinct_id": "bob"}'),
    ]
    with closing(Journal(path, "a.jsonl", "default", SEALER)) as journal:
        journal.advance(Effects(4, 0, rows, {}, {}))
    clean_files(tmp_path, "other", ["ann"], SEALER)
    clean_files(tmp_path, "default", ["ann"], SEALER)
    with closing(Journal(path, "a.jsonl", "default", SEALER)) as journal:
        assert [row.line for row in journal.rejected()] == [2, 4]


async def bank(system: System, identity: dict[str, Any]) -> dict[str, str]:
    made = await system.query_api.post("/api/v1/projects", json={"name": "bank", "identity": identity})
    assert made.status_code == 201, made.text
    found: dict[str, str] = made.json()
    return found


async def erase_in_bank(system: System, who: str) -> Erasure:
    project = system.workspace.project("bank")
    assert project is not None

    def work() -> Erasure:
        asked = system.desk.ask(project, who, "the customer asked", "test")
        system.eraser.run_open()
        found = system.workspace.erasures.find(asked.id)
        assert found is not None
        return found

    return await asyncio.to_thread(work)


@pytest.mark.parametrize("named", ["$identity_email+customer-a@x.cn", "customer-a", "phone-a"])
async def test_a_person_of_declared_keys_goes_and_others_stay(
    installation: System, tmp_path: Path, named: str
) -> None:
    system = installation
    keys = await bank(system, {"strategy": "global"})
    for who in ("customer-a", "customer-b"):
        told = {
            "$identity_login_id": who,
            "$identity_email": f"{who}@x.cn",
            "$identity_anonymous_id": f"phone-{who[-1]}",
        }
        await system.send(visit(f"phone-{who[-1]}", 9), key=keys["write_key"])
        await system.send(visit(who, 8, identities=told, properties={"note": "n"}), key=keys["write_key"])
        await system.settle()
    # Bob takes ann's phone once: it is refused to him, or his; his own rows stay his.
    told = {"$identity_login_id": "customer-b", "$identity_anonymous_id": "phone-a"}
    await system.send(visit("customer-b", 7, identities=told), key=keys["write_key"])
    await system.settle()
    assert system.rows("SELECT count() FROM events WHERE project = 'bank'") == [(5,)]
    system.clock.freeze(NOW + 1)
    asked = {"id": named, "reason": "request 7"}
    exported = await system.query_api.post("/api/v1/projects/bank/persons/export", json=asked)
    links = [line for line in map(json.loads, exported.text.splitlines()) if line["kind"] == "link"]
    linked = {line[side] for line in links for side in ("one_id", "other_id")}
    assert len(linked & {"customer-a", "phone-a"}) == 2, linked
    assert "customer-b" not in exported.text
    done = await erase_in_bank(system, named)
    assert done.state == "finished", done.waits_for
    for text in ("customer-a", "phone-a", "customer-a@x.cn"):
        assert left_in(system, tmp_path, text) == []
    assert system.rows("SELECT count() FROM events WHERE project = 'bank'") == [(3,)]
    assert findings(system) == []
    system.clock.freeze(NOW + 10 * MINUTE)
    late = {"$identity_login_id": "customer-a", "$identity_email": "customer-a@x.cn"}
    await system.send(visit("customer-a", 60, identities=late, event_id="late"), key=keys["write_key"])
    mixed = {"$identity_login_id": "customer-b", "$identity_anonymous_id": "phone-a"}
    await system.send(visit("customer-b", 60, identities=mixed, event_id="mixed"), key=keys["write_key"])
    await system.settle()
    assert system.rows("SELECT count() FROM events WHERE project = 'bank'") == [(4,)]
    assert system.rows("SELECT count() FROM events WHERE distinct_id IN ('customer-a', 'phone-a')") == [(0,)]
    assert findings(system) == []


@pytest.mark.parametrize("algorithm", [Algorithm.RSA, Algorithm.SM2])
async def test_envelopes_that_wait_are_opened_for_an_erasure(
    installation: System, tmp_path: Path, algorithm: Algorithm
) -> None:
    system = installation
    pair = generate(algorithm)
    await system.send(visit("customer-7"), visit("bob"))
    for who in ("customer-7", "bob"):
        record: dict[str, Any] = {
            "type": "track",
            "event": "view",
            "distinct_id": who,
            "time": NOW - 9,
            "properties": {},
        }
        sealed = Device(pair, pkv=1).events(record, flush_time=NOW)
        await system.collector.post(f"/sa?token={WRITE_KEY}", content=form([sealed]))
    await system.settle()
    assert system.rows("SELECT count() FROM dead_letters") == [(2,)]
    system.workspace.envelope_keys.add("default", pair, "1", VAULT, NOW)
    system.clock.freeze(NOW + 5 * MINUTE)
    done = await erase(system, "customer-7")
    assert (done.state, done.removed["dead_letters"]) == ("finished", 1)
    assert system.rows("SELECT count() FROM dead_letters") == [(1,)]
    assert left_in(system, tmp_path, "customer-7") == []
    assert findings(system) == []


async def test_an_id_that_was_sent_as_a_number_is_found_in_letters(installation: System) -> None:
    system = installation
    await system.send(visit("9007199254740993"), visit("bob"))
    await system.send({"event": "1bad", "distinct_id": 9007199254740993}, {"event": "1bad", "distinct_id": 1})
    await system.settle()
    system.clock.freeze(NOW + 1)
    done = await erase(system, "9007199254740993")
    assert (done.state, done.removed["dead_letters"]) == ("finished", 1)
    assert system.rows("SELECT count() FROM dead_letters") == [(1,)]
    assert findings(system) == []


async def test_an_erasure_beside_a_rule_and_a_rewrite_of_stamps_stops_nobody(installation: System) -> None:
    """Three threads, each with one lock, which wants the next one's."""
    system = installation
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    project = system.workspace.project("default")
    assert project is not None
    system.desk.ask(project, "ann", "the customer asked", "test")
    removals = system.eraser._removals
    rule = Removal("retention-1", "retention", "events", "distinct_id = 'bob'")
    between = threading.Event()

    def stand_still() -> None:
        with system.processor.between_blocks():
            between.set()

    threads = [
        threading.Thread(target=removals.take_out, args=(rule,)),
        threading.Thread(target=system.eraser.run_open),
        threading.Thread(target=stand_still),
    ]
    with system.restamper._turns:  # a turn, which is about to look between two blocks
        threads[0].start()
        while not removals.unfinished():
            time.sleep(0.01)
        threads[1].start()
        time.sleep(0.5)
        threads[2].start()
        came = between.wait(10)
    for thread in threads:
        thread.join()
    assert came, "the processor waits for the erasure, which waits for the rule, which waits for the turn"
    assert system.rows("SELECT count() FROM events") == [(0,)]
    assert findings(system) == []


async def test_a_copy_of_a_pass_that_was_given_up_goes_with_the_person(installation: System) -> None:
    system = installation
    await system.send(visit("phone"), visit("bob"))
    await system.settle()
    await system.send(visit("ann", 4, anonymous_id="phone", login_id="ann"))
    await system.settle()
    for _ in range(3):
        system.restamper.turn()
    assert system.rows("SELECT count() > 0 FROM events_restamped") == [(True,)]
    system.restamper.give_up()  # as after an error
    system.clock.freeze(NOW + 1)
    assert (await erase(system, "ann")).state == "finished"
    assert system.rows(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'events_restamped'"
    ) == [(0,)]


async def test_whatever_keeps_an_erasure_from_its_end_is_told(installation: System) -> None:
    system = installation
    await system.send(visit("ann"))
    await system.settle()
    system.clock.freeze(NOW + 1)

    def fail(_: Erasure) -> None:
        raise PermissionError("backup of May: Permission denied")

    system.eraser._elsewhere = replace(Elsewhere(), note_tombstone=fail)
    project = system.workspace.project("default")
    assert project is not None
    asked = system.desk.ask(project, "ann", "the customer asked", "test")
    with pytest.raises(PermissionError):
        await asyncio.to_thread(system.eraser.run_open)
    found = system.workspace.erasures.find(asked.id)
    assert found is not None
    assert (found.state, found.waits_for.split(":")[0]) == ("removing", "PermissionError")
    system.eraser._elsewhere = Elsewhere()
    assert await asyncio.to_thread(system.eraser.run_open) == 1


async def test_an_erasure_that_fails_keeps_no_other_waiting(installation: System) -> None:
    system = installation
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    project = system.workspace.project("default")
    assert project is not None
    ann = system.desk.ask(project, "ann", "the customer asked", "test")
    system.clock.freeze(NOW + 2)
    bob = system.desk.ask(project, "bob", "the customer asked", "test")

    def fail(job: Erasure) -> None:
        if job.id == ann.id:
            raise PermissionError("backup of May: Permission denied")

    system.eraser._elsewhere = replace(Elsewhere(), note_tombstone=fail)
    with pytest.raises(PermissionError):
        await asyncio.to_thread(system.eraser.run_open)
    states = {job.id: job.state for job in system.workspace.erasures.of_project("default")}
    assert states == {ann.id: "removing", bob.id: "finished"}
    system.eraser._elsewhere = Elsewhere()
    assert await asyncio.to_thread(system.eraser.run_open) == 1
    assert findings(system) == []


async def test_what_a_new_partition_of_the_log_brings_later_stays(installation: System) -> None:
    system = installation
    await system.send(visit("ann"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    project = system.workspace.project("default")
    assert project is not None
    job = system.desk.ask(project, "ann", "the customer asked", "test")
    cut = await asyncio.to_thread(system.eraser._cut, job)
    system.clock.freeze(NOW + 60 * MINUTE)
    header = Header("default", "import", system.clock(), 1, [f"{7:032x}"])
    later = [visit("ann", -30, event_id="new")]
    writer = system.log.open_writer(IMPORTS)
    tally = Tally("default", "import", system.clock() // MINUTE, 1)
    writer.append(write_log_record(header, json.dumps(later).encode()), tally).result()
    writer.close()
    await system.settle()
    assert system.rows("SELECT count() FROM events") == [(2,)]
    assert await asyncio.to_thread(system.eraser.run_open) == 1
    assert cut.state == "removing"
    assert system.rows("SELECT count(), any(log_partition) FROM events") == [(1, IMPORTS)]
    assert findings(system) == []


async def test_an_id_that_reads_like_the_value_of_an_erased_one_stays(installation: System) -> None:
    """A number that was one person's mobile, and is another's login: two ids."""
    system = installation
    key = (await bank(system, {"strategy": "global"}))["write_key"]
    told = {"$identity_mobile": "m-1", "$identity_login_id": "customer-a"}
    await system.send(visit("customer-a", 9, identities=told), key=key)
    await system.send(visit("m-1", 7, login_id="m-1"), visit("m-1", 6), key=key)
    await system.settle()
    system.clock.freeze(NOW + 1)
    done = await erase_in_bank(system, "customer-a")
    assert done.state == "finished", done.waits_for
    assert system.rows("SELECT DISTINCT distinct_id FROM events WHERE project = 'bank'") == [("m-1",)]
    assert findings(system) == []


async def test_a_hold_that_is_placed_while_an_erasure_begins_is_kept(installation: System) -> None:
    system = installation
    await system.send(visit("ann"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    project = system.workspace.project("default")
    assert project is not None
    job = system.desk.ask(project, "ann", "the customer asked", "test")
    assert not system.desk.held(job)
    held = await system.query_api.post(f"{PROJECT}/holds", json={"id": "ann", "reason": "case 1"})
    assert held.status_code == 201
    assert (await asyncio.to_thread(system.eraser._cut, job)).state == "asked"
    found = system.workspace.erasures.find(job.id)
    assert found is not None
    assert "case 1" in found.waits_for
    assert system.rows("SELECT count() FROM events") == [(1,)]


async def test_letters_are_found_by_ids_that_privacy_rewrites(installation: System) -> None:
    system, phone = installation, "13812345678"
    await system.send(visit(phone), visit("ann", 4, anonymous_id=phone, login_id="ann"))
    await system.send(
        {"event": "1bad", "distinct_id": phone}, {"event": "1bad", "distinct_id": "13912345678"}
    )
    await system.settle()
    system.clock.freeze(NOW + 1)
    asked = {"id": "ann", "reason": "request 7"}
    exported = await system.query_api.post(f"{PROJECT}/persons/export", json=asked)
    letters = [line for line in map(json.loads, exported.text.splitlines()) if line["kind"] == "dead_letter"]
    assert [json.loads(letter["raw"])["distinct_id"] for letter in letters] == [phone]
    assert (await erase(system, "ann")).removed["dead_letters"] == 1
    assert system.rows("SELECT seq FROM dead_letters") == [(1,)]


async def test_letters_from_after_an_erasure_have_nothing_of_before_it(
    installation: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no step can do, and what came with a key that opens no project."""

    def fail_on_poison(block: EventBlock) -> EventBlock:
        assert "poison" not in block.names
        return block

    system = installation
    await system.send(visit("ann"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    await erase(system, "ann")
    system.clock.freeze(NOW + MINUTE)
    monkeypatch.setattr("processor.prepare.EVENT_STEPS", (fail_on_poison, *EVENT_STEPS))
    for anonymous in ("ann", "eve"):
        poison = visit("carl", 60, event="poison", login_id="carl", anonymous_id=anonymous)
        await system.send(poison)
        record = {"type": "track", "event": "view", "distinct_id": anonymous, "time": NOW - 9}
        await system.collector.post("/sa?token=of_nobody", content=form([record | {"properties": {}}]))
    await system.settle()
    found = system.rows("SELECT reason, log_partition, log_offset, seq, hex(sealed) FROM dead_letters")
    raws = [
        (reason, open_letter(system.sealer, tuple(place), bytes.fromhex(sealed)).raw)
        for reason, *place, sealed in found
    ]
    assert sorted((reason, b"eve" in raw) for reason, raw in raws if raw) == [
        ("unknown_key", True), ("unprocessable", True),
    ]  # fmt: skip
    assert len(raws) == 4
