"""A project's tracking plan: shown, changed by whole versions, compared with what was seen."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, StrictInt

from footfall.tracking_plan.differences import differences
from footfall.tracking_plan.faults import InvalidPlan
from footfall.tracking_plan.plan import SOURCES, Plan
from footfall.tracking_plan.reading import read_plan
from footfall.tracking_plan.writing import plan_as_json
from footfall.tracking_plan.yaml_form import read_yaml
from footfall.workspace.plans import NO_PLAN, PlanConflict, SavedPlan
from footfall.workspace.workspace import Grant, Workspace
from query_api.answers import instant
from query_api.catalogue import Catalogue
from query_api.problems import Conflict, Fault, InvalidQuery, NotFound, refused
from query_api.spec.strict import Strict

MAX_SHOWN: Final = 1_000


class PlanChange(Strict):
    """`{"version", "plan"}`: the version that the change was made on (0: there was no plan), and the whole
    plan; see docs/tracking-plan.md.
    """

    version: StrictInt = Field(ge=0)
    plan: dict[str, Any]


def saved_plan(workspace: Workspace, project: str, version: int | None = None) -> SavedPlan:
    """The plan that counts, or this version of it. NotFound for a version that there never was."""
    plans = workspace.plans
    saved = plans.current(project) if version is None else plans.version(project, version)
    if saved is not None:
        return saved
    if version is None or version == NO_PLAN:
        return SavedPlan(project, NO_PLAN, Plan(), 0, "")
    newest = plans.current_version(project)
    raise NotFound(f"the plan has no version {version}: the newest is {newest}", code="unknown_version")


def list_versions(workspace: Workspace, project: str, limit: int) -> dict[str, Any]:
    """`{"versions": [{"version", "changed_at", "changed_by"}]}`, newest first."""
    return {
        "versions": [
            {
                "version": each.version,
                "changed_at": instant(each.changed_at),
                "changed_by": each.changed_by,
            }
            for each in workspace.plans.history(project, limit)
        ]
    }


def change_of_json(given: Any) -> tuple[int, Plan]:
    """The version and the plan of a body. InvalidQuery names every fault."""
    change = PlanChange.model_validate(given)
    try:
        return change.version, read_plan(change.plan)
    except InvalidPlan as error:
        raise _refused(error, "plan") from None


def plan_of_yaml(body: bytes) -> Plan:
    """The plan of a file. InvalidQuery names every fault and its line."""
    try:
        return read_yaml(body)
    except InvalidPlan as error:
        raise _refused(error, "") from None


def change_plan(
    workspace: Workspace,
    project: str,
    plan: Plan,
    *,
    base: int,
    catalogue: Catalogue,
    grant: Grant,
    now: int,
    dry_run: bool,
) -> dict[str, Any]:
    """`{"version", "changed", "dry_run", "changes", "warnings"}`: what the change means; `version` counts
    afterwards. Conflict where `base` is not the version that counts.
    """
    before = saved_plan(workspace, project)
    changes = differences(before.plan, plan)
    changed = before.version == NO_PLAN or plan_as_json(before.plan) != plan_as_json(plan)
    answer = {
        "version": before.version,
        "changed": changed,
        "dry_run": dry_run,
        "changes": [change._asdict() for change in changes[:MAX_SHOWN]],
        "warnings": _warnings(plan, catalogue),
    }
    if before.version != base:
        raise _conflict(PlanConflict(before.version))
    if dry_run:
        return answer
    try:
        saved = workspace.plans.save(project, plan, base=base, by=grant.actor, now=now)
    except PlanConflict as error:
        raise _conflict(error) from None
    if saved.version != before.version:
        detail = {"version": saved.version, "mode": plan.mode, "changes": len(changes)}
        workspace.audit.record(grant.actor, "plan.change", project, f"version {saved.version}", detail)
    return {**answer, "version": saved.version}


def _warnings(plan: Plan, catalogue: Catalogue) -> list[str]:
    """What the plan cannot change: the types of what was seen before."""
    found = []
    for source in SOURCES:
        for name, declared in plan.types(source).items():
            seen = catalogue.type_of(source, name)
            if seen is not None and seen != declared:
                found.append(
                    f"{source} property {name!r} was first seen as {seen} and is stored so; the plan says "
                    f"{declared}: it judges by that, and the store keeps what is no {seen} as text"
                )
    return found[:MAX_SHOWN]


def _conflict(error: PlanConflict) -> Conflict:
    return Conflict(str(error), code="plan_changed")


def _refused(error: InvalidPlan, under: str) -> InvalidQuery:
    return refused(
        [
            Fault(
                ".".join(filter(None, (under, fault.field))),
                fault.code,
                fault.message if fault.line is None else f"line {fault.line}: {fault.message}",
                fault.given,
                fault.allowed,
                fault.nearest,
            )
            for fault in error.faults
        ]
    )


def show_plan(saved: SavedPlan) -> dict[str, Any]:
    """`{"version", "changed_at", "changed_by", "plan"}`; without a plan, version 0 and a plan that is off."""
    return {
        "version": saved.version,
        "changed_at": instant(saved.changed_at) if saved.version else None,
        "changed_by": saved.changed_by or None,
        "plan": plan_as_json(saved.plan),
    }
