"""Events that a project no longer keeps: dropped by whole months, written down, and answers say so."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from footfall.events.months import month_end, month_of
from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from footfall.workspace import Project
from processor.expiry import Expiry
from tests.system import System

NOW = 1_795_301_590_252  # 2026-11-22
DAY = 86_400_000
TRENDS = {"series": [{"event": "visit"}], "range": {"from": "2026-01-01", "to": "2026-11-21"}}


def visit(who: str, days_ago: float, **fields: Any) -> dict[str, Any]:
    return {"event": "visit", "distinct_id": who, "time": int(NOW - days_ago * DAY)} | fields


def expiry(system: System) -> Expiry:
    return Expiry(system.store, system.workspace.projects, system.processor.paused, system.clock)


def drop(system: System) -> dict[tuple[str, str, str], int]:
    found = expiry(system).run(threading.Event())
    return {(each.table, each.project, each.part): each.rows for each in found}


def months(system: System, project: str = "default") -> dict[str, int]:
    """Stored events by month."""
    sql = "SELECT _partition_id, count() FROM events WHERE project = {project:String} GROUP BY 1"
    return {str(part): int(count) for part, count in system.rows(sql, project=project)}


@pytest.fixture(autouse=True)
def _frozen(system: System) -> None:
    system.clock.freeze(NOW)


async def test_a_project_keeps_its_events_for_ever_unless_it_says_otherwise(system: System) -> None:
    await system.send(visit("ann", 300), visit("ann", 1))
    await system.settle()
    assert drop(system) == {}
    assert sum(months(system).values()) == 2


async def test_drops_whole_months_that_are_over_for_long_enough(system: System) -> None:
    system.workspace.keep("default", 60)  # from 2026-09-23 on: August is over, September is not
    await system.send(visit("ann", 100), visit("bob", 95), visit("ann", 75), visit("bob", 3))
    await system.settle()
    assert months(system) == {"202608": 2, "202609": 1, "202611": 1}
    assert drop(system) == {("events", "default", "202608"): 2}
    assert months(system) == {"202609": 1, "202611": 1}
    assert drop(system) == {}, "what is gone is gone"
    retired = system.rows("SELECT `table`, project, part FROM retirements")
    assert [tuple(row) for row in retired] == [("events", "default", "202608")]


@pytest.mark.parametrize(("more_days", "dropped"), [(0, 1), (1, 0)])
async def test_a_month_goes_on_the_day_on_which_its_last_event_is_too_old(
    system: System, more_days: int, dropped: int
) -> None:
    days_since_august = int((NOW - month_end("202608")) / DAY)
    system.workspace.keep("default", days_since_august + more_days)
    await system.send(visit("ann", 85))
    await system.settle()
    assert len(drop(system)) == dropped


async def test_other_projects_keep_theirs_in_the_same_month(system: System) -> None:
    key = system.create_project(Project("retail", keep_days=30))
    for_ever = system.create_project(Project("wealth"))
    events = [visit(f"u{n}", 100, properties={"amount": 1.5, "note": "x"}) for n in range(50)]
    await system.send(*events, key=key)
    await system.send(*events, key=for_ever)
    await system.settle()
    by_event = "SELECT project, count() FROM events WHERE event = 'visit' GROUP BY project ORDER BY project"
    assert [tuple(row) for row in system.rows(by_event)] == [("retail", 50), ("wealth", 50)]
    assert drop(system) == {("events", "retail", "202608"): 50}
    assert months(system, "retail") == {}
    assert months(system, "wealth") == {"202608": 50}
    assert [tuple(row) for row in system.rows(by_event)] == [("wealth", 50)]
    whole = "SELECT sum(toFloat64(p_amount)), any(properties['note']) FROM events WHERE project = 'wealth'"
    assert [tuple(row) for row in system.rows(whole)] == [(75.0, "x")]


async def test_late_events_of_a_dropped_month_go_with_the_next_pass(system: System) -> None:
    system.workspace.keep("default", 30)
    await system.send(visit("ann", 100))
    await system.settle()
    drop(system)
    await system.send(visit("ann", 101))
    await system.settle()
    assert months(system) == {"202608": 1}
    assert drop(system) == {("events", "default", "202608"): 1}


async def test_times_before_all_months_go_and_those_after_all_stay(system: System) -> None:
    system.workspace.keep("default", 30)
    await system.send(
        visit("old", 0, time=1_400_000_000_000, time_free=True),
        visit("far", 0, time=2_400_000_000_000, time_free=True),
    )
    await system.settle()
    assert months(system) == {"0": 2}
    assert drop(system) == {("events", "default", "0"): 1}
    assert [tuple(row) for row in system.rows("SELECT distinct_id FROM events")] == [("far",)]
    assert drop(system) == {}


async def test_dead_letters_go_with_the_month_in_which_they_came(system: System) -> None:
    system.workspace.keep("default", 30)
    system.clock.freeze(NOW - 80 * DAY)
    await system.send({"event": "1", "distinct_id": "ann"})
    await system.settle()
    system.clock.freeze(NOW)
    assert drop(system) == {("dead_letters", "default", "202609"): 1}


async def test_a_pass_that_is_stopped_goes_on_later(system: System) -> None:
    system.workspace.keep("default", 30)
    await system.send(visit("ann", 100), visit("ann", 150))
    await system.settle()
    stop = threading.Event()
    stop.set()
    assert expiry(system).run(stop) == []
    assert len(drop(system)) == 2


async def test_what_was_dropped_is_not_missed_and_all_else_is_still_proven(system: System) -> None:
    key = system.create_project(Project("retail", keep_days=30))
    for_ever = system.create_project(Project("wealth"))
    events = [visit(f"u{n}", days, properties={"note": "x"}) for n in range(20) for days in (1, 100, 150)]
    for each in (key, for_ever):
        await system.send(*events, {"event": "1", "distinct_id": "u"}, key=each)
        await system.settle()
    assert set(drop(system)) == {("events", "retail", "202606"), ("events", "retail", "202608")}
    assert findings(system) == []
    for project in ("retail", "wealth"):  # what came stays in the books
        ledger = await system.ledger(project)
        assert (ledger["received"], ledger["stored"]) == (61, 60)
        assert sum(ledger["rejected"].values()) == 1
    system.store.command(
        "ALTER TABLE events DELETE WHERE project = 'wealth' AND distinct_id = 'u7' AND time < now() - "
        "INTERVAL 50 DAY SETTINGS mutations_sync = 2"
    )
    assert [finding.problem for finding in findings(system)] == ["lost"] * 2


async def test_verifying_beside_a_rewrite_of_stamps_and_a_pass_finds_nothing(system: System) -> None:
    key = system.create_project(Project("retail", keep_days=30))
    for number in range(40):
        await system.send(*[visit(f"d{number}", days) for days in (1, 100, 150)], key=key)
    await system.settle()
    for number in range(40):
        login = f"c{number}"
        await system.send(visit(login, 1, anonymous_id=f"d{number}", login_id=login), key=key)
    await system.settle()
    assert system.rows("SELECT count() FROM events") == [(160,)]
    assert system.rows("SELECT count() FROM overrides") != [(0,)]

    async def work() -> None:
        await system.restamp()
        await asyncio.to_thread(drop, system)

    working = asyncio.create_task(work())
    looks = 0
    while not working.done():
        assert await asyncio.to_thread(findings, system) == []
        looks += 1
    await working
    assert looks > 0
    assert system.rows("SELECT count() FROM overrides") == [(0,)]
    assert system.rows("SELECT count() FROM events") == [(80,)]
    assert findings(system) == []


def findings(system: System) -> list[Finding]:
    rules = rules_in(system.workspace)
    return [each for each in verify(system.store, system.log, rules) if isinstance(each, Finding)]


async def test_an_answer_over_dropped_months_says_so(system: System) -> None:
    system.workspace.keep("default", 30)
    await system.send(visit("ann", 100), visit("ann", 3))
    await system.settle()
    before = (await system.query_api.post("/api/v1/query/trends", json=TRENDS)).json()
    assert before["result"]["series"][0]["total"] == 2
    assert before["meta"]["warnings"] == []
    drop(system)
    after = (await system.query_api.post("/api/v1/query/trends", json=TRENDS)).json()
    assert after["result"]["series"][0]["total"] == 1, "no answer of before is given again"
    (warning,) = after["meta"]["warnings"]
    assert "before 2026-09-01" in warning
    assert "for 30 days" in warning
    recent = TRENDS | {"range": {"from": "2026-10-01", "to": "2026-11-21"}}
    answer = (await system.query_api.post("/api/v1/query/trends", json=recent)).json()
    assert answer["meta"]["warnings"] == []


async def test_how_long_events_are_kept_is_set_when_a_project_is_made_and_changed_later(
    system: System,
) -> None:
    made = await system.query_api.post("/api/v1/projects", json={"name": "retail", "keep_days": 400})
    assert made.status_code == 201
    url = "/api/v1/projects/retail"
    assert (await system.query_api.get(url)).json()["keep_days"] == 400
    changed = await system.query_api.patch(url, json={"keep_days": 90})
    assert (changed.status_code, changed.json()["keep_days"]) == (200, 90)
    for_ever = await system.query_api.patch(url, json={"keep_days": None})
    assert for_ever.json()["keep_days"] is None
    again = await system.query_api.post("/api/v1/projects", json=changed.json() | {"name": "retail-2"})
    assert again.status_code == 201, "a project is described in the words in which it is made"
    found = system.workspace.project("retail")
    assert found is not None
    assert found.keep_days is None


@pytest.mark.parametrize("days", [0, -1, 36_501, "1"])
async def test_days_that_cannot_be_are_refused(system: System, days: Any) -> None:
    body = {"keep_days": days}
    for answer in (
        await system.query_api.patch("/api/v1/projects/default", json=body),
        await system.query_api.post("/api/v1/projects", json={"name": "retail", **body}),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, "keep_days")
    assert (await system.query_api.patch("/api/v1/projects/default", json={})).status_code == 422
    unknown = await system.query_api.patch("/api/v1/projects/default", json={"keepdays": 1})
    assert unknown.json()["nearest"] == "keep_days"


async def test_a_key_of_another_project_changes_nothing(system: System) -> None:
    made = await system.query_api.post("/api/v1/projects", json={"name": "retail"})
    headers = {"Authorization": f"Bearer {made.json()['secret_key']}"}
    answer = await system.query_api.patch("/api/v1/projects/default", json={"keep_days": 1}, headers=headers)
    assert answer.status_code == 403
    assert (await system.query_api.get("/api/v1/projects/default", headers=headers)).status_code == 403


def test_months_are_named_as_the_store_names_them() -> None:
    assert month_of(NOW) == "202611"
    assert month_end(month_of(NOW)) - NOW < 31 * DAY
    assert month_end("202612") == month_end("202611") + 31 * DAY
