"""Projects: which there are, making and changing one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, StrictBool, StrictInt, model_validator

from footfall.workspace.projects import IdentityRules, InvalidProject, Project
from footfall.workspace.workspace import Grant, ProjectExists, Workspace
from query_api.problems import Conflict, Fault, InvalidQuery, refused
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.strict import Strict, refuse_not_implemented


class IdentitySpec(Strict):
    """How a project's ids become persons; see docs/identity.md."""

    strategy: Literal["many_to_one", "one_to_one", "global"] = "many_to_one"
    bindings: Literal["any", "trusted"] = "any"
    shared_device_limit: StrictInt = Field(default=3)
    nobody_ids: tuple[str, ...] = Field(
        default=(), description="Identify nobody, beside the documented list."
    )
    somebody_ids: tuple[str, ...] = Field(default=(), description="Are on that list, yet somebody's here.")

    @model_validator(mode="after")
    def _check(self) -> IdentitySpec:
        if self.strategy == "global":
            option = f'"strategy": "{self.strategy}"'
            refuse_not_implemented(option, field="strategy", given=self.strategy)
        return self


class ProjectSpec(Strict):
    """`{"name", "timezone", "week_start", "keyless", "identity", "keep_days"}`."""

    name: str = Field(max_length=MAX_TEXT)
    timezone: str = Field(default="Asia/Shanghai", max_length=MAX_TEXT)
    week_start: Literal["monday", "sunday"] = "monday"
    keyless: StrictBool = False
    identity: IdentitySpec = IdentitySpec()
    keep_days: StrictInt | None = Field(
        default=None, description="Days to keep events; null: for ever. See docs/operations.md."
    )


class ProjectChange(Strict):
    """`{"keep_days"}`: what may be changed of a project."""

    keep_days: StrictInt | None


def describe_project(project: Project) -> dict[str, Any]:
    """A project's settings, as they are given when it is made."""
    return asdict(project)


def change_project(workspace: Workspace, name: str, change: ProjectChange) -> None:
    """`name` is a project."""
    try:
        workspace.keep(name, change.keep_days)
    except InvalidProject as error:
        raise _refused(error, change) from None


def list_projects(workspace: Workspace, grant: Grant) -> dict[str, Any]:
    """`{"projects": [{"name", "timezone", "week_start"}]}`: those that the key opens, by name."""
    opened = [project for project in workspace.projects() if grant.opens(project.name)]
    return {
        "projects": [
            {"name": project.name, "timezone": project.timezone, "week_start": project.week_start}
            for project in opened
        ]
    }


def create_project(workspace: Workspace, spec: ProjectSpec) -> dict[str, Any]:
    """`{"name", "write_key", "secret_key"}`: the only time that the keys can be seen."""
    identity = spec.identity
    project = Project(
        spec.name,
        spec.timezone,
        spec.week_start,
        spec.keyless,
        IdentityRules(
            identity.strategy,
            identity.bindings,
            identity.shared_device_limit,
            identity.nobody_ids,
            identity.somebody_ids,
        ),
        spec.keep_days,
    )
    try:
        keys = workspace.create_project(project)
    except InvalidProject as error:
        raise _refused(error, spec) from None
    except ProjectExists as error:
        raise Conflict(str(error)) from None
    return {"name": keys.name, "write_key": keys.write_key, "secret_key": keys.secret_key}


def _refused(error: InvalidProject, spec: Strict) -> InvalidQuery:
    given: Any = spec.model_dump()
    for part in error.field.split("."):
        given = given.get(part) if isinstance(given, dict) else None
    return refused([Fault(error.field, "invalid_value", error.message, given)])
