"""Projects: which there are, making and changing one."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, StrictBool, StrictInt

from footfall.events.identity_keys import IdentityKey
from footfall.workspace.projects import IdentityRules, InvalidProject, Project
from footfall.workspace.workspace import Grant, ProjectExists, Workspace
from query_api.problems import Conflict, Fault, InvalidQuery, refused
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.strict import Strict


class IdentityKeySpec(Strict):
    """A kind of id that a person may have; see docs/identity.md."""

    name: str = Field(max_length=MAX_TEXT)
    values: Literal["one", "many"] = Field(default="many", description="How many of them a person has.")
    parent: str | None = Field(
        default=None, max_length=MAX_TEXT, description="The key whose unbinding takes along ids of this one."
    )
    most: StrictInt | None = Field(default=None, description="Of many values, so many; null: any number.")
    overflow: Literal["refuse", "replace"] = Field(
        default="refuse", description="One value too many is refused, or takes the place of the oldest."
    )


class IdentitySpec(Strict):
    """How a project's ids become persons; see docs/identity.md."""

    strategy: Literal["many_to_one", "one_to_one", "global"] = "many_to_one"
    bindings: Literal["any", "trusted"] = "any"
    shared_device_limit: StrictInt = Field(default=3)
    nobody_ids: tuple[str, ...] = Field(
        default=(), description="Identify nobody, beside the documented list."
    )
    somebody_ids: tuple[str, ...] = Field(default=(), description="Are on that list, yet somebody's here.")

    keys: tuple[IdentityKeySpec, ...] = Field(
        default=(),
        description='Under "global": what records may carry in `identities`, the highest priority first. '
        "None: a documented list.",
    )


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
    described = asdict(project)
    declared = project.identity.declared
    keys = {} if declared is None else {"keys": [key._asdict() for key in declared.keys]}
    described["identity"] = {
        name: value for name, value in described["identity"].items() if name != "keys"
    } | keys
    return described


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
            tuple(IdentityKey(**key.model_dump()) for key in identity.keys),
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
    for part in re.findall(r"[^.\[\]]+", error.field):
        if isinstance(given, tuple | list) and part.isdigit():
            given = given[int(part)]
        else:
            given = given.get(part) if isinstance(given, dict) else None
    return refused(
        [Fault(error.field, "invalid_value", error.message, given, list(error.allowed), error.nearest)]
    )
