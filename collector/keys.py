"""Who may write where: keys and projects, asked from the workspace and remembered for seconds (memory.py)."""

from __future__ import annotations

from typing import Protocol

from collector.memory import Budget, Memory, Missing
from collector.options import CollectorOptions
from footfall.envelopes.keys import NO_KEYS, KeyRing, RingOf
from footfall.treatment.policy import Policy, PolicyOf
from footfall.weather import Weather
from footfall.workspace.audit import Audit
from footfall.workspace.envelope_keys import EnvelopeKeys
from footfall.workspace.projects import Project
from footfall.workspace.remote_config import RemoteConfigs
from footfall.workspace.workspace import Grant


class Directory(Protocol):
    """What is needed of a workspace. May block; called in threads."""

    def grant(self, key: str) -> Grant | None: ...

    def project(self, name: str) -> Project | None: ...

    @property
    def remote_config(self) -> RemoteConfigs: ...

    @property
    def envelope_keys(self) -> EnvelopeKeys: ...

    @property
    def audit(self) -> Audit: ...


class Keys:
    """Grants, projects, their policies and the keys of their envelopes, by name. For one event loop."""

    def __init__(
        self, directory: Directory, policy_of: PolicyOf, ring_of: RingOf, options: CollectorOptions
    ) -> None:
        budget = Budget(options.lookups_per_second)
        self._weather = weather = Weather()
        self._grants: Memory[Grant] = Memory(
            directory.grant, options.key_seconds, options.unknown_seconds, budget, weather
        )
        self._projects: Memory[Project] = Memory(
            directory.project, options.project_seconds, options.unknown_seconds, budget, weather
        )
        self._policies: Memory[Policy] = Memory(
            lambda name: policy_of(name[1:]),
            options.project_seconds,
            options.unknown_seconds,
            budget,
            weather,
        )
        self._rings: Memory[KeyRing] = Memory(
            ring_of, options.project_seconds, options.unknown_seconds, budget, weather
        )

    @property
    def away_since(self) -> float:
        """Since when the workspace cannot be asked (Unix time); 0: it answers."""
        return self._weather.since.get("workspace", 0.0)

    def known_grant(self, key: str) -> Grant | Missing | None:
        """As `grant`, but MISSING where the workspace must be asked."""
        return self._grants.peek(key)

    async def grant(self, key: str) -> Grant | None:
        """What a key opens. Raises Overloaded when it cannot be looked up now."""
        return await self._grants.find(key)

    async def project(self, name: str) -> Project | None:
        """A project by name. Raises Overloaded when it cannot be looked up now."""
        return await self._projects.find(name)

    async def policy(self, project: str) -> Policy:
        """How the records of a project, "" for none, are treated. Raises Overloaded when it cannot be looked
        up now: what may not rest as it came must not be taken.
        """
        policy = await self._policies.find(f"/{project}")
        assert policy is not None, "every project has a policy"
        return policy

    async def ring(self, project: str) -> KeyRing:
        """What opens a project's encrypted envelopes. Raises Overloaded when it cannot be looked up now."""
        ring = await self._rings.find(project)
        return NO_KEYS if ring is None else ring
