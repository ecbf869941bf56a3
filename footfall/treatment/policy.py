"""What a project wants done to its records before they rest, put together once and asked for often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from footfall.events.identity_keys import IdentityKeys
from footfall.events.nobody import identifies_nobody
from footfall.privacy.privacy import Privacy
from footfall.privacy.settings import PrivacySettings
from footfall.privacy.suites import SuiteName
from footfall.sealing import Sealer
from footfall.tracking_plan.batches import ActivePlan
from footfall.tracking_plan.plan import Plan, Source
from footfall.workspace.plans import NO_PLAN
from footfall.workspace.projects import Project
from footfall.workspace.workspace import Workspace

_CAPACITY: Final = 1_000
_SOURCES: Final[tuple[Source, ...]] = ("event", "user", "item")
Compiled = TypeVar("Compiled")


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one project, compiled. May be used by several threads."""

    project: str
    plan: ActivePlan | None = None
    identity_keys: IdentityKeys | None = None  # what `identities` may name; None: whatever it likes
    privacy: Privacy | None = None  # None: in tests of other things
    sealer: Sealer | None = None  # of what was refused; there where privacy is


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
        return _remember(self._compiled, project, ActivePlan(version, saved.plan))


class _PrivacyOf(NamedTuple):
    """What a project's privacy is made of, and what it makes."""

    settings: PrivacySettings
    plan: Plan | None
    keys: IdentityKeys | None
    project: Project | None
    privacy: Privacy
    sealer: Sealer


class ActivePrivacy:
    """Each project's privacy, put together once for what it is made of. Safe to use from several threads."""

    def __init__(self, workspace: Workspace, installation_key: bytes, suite: SuiteName) -> None:
        self._workspace = workspace
        self._installation_key = installation_key
        self._suite = suite
        self._known: dict[str, _PrivacyOf] = {}

    def of(self, name: str, plan: Plan | None, keys: IdentityKeys | None) -> tuple[Privacy, Sealer]:
        """What counts now. May block: reads the workspace."""
        settings = self._workspace.privacy.settings(name)
        project = self._workspace.project(name)
        known = self._known.get(name)
        made_of = (settings, plan, keys, project)
        if known is None or known[:4] != made_of:
            known = _remember(self._known, name, _PrivacyOf(*made_of, *self._make(name, *made_of)))
        return known.privacy, known.sealer

    def _make(
        self,
        name: str,
        settings: PrivacySettings,
        plan: Plan | None,
        keys: IdentityKeys | None,
        project: Project | None,
    ) -> tuple[Privacy, Sealer]:
        is_nobody: Callable[[str], bool] = identifies_nobody
        if project is not None:
            is_nobody = project.identity.is_nobody
        privacy = Privacy(
            name,
            settings,
            self._installation_key,
            suite=self._suite,
            grades={source: plan.grades(source) for source in _SOURCES} if plan is not None else {},
            money=_decimals(plan) if plan is not None else frozenset(),
            is_nobody=is_nobody,
            id_keys=() if keys is None else keys.names,
        )
        return privacy, Sealer(self._installation_key, settings.suite or self._suite)


def _decimals(plan: Plan) -> frozenset[str]:
    """What a plan declares to be money."""
    return frozenset(
        name for source in _SOURCES for name, type_ in plan.types(source).items() if type_ == "decimal"
    )


def _remember(known: dict[str, Compiled], project: str, compiled: Compiled) -> Compiled:
    if len(known) >= _CAPACITY:
        known.clear()
    known[project] = compiled
    return compiled


class Policies:
    """Policies of the projects of a workspace. Safe to use from several threads."""

    def __init__(self, workspace: Workspace, installation_key: bytes, *, suite: SuiteName = "intl") -> None:
        """`suite` is the installation's: projects may choose their own."""
        self._plans = ActivePlans(workspace)
        self._keys = workspace.declared_keys
        self._privacy = ActivePrivacy(workspace, installation_key, suite)

    def __call__(self, project: str) -> Policy:
        """That of a project nobody knows is the policy of an installation without settings."""
        plan = self._plans.of(project)
        keys = self._keys.of_project(project)
        privacy, sealer = self._privacy.of(project, None if plan is None else plan.plan, keys)
        return Policy(project, plan, keys, privacy, sealer)
