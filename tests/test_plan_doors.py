"""A tracking plan at the collector's doors: what is refused, what is only noted, what a client hears."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from footfall.events.log_record import PlanViolation
from footfall.events.reasons import Reason
from footfall.tracking_plan.batches import ActivePlan
from footfall.tracking_plan.judging import REASONS
from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from footfall.treatment.policy import Policy
from tests.collector_worker import Worker, event, wrapped

PLAN = Plan(
    "enforce",
    unknown_events="refuse",
    unknown_properties="refuse",
    events={
        "view_fund": PlannedEvent(
            {
                "fund": PlannedProperty("string", required=True, allowed=("A", "B"), grade="C1"),
                "price": PlannedProperty("decimal"),
            }
        )
    },
)
GOOD = {"fund": "A", "price": 1.5, "$os": "iOS"}


def worker_with(plan: Plan) -> Worker:
    return Worker(policy_of=lambda project: Policy(project, ActivePlan(5, plan)))


def view(**changes: Any) -> dict[str, Any]:
    return event(properties={**GOOD, **changes}, lib={"$lib": "iOS", "$app_version": "8.1"})


BAD = [
    (Reason.PLAN_UNKNOWN_EVENT, "event", event(event="view_found")),
    (Reason.PLAN_UNKNOWN_PROPERTY, "properties.colour", view(colour="red")),
    (Reason.PLAN_MISSING_PROPERTY, "properties.fund", view(fund=None)),
    (Reason.PLAN_WRONG_TYPE, "properties.price", view(price="1.5")),
    (Reason.PLAN_NOT_ALLOWED, "properties.fund", view(fund="C")),
]


def test_every_reason_of_a_plan_is_here() -> None:
    assert [reason for reason, _, _ in BAD] == list(REASONS.values())
    assert [reason for reason in Reason if reason.startswith("plan_")] == list(REASONS.values())


@pytest.mark.parametrize(("reason", "field", "record"), BAD)
async def test_an_enforced_plan_refuses_for_a_reason_and_names_the_field(
    reason: Reason, field: str, record: dict[str, Any]
) -> None:
    worker = worker_with(PLAN)
    answer = (await worker.track([view(), record])).json()
    (rejected,) = answer.pop("rejected")
    assert answer == {"accepted": 1}
    assert (rejected["index"], rejected["reason"], rejected["field"]) == (1, reason, field)
    (stored,) = worker.stored()
    assert stored.reasons == [reason]
    assert stored.header.plan == 5
    (violation,) = stored.header.violations
    assert (f"plan_{violation.kind}", violation.indexes) == (reason, [1])


@pytest.mark.parametrize(("reason", "field", "record"), BAD)
async def test_a_reporting_plan_takes_it_and_notes_it(
    reason: Reason, field: str, record: dict[str, Any]
) -> None:
    worker = worker_with(replace(PLAN, mode="report"))
    assert (await worker.track([view(), record])).json() == {"accepted": 2, "rejected": []}
    (stored,) = worker.stored()
    assert not stored.reasons
    (violation,) = stored.header.violations
    assert f"plan_{violation.kind}" == reason


async def test_what_is_noted_says_where_and_of_which_app() -> None:
    worker = worker_with(replace(PLAN, mode="report"))
    await worker.track([view(), view(price="x"), view(price=True), view(colour=1, fund="C")])
    (stored,) = worker.stored()
    assert stored.header.violations == [
        PlanViolation("view_fund", "price", "wrong_type", "iOS", "8.1", [1, 2]),
        PlanViolation("view_fund", "fund", "not_allowed", "iOS", "8.1", [3]),
        PlanViolation("view_fund", "colour", "unknown_property", "iOS", "8.1", [3]),
    ]


async def test_a_plan_that_is_off_only_leaves_its_version() -> None:
    worker = worker_with(replace(PLAN, mode="off"))
    assert (await worker.track([record for _, _, record in BAD])).json()["accepted"] == len(BAD)
    (stored,) = worker.stored()
    assert (stored.header.plan, stored.header.violations) == (5, [])


async def test_an_enforced_plan_may_only_note_what_it_does_not_know() -> None:
    worker = worker_with(replace(PLAN, unknown_events="report", unknown_properties="allow"))
    answer = (await worker.track([event(event="view_found"), view(colour="red"), view(fund="C")])).json()
    assert [rejected["index"] for rejected in answer["rejected"]] == [2]
    (stored,) = worker.stored()
    assert [violation.kind for violation in stored.header.violations] == ["unknown_event", "not_allowed"]


@pytest.mark.parametrize("mode", ["report", "enforce"])
async def test_validation_tells_every_violation_and_stores_nothing(mode: Any) -> None:
    worker = worker_with(replace(PLAN, mode=mode))
    answer = (await worker.post("/v1/validate?key=sk-all", [view(), view(price="x", colour=1)])).json()
    told = [(each["index"], each["reason"], each["field"]) for each in answer["violations"]]
    wrong, unknown = (
        (1, "plan_wrong_type", "properties.price"),
        (1, "plan_unknown_property", "properties.colour"),
    )
    assert told == [wrong, unknown]
    rejected = [(each["index"], each["reason"], each["field"]) for each in answer["rejected"]]
    assert rejected == ([wrong] if mode == "enforce" else [])
    assert answer["accepted"] == 2 - len(rejected)
    assert not worker.stored()


async def test_a_good_record_is_validated_in_the_old_words() -> None:
    worker = worker_with(PLAN)
    answer = (await worker.post("/v1/validate?key=sk-all", [view()])).json()
    assert answer == {"accepted": 1, "rejected": []}


async def test_records_of_several_projects_are_each_judged_by_their_own_plan() -> None:
    plans = {"bank": Policy("bank", ActivePlan(2, PLAN))}
    worker = Worker(policy_of=lambda project: plans.get(project, Policy(project)))
    records = [{**view(price="x"), "project": project} for project in ("default", "bank", "bank", "default")]
    records[2]["properties"]["price"] = 3
    answer = (await worker.post("/v1/validate?key=sk-all", records)).json()
    assert [each["index"] for each in answer["rejected"]] == [1]
    assert [each["index"] for each in answer["violations"]] == [1]
    await worker.post("/v1/events?key=sk-all", records)
    kept = {stored.header.project: stored.header for stored in worker.stored()}
    assert (kept["default"].plan, kept["default"].violations) == (0, [])
    assert [each.indexes for each in kept["bank"].violations] == [[0]]


async def test_a_sensors_client_hears_of_nothing_but_in_debug_mode() -> None:
    worker = worker_with(PLAN)
    body = b"data=" + wrapped(view(price="x"))
    assert (await worker.post("/sa?project=open", body)).status_code == 200
    debug = await worker.post("/debug?project=open", body)
    assert debug.status_code == 400
    assert [each["reason"] for each in debug.json()["errors"]] == ["plan_wrong_type"]
    assert [stored.reasons for stored in worker.stored()] == [["plan_wrong_type"]] * 2


async def test_a_dry_run_tells_a_sensors_client_what_is_only_noted() -> None:
    worker = worker_with(replace(PLAN, mode="report"))
    body = b"data=" + wrapped(view(price="x"))
    dry = await worker.post("/debug?project=open", body, headers={"Dry-Run": "true"})
    assert dry.status_code == 200
    assert [each["field"] for each in dry.json()["violations"]] == ["properties.price"]
    good = await worker.post("/debug?project=open", b"data=" + wrapped(view()), headers={"Dry-Run": "true"})
    assert (good.status_code, good.json()) == (200, {})
    assert not worker.stored()
