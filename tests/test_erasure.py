"""A person is erased: nothing of them is left in any file, nothing brings it back, the books are closed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from footfall.eventlog.log import Tally
from footfall.eventlog.partitions import IMPORTS, REPLAYS
from footfall.events.log_record import Header, write_log_record
from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from footfall.rights.rights import Rights
from footfall.workspace.audit import Audit, AuditFilter, AuditUnavailable
from footfall.workspace.erasures import Erasure
from tests.system import System, open_system

NOW = 1_795_301_590_252
MINUTE = 60_000


def visit(who: str, minutes_ago: float = 5, **fields: Any) -> dict[str, Any]:
    return {"event": "visit", "distinct_id": who, "time": int(NOW - minutes_ago * MINUTE)} | fields


async def erase(system: System, who: str, *, refuse_all: bool = False) -> Erasure:
    project = system.workspace.project("default")
    assert project is not None

    def work() -> Erasure:
        asked = system.desk.ask(project, who, "the customer asked", "test", refuse_all=refuse_all)
        system.eraser.run_open()
        found = system.workspace.erasures.find(asked.id)
        assert found is not None
        return found

    return await asyncio.to_thread(work)


def findings(system: System) -> list[Finding]:
    rules = rules_in(system.workspace)
    return [each for each in verify(system.store, system.log, rules) if isinstance(each, Finding)]


def left_in(system: System, home: Path, text: str) -> list[str]:
    """Where a text still is: files as they are, and what the engine and the log make of compressed ones."""
    found = _grep(home, text)
    store = Path(system.rows("SELECT path FROM system.disks WHERE name = 'default'")[0][0])
    for table, columns in system.rows(
        "SELECT `table`, groupArray(name) FROM system.columns WHERE database = currentDatabase() "
        "AND `table` IN (SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine LIKE '%MergeTree') GROUP BY `table`"
    ):
        told = ", ".join(f"toString(`{column}`)" for column in columns)
        sql = f"SELECT count() FROM `{table}` WHERE position(concat({told}, ''), {{text:String}}) > 0"
        if system.rows(sql, text=text)[0][0]:
            found.append(f"table {table}")
    for path in system.rows("SELECT path FROM system.parts WHERE database = currentDatabase()"):
        found += _grep(store / path[0], text)
    assert not system.rows(
        "SELECT `table`, name FROM system.parts WHERE database = currentDatabase() AND NOT active "
        "AND `table` IN ('events', 'bindings', 'profile_operations', 'profiles', 'dead_letters')"
    ), "files of parts that were replaced"
    for partition in system.log.partitions():
        first = 0
        while records := system.log.read(partition, first, 1 << 20):
            found += ["log" for record in records if text.encode() in record.payload]
            first = records[-1].offset + 1
    return found


def _grep(directory: Path, text: str) -> list[str]:
    found = subprocess.run(
        ["grep", "-rlaF", text, str(directory)], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


@pytest.fixture
async def installation(store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """With its log in files."""
    async with open_system(
        f"{store_url}?database=erasure_{tmp_path.name}", tmp_path, log_url=f"sqlite:///{tmp_path}/log"
    ) as opened:
        opened.clock.freeze(NOW)
        yield opened


async def test_nothing_of_an_erased_person_is_left_and_everything_of_others(
    installation: System, tmp_path: Path
) -> None:
    system = installation
    await system.send(*[visit(f"device-{n}", properties={"note": f"of device-{n}"}) for n in range(5)])
    for n in range(5):
        login = f"customer-{n}"
        await system.send(
            visit(login, 4, anonymous_id=f"device-{n}", login_id=login, properties={"amount": n}),
            {
                "type": "profile_set",
                "distinct_id": login,
                "time": NOW - 9,
                "properties": {"city": f"of {login}"},
            },
            {"event": "1bad", "distinct_id": f"device-{n}", "properties": {"about": login}},
        )
    await system.settle()
    system.clock.freeze(NOW + 1)
    before = [await system.query_api.get(f"/api/v1/users/device-{n}") for n in range(5)]
    done = await erase(system, "device-3")
    assert done.state == "finished", done.waits_for
    assert {name: count for name, count in done.removed.items() if count} == {
        "events": 2, "bindings": 1, "binding_decisions": 1, "profile_operations": 1, "profiles": 1,
        "dead_letters": 1,
    }  # fmt: skip
    for text in ("device-3", "customer-3"):
        assert left_in(system, tmp_path, text) == []
        assert left_in(system, tmp_path, text.replace("3", "4")), "the search finds what there is"
    assert findings(system) == []
    after = [await system.query_api.get(f"/api/v1/users/device-{n}") for n in range(5)]
    assert after[3].status_code == 404
    assert [each.json() for each in after if each is not after[3]] == [
        each.json() for each in before if each is not before[3]
    ]
    ledger = await system.ledger()
    assert (ledger["received"], ledger["stored"]) == (20, 15)


async def test_what_comes_again_is_refused_without_its_content(installation: System, tmp_path: Path) -> None:
    system = installation
    first = visit("ann", properties={"note": "secret of ann"})
    await system.send(first, {"event": "1bad", "distinct_id": "bob"})
    await system.settle()
    system.clock.freeze(NOW + 1)
    assert (await erase(system, "ann")).state == "finished"
    system.clock.freeze(NOW + 10 * MINUTE)
    await system.send(first)  # a repeat
    await system.send(visit("ann", 60, event_id="late"))
    await system.send(visit("cid", 60, anonymous_id="ann", login_id="cid"))  # of somebody else
    await system.send({"event": "1bad", "distinct_id": "ann"})
    await system.settle()
    assert system.rows("SELECT distinct_id, anonymous_id FROM events") == [("cid", "")]
    assert system.rows("SELECT count() FROM bindings WHERE anonymous_id = 'ann'") == [(0,)]
    letters = (await system.query_api.get("/api/v1/projects/default/dead-letters")).json()["letters"]
    assert sorted(letter["reason"] for letter in letters) == [
        "erased",
        "erased",
        "invalid_name",
        "invalid_name",
    ]
    raws = {}
    for letter in letters:
        shown = (await system.query_api.get(f"/api/v1/projects/default/dead-letters/{letter['id']}")).json()
        raws[letter["id"]] = (letter["reason"], shown["raw"])
    assert sorted(raw for _, raw in raws.values())[:3] == ["", "", ""]
    assert sum((await system.ledger())["rejected"].values()) == 4
    assert findings(system) == []


async def test_what_happens_later_is_of_a_new_person_unless_all_is_refused(installation: System) -> None:
    system = installation
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    await erase(system, "ann")
    await erase(system, "bob", refuse_all=True)
    system.clock.freeze(NOW + 10 * MINUTE)
    await system.send(visit("ann", -9), visit("bob", -9))
    await system.settle()
    assert system.rows("SELECT distinct_id FROM events") == [("ann",)]
    assert (await system.ledger())["rejected"] == {"erased": 1}
    assert findings(system) == []


async def test_what_is_turned_away_later_of_a_new_person_keeps_its_content(installation: System) -> None:
    system = installation
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    await erase(system, "ann")
    await erase(system, "bob", refuse_all=True)
    system.clock.freeze(NOW + 10 * MINUTE)
    for said in (visit("ann", -9), visit("ann", 5), visit("ann", time="soon"), visit("bob", -9)):
        await system.send(said | {"event": "1bad"})
    await system.settle()
    raws = []
    for letter in (await system.query_api.get("/api/v1/projects/default/dead-letters")).json()["letters"]:
        shown = await system.query_api.get(f"/api/v1/projects/default/dead-letters/{letter['id']}")
        raws.append(shown.json()["raw"])
    (kept,) = filter(None, raws)
    assert len(raws) == 4
    assert json.loads(kept)["time"] == NOW + 9 * MINUTE


async def test_an_unlawful_deletion_beside_a_lawful_one_is_found(installation: System) -> None:
    system = installation
    await system.send(*[visit(f"u{n}", seq) for n in range(6) for seq in range(1, 9)])
    await system.settle()
    system.clock.freeze(NOW + 1)
    await erase(system, "u1")
    assert findings(system) == []
    system.store.command(
        "ALTER TABLE events DELETE WHERE distinct_id = 'u2' AND seq = 17 SETTINGS mutations_sync = 2"
    )
    (found,) = findings(system)
    assert (found.problem, found.table, found.record) == ("lost", "events", "0:0:17")
    await erase(system, "u3")
    assert [each.record for each in findings(system)] == ["0:0:17"]


async def test_other_persons_of_a_shared_device_stay_who_they_are(installation: System) -> None:
    system = installation
    for number in range(4):  # one more than a device may have
        login = f"c{number}"
        await system.send(visit(login, 50 - number, anonymous_id="kiosk", login_id=login))
    await system.send(visit("kiosk", 10))
    await system.send(
        visit("c9", 9, anonymous_id="phone", login_id="c9"),
        visit("c1", 8, anonymous_id="phone", login_id="c1"),
    )
    await system.settle()
    people = [f"c{number}" for number in (0, 1, 2, 3)] + ["kiosk"]
    before = {who: (await system.query_api.get(f"/api/v1/users/{who}")).json() for who in people}
    assert before["kiosk"]["user_id"] == "kiosk"
    system.clock.freeze(NOW + 1)
    assert (await erase(system, "c9")).state == "finished"
    after = {who: (await system.query_api.get(f"/api/v1/users/{who}")).json() for who in people}
    assert after == before
    of_c1 = "SELECT login_id, anonymous_id FROM events WHERE login_id = 'c1' ORDER BY time DESC"
    assert system.rows(of_c1) == [("c1", ""), ("c1", "kiosk")]
    assert (await erase(system, "c0")).state == "finished"
    assert (await system.query_api.get("/api/v1/users/kiosk")).json() == before["kiosk"]
    assert findings(system) == []


PROJECT = "/api/v1/projects/default"


def told(system: System) -> list[tuple[str, str, str]]:
    """What the audit log has of persons and holds."""
    rows = system.workspace.audit.rows(AuditFilter())
    return [
        (row.action, row.subject, row.detail)
        for row in rows
        if row.action.partition(".")[0] in ("person", "hold")
    ]


async def test_a_dead_letter_of_others_too_is_told_and_not_handed_out(installation: System) -> None:
    system = installation
    await system.send(visit("ann"))
    for told in (
        {"distinct_id": "ann"},
        {"distinct_id": "bob", "properties": {"friend": "ann"}},
        {"type": "track_signup", "distinct_id": "bob", "original_id": "ann"},
    ):
        await system.send({"event": "1bad", **told})
    await system.settle()
    asked = {"id": "ann", "reason": "request 7"}
    exported = await system.query_api.post(f"{PROJECT}/persons/export", json=asked)
    letters = [line for line in map(json.loads, exported.text.splitlines()) if line["kind"] == "dead_letter"]
    assert [line["raw"] is None for line in letters] == [False, True, True]


async def test_whom_else_an_id_was_used_by_is_not_handed_out(installation: System) -> None:
    system = installation
    for n, login in enumerate(("ann", "bob", "carl")):
        await system.send(visit(login, 9 - n, anonymous_id="phone", login_id=login))
    await system.settle()
    for login, others in (("ann", ("bob", "carl")), ("bob", ("ann", "carl"))):
        asked = {"id": login, "reason": "request 7"}
        exported = await system.query_api.post(f"{PROJECT}/persons/export", json=asked)
        told = [*map(json.loads, exported.text.splitlines())]
        assert login in {line.get("login_id") for line in told if line["kind"] in ("binding", "decision")}
        assert not any(f'"{other}"' in exported.text for other in others)


async def test_a_person_is_handed_out_and_erased_over_the_api_and_audited(installation: System) -> None:
    system, api = installation, installation.query_api
    await system.send(visit("ann", properties={"note": "x", "amount": 1.25, "n": 12345678901234567890}))
    await system.send(visit("ann", properties={"n": 2}))
    await system.send({"event": "1bad", "distinct_id": "ann"})
    await system.settle()
    system.clock.freeze(NOW + 1)
    asked = {"id": "ann", "reason": "request 7"}
    lines = [
        json.loads(line)
        for line in (await api.post(f"{PROJECT}/persons/export", json=asked)).text.split("\n")
        if line
    ]
    assert [line["kind"] for line in lines] == ["about", "event", "event", "dead_letter", "end"]
    assert lines[0]["ids"] == ["ann"]
    assert set(lines[0]["readme"]) == {"zh", "en"}
    assert lines[1]["properties"] == {"amount": 1.25, "n": 12345678901234567890, "note": "x"}
    assert '"1bad"' in lines[3]["raw"]
    counted = await api.post(f"{PROJECT}/persons/erase", json=asked | {"dry_run": True})
    assert counted.json()["removed"]["events"] == 2
    assert counted.json()["removed"]["dead_letters"] == 1
    job = (await api.post(f"{PROJECT}/persons/erase", json=asked)).json()
    again = (await api.post(f"{PROJECT}/persons/erase", json=asked)).json()
    assert again["id"] == job["id"], "the same is asked once"
    assert job["state"] == "asked"
    await asyncio.to_thread(system.eraser.run_open)
    done = (await api.get(f"{PROJECT}/erasures/{job['id']}")).json()
    assert (done["state"], done["removed"]["events"]) == ("finished", 2)
    assert (await api.get(f"{PROJECT}/erasures")).json()["erasures"] == [done]
    assert (await api.post(f"{PROJECT}/persons/erase", json=asked)).status_code == 404
    assert (await api.post(f"{PROJECT}/persons/export", json=asked)).status_code == 404
    assert [action for action, *_ in told(system)] == [
        "person.export", "person.count", "person.erase", "person.erase",
    ]  # fmt: skip
    assert "ann" not in str(told(system))
    assert {json.loads(detail)["reason"] for *_, detail in told(system)} == {"request 7"}
    assert findings(system) == []


async def test_a_hold_makes_an_erasure_wait_and_comes_too_late_for_one_that_has_begun(
    installation: System,
) -> None:
    system, api = installation, installation.query_api
    await system.send(visit("device"), visit("ann", 4, anonymous_id="device", login_id="ann"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    held = await api.post(f"{PROJECT}/holds", json={"id": "device", "reason": "case 1"})
    assert held.status_code == 201
    job = (await api.post(f"{PROJECT}/persons/erase", json={"id": "ann", "reason": "request 7"})).json()
    assert "case 1" in job["waits_for"]
    await asyncio.to_thread(system.eraser.run_open)
    assert (await api.get(f"{PROJECT}/erasures/{job['id']}")).json()["state"] == "asked"
    assert system.rows("SELECT count() FROM events") == [(2,)]
    wrong = await api.post(f"{PROJECT}/holds/release", json={"id": "ann", "reason": "over"})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "unknown_hold")
    assert len((await api.get(f"{PROJECT}/holds")).json()["holds"]) == 1
    released = await api.post(f"{PROJECT}/holds/release", json={"id": "device", "reason": "over"})
    assert released.status_code == 200
    with system.processor.keeping_log():
        await asyncio.to_thread(system.eraser.run_open)
    begun = (await api.get(f"{PROJECT}/erasures/{job['id']}")).json()
    assert (begun["state"], begun["waits_for"]) == ("removing", "a backup that is being taken")
    late = await api.post(f"{PROJECT}/holds", json={"id": "ann", "reason": "case 2"})
    assert (late.status_code, late.json()["code"]) == (409, "erasure_begun")
    await asyncio.to_thread(system.eraser.run_open)
    assert (await api.get(f"{PROJECT}/erasures/{job['id']}")).json()["state"] == "finished"
    assert [action for action, *_ in told(system)] == ["hold.place", "person.erase", "hold.release"]


async def test_an_id_that_privacy_rewrites_is_found_by_what_was_sent(
    installation: System, tmp_path: Path
) -> None:
    system = installation
    await system.send(visit("13812345678", properties={"note": "n"}), visit("bob"))
    await system.settle()
    assert system.rows("SELECT count() FROM events WHERE distinct_id = '13812345678'") == [(0,)]
    system.clock.freeze(NOW + 1)
    assert (await erase(system, "13812345678")).state == "finished"
    assert system.rows("SELECT distinct_id FROM events") == [("bob",)]
    assert left_in(system, tmp_path, "13812345678") == []
    await system.send(visit("13812345678", 60))
    await system.settle()
    assert system.rows("SELECT count() FROM events") == [(1,)]


@pytest.mark.parametrize("begun", [False, True])
async def test_all_of_a_person_who_is_being_erased_can_be_refused(installation: System, begun: bool) -> None:
    system = installation
    await system.send(visit("phone"), visit("ann", 4, anonymous_id="phone", login_id="ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    asked = {"id": "phone", "reason": "request 7"}
    first = (await system.query_api.post(f"{PROJECT}/persons/erase", json=asked)).json()
    if begun:
        job = system.workspace.erasures.find(first["id"])
        assert job is not None
        await asyncio.to_thread(system.eraser._cut, job)
    asked |= {"refuse_all": True}
    jobs = [(await system.query_api.post(f"{PROJECT}/persons/erase", json=asked)).json() for _ in range(2)]
    assert jobs[0] == jobs[1]
    assert jobs[0]["id"] != first["id"]
    assert await asyncio.to_thread(system.eraser.run_open) == 2
    system.clock.freeze(NOW + 10 * MINUTE)
    await system.send(visit("ann", -9), visit("phone", -9), visit("bob", -9))
    await system.settle()
    assert system.rows("SELECT distinct_id, count() FROM events GROUP BY 1") == [("bob", 2)]
    assert findings(system) == []


async def test_nothing_is_done_that_the_audit_log_cannot_tell(
    installation: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, api = installation, installation.query_api
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    assert (await api.post(f"{PROJECT}/holds", json={"id": "bob", "reason": "case 1"})).status_code == 201
    record = Audit.record

    def fail(self: Audit, actor: str, action: str, *rest: Any) -> Any:
        if action == "key.use":
            return record(self, actor, action, *rest)
        raise AuditUnavailable("no space left on device")

    monkeypatch.setattr(Audit, "record", fail)
    asked = {"id": "ann", "reason": "request 7"}
    for route, body in (
        ("persons/erase", asked),
        ("holds", asked),
        ("holds/release", asked | {"id": "bob"}),
    ):
        assert (await api.post(f"{PROJECT}/{route}", json=body)).status_code == 503, route
    assert system.workspace.erasures.of_project("default") == []
    assert [hold.reason for hold in system.workspace.holds.of_project("default")] == ["case 1"]


async def test_wrong_requests_say_what_is_wrong(installation: System) -> None:
    api = installation.query_api
    missing = await api.post(f"{PROJECT}/persons/erase", json={"id": "ann"})
    assert (missing.status_code, missing.json()["field"]) == (422, "reason")
    typo = await api.post(f"{PROJECT}/persons/erase", json={"id": "a", "reason": "r", "dry": True})
    assert typo.json()["nearest"] == "dry_run"
    nobody = await api.post(f"{PROJECT}/persons/erase", json={"id": "null", "reason": "r"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_user")
    unknown = await api.get(f"{PROJECT}/erasures/none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_erasure")


async def test_an_import_and_a_replay_bring_nothing_back(installation: System) -> None:
    system = installation
    await system.send(visit("ann"), visit("bob"))
    await system.settle()
    system.clock.freeze(NOW + 1)
    await erase(system, "ann")
    system.clock.freeze(NOW + 60 * MINUTE)
    old = [visit("ann", 60 * 24 * 900, event_id="a1"), visit("bob", 60 * 24 * 900, event_id="b1")]
    for partition, door in ((IMPORTS, "import"), (REPLAYS, "replay")):
        header = Header("default", door, system.clock(), 2, [f"{partition:032x}", f"{partition + 1:032x}"])
        payload = write_log_record(header, json.dumps(old).encode())
        writer = system.log.open_writer(partition)
        writer.append(payload, Tally("default", door, system.clock() // MINUTE, 2)).result()
        writer.close()
    await system.settle()
    assert system.rows("SELECT distinct_id, count() FROM events GROUP BY 1") == [("bob", 3)]
    assert (await system.ledger())["rejected"] == {"erased": 2}
    assert findings(system) == []


@pytest.mark.parametrize("bug", [KeyError("a bug"), ValueError("a bug")])
async def test_a_bug_is_not_told_as_an_id_that_nobody_has(
    installation: System, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise bug

    for method in ("count", "erase", "export", "hold"):
        monkeypatch.setattr(Rights, method, fail)
    asked = {"id": "ann", "reason": "request 7"}
    for path, body in (
        ("persons/erase", asked | {"dry_run": True}),
        ("persons/erase", asked),
        ("persons/export", asked),
        ("holds", asked),
    ):
        answer = await installation.query_api.post(f"{PROJECT}/{path}", json=body)
        assert answer.status_code == 500, path
        assert "a bug" not in answer.text
