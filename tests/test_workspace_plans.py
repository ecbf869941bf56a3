"""Versions of tracking plans in the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from footfall.workspace import Project, Workspace, open_workspace
from footfall.workspace.plans import NO_PLAN, PlanConflict, PlanVersion

FIRST = Plan("report", events={"open_page": PlannedEvent({"page": PlannedProperty("string", grade="C1")})})
SECOND = replace(FIRST, mode="enforce")


@pytest.fixture
def workspace(workspace_url: str) -> Iterator[Workspace]:
    opened = open_workspace(workspace_url)
    opened.create_project(Project("bank"))
    opened.create_project(Project("shop"))
    yield opened
    opened.close()


def test_a_project_has_no_plan_at_first(workspace: Workspace) -> None:
    assert workspace.plans.current("bank") is None
    assert workspace.plans.history("bank", 10) == []


def test_the_last_version_counts_and_those_before_stay(workspace: Workspace) -> None:
    workspace.plans.save("bank", FIRST, base=NO_PLAN, by="ann", now=1_000)
    workspace.plans.save("bank", SECOND, base=1, by="bob", now=2_000)
    current, first = workspace.plans.current("bank"), workspace.plans.version("bank", 1)
    assert current is not None
    assert first is not None
    assert (current.version, current.plan, current.changed_by) == (2, SECOND, "bob")
    assert (first.plan, first.changed_at) == (FIRST, 1_000)
    assert workspace.plans.history("bank", 10) == [PlanVersion(2, 2_000, "bob"), PlanVersion(1, 1_000, "ann")]
    assert workspace.plans.history("bank", 1) == [PlanVersion(2, 2_000, "bob")]
    assert workspace.plans.version("bank", 3) is None
    assert workspace.plans.current("shop") is None


def test_a_change_on_an_older_version_is_refused(workspace: Workspace) -> None:
    workspace.plans.save("bank", FIRST, base=NO_PLAN, by="ann", now=1_000)
    with pytest.raises(PlanConflict, match="version 1 now"):
        workspace.plans.save("bank", SECOND, base=NO_PLAN, by="bob", now=2_000)
    with pytest.raises(PlanConflict):
        workspace.plans.save("bank", SECOND, base=2, by="bob", now=2_000)


def test_saving_the_same_again_makes_no_version(workspace: Workspace) -> None:
    first = workspace.plans.save("bank", FIRST, base=NO_PLAN, by="ann", now=1_000)
    assert workspace.plans.save("bank", FIRST, base=1, by="bob", now=2_000) == first
    assert len(workspace.plans.history("bank", 10)) == 1
