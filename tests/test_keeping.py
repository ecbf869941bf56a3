"""Single events and graded properties go after their days; legal holds keep what would go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from footfall.proof.findings import Finding
from footfall.proof.verify import rules_in, verify
from footfall.rights.keeping import held_by, thinned_by_rules
from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from footfall.workspace.erasures import Hold
from footfall.workspace.keep_rules import KeepRule
from processor.expiry import Expiry
from processor.removals import Removals
from processor.thinning import Thinned, Thinning
from tests.system import System

NOW = 1_795_301_590_252  # 2026-11-22
DAY = 86_400_000
RULES = "/api/v1/projects/default/keep-rules"


def event(name: str, who: str, days_ago: float, **properties: Any) -> dict[str, Any]:
    return {"event": name, "distinct_id": who, "time": int(NOW - days_ago * DAY), "properties": properties}


def run_pass(system: System, meanwhile: Callable[[], object] = lambda: None) -> None:
    """`meanwhile` is called whenever a pass has begun to look what may go."""

    def rules() -> list[Thinned]:
        meanwhile()
        return thinned_by_rules(system.workspace)

    @contextmanager
    def paused() -> Iterator[None]:
        meanwhile()
        with system.processor.paused():
            yield

    removals = Removals(system.store, system.clock, system.restamper.kept_away)
    thinning = Thinning(
        system.store,
        removals,
        rules,
        system.processor.at_rest,
        system.clock,
    )
    Expiry(
        system.store,
        system.workspace.projects,
        paused,
        system.clock,
        held=lambda: held_by(system.store, system.workspace),
        thinning=thinning,
    ).run(threading.Event())


def findings(system: System) -> list[Finding]:
    rules = rules_in(system.workspace)
    return [each for each in verify(system.store, system.log, rules) if isinstance(each, Finding)]


def stored(system: System) -> list[tuple[Any, ...]]:
    sql = """
    SELECT event, distinct_id, intDiv({now:Int64} - toUnixTimestamp64Milli(time), 86400000) AS days,
        toFloat64(p_amount), properties FROM events ORDER BY days, event, distinct_id"""
    return [tuple(row) for row in system.rows(sql, now=NOW)]


def plan(system: System, **grades: str) -> None:
    properties = {
        name: PlannedProperty("decimal" if name == "amount" else "string", grade=grade)
        for name, grade in grades.items()
    }  # type: ignore[arg-type]
    system.workspace.plans.save("default", Plan(common_properties=properties), base=0, by="test", now=NOW)


@pytest.fixture(autouse=True)
def _frozen(system: System) -> None:
    system.clock.freeze(NOW)


async def test_events_of_a_name_go_by_whole_months_and_the_books_stay_closed(system: System) -> None:
    system.workspace.keep_rules.replace("default", [KeepRule("event", "view_page", 30)])
    for days in (1, 40, 100):
        await system.send(event("view_page", "ann", days), event("buy", "ann", days))
        await system.settle()
    run_pass(system)
    assert [(name, days) for name, _, days, *_ in stored(system)] == [
        ("buy", 1), ("view_page", 1), ("buy", 40), ("view_page", 40), ("buy", 100),
    ]  # fmt: skip
    assert findings(system) == []
    system.clock.freeze(NOW + 30 * DAY)
    run_pass(system)
    assert len(stored(system)) == 4
    assert findings(system) == []
    await system.send(event("view_page", "bob", 50))  # late
    await system.settle()
    assert len(stored(system)) == 5
    run_pass(system)
    assert len(stored(system)) == 4
    system.store.command(
        "ALTER TABLE events DELETE WHERE event = 'buy' AND toYYYYMM(time) = 202608 "
        "SETTINGS mutations_sync = 2"
    )
    assert [each.problem for each in findings(system)] == ["lost"]


async def test_properties_of_a_grade_are_blanked_and_answers_that_reach_back_say_so(system: System) -> None:
    plan(system, amount="C1", note="C1")  # what is C2 is masked at the door
    system.workspace.keep_rules.replace("default", [KeepRule("grade", "C1", 30)])
    for days in (1, 100):
        sent = await system.send(event("buy", "ann", days, amount=12.5, note="x", other="y", page="p"))
        assert sent.status_code == 200, sent.text
    await system.settle()
    asked = {"series": [{"event": "buy"}], "range": {"from": "2026-01-01", "to": "2026-11-21"}}
    before = (await system.query_api.post("/api/v1/query/trends", json=asked)).json()
    assert before["meta"]["warnings"] == []
    run_pass(system)
    assert stored(system) == [
        ("buy", "ann", 1, 12.5, {"note": "x", "other": "y"}),
        ("buy", "ann", 100, None, {"other": "y"}),
    ]
    assert system.rows("SELECT count() FROM events WHERE p_page = 'p'") == [(2,)]
    assert findings(system) == []
    after = (await system.query_api.post("/api/v1/query/trends", json=asked)).json()
    assert after["result"] == before["result"]
    (warning,) = after["meta"]["warnings"]
    assert "before 2026-09-01" in warning
    assert "C1" in warning


async def test_a_hold_keeps_a_person_or_a_project(system: System) -> None:
    system.workspace.keep("default", 30)
    system.workspace.keep_rules.replace("default", [KeepRule("event", "view", 60)])
    await system.send(*[event(name, who, 100) for name in ("view", "buy") for who in ("ann", "bob")])
    await system.settle()
    ann = Hold("default", system.keyed_hash.id_key("default", "ann"), "case 1", "test", NOW)
    system.workspace.holds.put(ann)
    system.workspace.holds.put(Hold("default", 0, "case 2", "test", NOW))
    run_pass(system)
    assert len(stored(system)) == 4
    assert system.workspace.holds.release("default", 0)
    run_pass(system)
    assert [(name, who) for name, who, *_ in stored(system)] == [("buy", "ann"), ("view", "ann")]
    assert findings(system) == []
    assert system.workspace.holds.release("default", ann.id_key)
    run_pass(system)
    assert stored(system) == []
    assert findings(system) == []


@pytest.mark.parametrize("rule", [True, False])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_hold_that_is_placed_while_a_pass_runs_keeps_what_is_there(
    system: System, rule: bool, whole: bool
) -> None:
    if rule:
        system.workspace.keep_rules.replace("default", [KeepRule("event", "view", 60)])
    else:
        system.workspace.keep("default", 30)
    await system.send(event("view", "ann", 100), event("view", "bob", 100))
    await system.settle()
    key = 0 if whole else system.keyed_hash.id_key("default", "ann")
    run_pass(system, lambda: system.workspace.holds.put(Hold("default", key, "case 1", "test", NOW)))
    assert [who for _, who, *_ in stored(system)] == (["ann", "bob"] if whole else ["ann"])
    assert findings(system) == []


async def test_events_of_a_grade_go_as_a_whole(system: System) -> None:
    graded = Plan(events={"pay": PlannedEvent(grade="C3")})
    system.workspace.plans.save("default", graded, base=0, by="test", now=NOW)
    system.workspace.keep_rules.replace("default", [KeepRule("grade", "C3", 30)])
    await system.send(event("pay", "ann", 100), event("view", "ann", 100))
    await system.settle()
    run_pass(system)
    assert [name for name, *_ in stored(system)] == ["view"]


async def test_rules_are_set_over_the_api_and_audited(system: System) -> None:
    rules = [
        {"kind": "event", "name": "view", "keep_days": 90},
        {"kind": "grade", "name": "C2", "keep_days": 30},
    ]
    put = await system.query_api.put(RULES, json={"rules": rules})
    assert put.status_code == 200, put.text
    assert (await system.query_api.get(RULES)).json() == {"rules": rules}
    wrong = await system.query_api.put(
        RULES, json={"rules": [{"kind": "grade", "name": "C9", "keep_days": 1}]}
    )
    assert (wrong.status_code, wrong.json()["field"]) == (422, "rules[0].name")
    short = await system.query_api.put(
        RULES, json={"rules": [{"kind": "event", "name": "v", "keep_days": 0}]}
    )
    assert (short.status_code, short.json()["field"]) == (422, "rules[0].keep_days")
    twice = await system.query_api.put(RULES, json={"rules": [rules[0], rules[0]]})
    assert twice.json()["field"] == "rules[1].name"
    assert (await system.query_api.put(RULES, json={"rule": []})).json()["nearest"] == "rules"
    assert [row.action for row in system.workspace.audit.rows(_every())] == ["keep_rules.change"]
    await asyncio.sleep(0)


def _every() -> Any:
    from footfall.workspace.audit import AuditFilter

    return AuditFilter(action="keep_rules.")
