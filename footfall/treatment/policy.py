"""What a project wants done to its records before they rest, put together once and asked for often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from footfall.events.identity_keys import IdentityKeys
from footfall.tracking_plan.batches import ActivePlan
from footfall.workspace.plans import NO_PLAN
from footfall.workspace.workspace import Workspace

_CAPACITY: Final = 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one project, compiled. Immutable, so it may be used by several threads."""

    project: str
    plan: ActivePlan | None = None
    identity_keys: IdentityKeys | None = None  # what `identities` may name; None: whatever it likes


class PolicyOf(Protocol):
    """The policy of a project, as it is now. May block: reads the workspace."""

    def __call__(self, project: str, /) -> Policy: ...


class ActivePlans:
    """Each project's plan, read and compiled once a version. Safe to use from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._plans = workspace.plans
        self._compiled: dict[str, ActivePlan] = {}

    def of(self, project: str) -> ActivePlan | None:
        """The plan that counts now; None where there is none. May block: reads the workspace."""
        version = self._plans.current_version(project)
        if version == NO_PLAN:
            return None
        known = self._compiled.get(project)
        if known is not None and known.version == version:
            return known
        saved = self._plans.version(project, version)
        assert saved is not None, "versions are never taken away"
        compiled = ActivePlan(version, saved.plan)
        if len(self._compiled) >= _CAPACITY:
            self._compiled.clear()
        self._compiled[project] = compiled
        return compiled


class Policies:
    """Policies of the projects of a workspace. Safe to use from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._plans = ActivePlans(workspace)
        self._keys = workspace.declared_keys

    def __call__(self, project: str) -> Policy:
        """That of a project nobody knows is the policy of an installation without settings."""
        return Policy(project, self._plans.of(project), self._keys.of_project(project))
