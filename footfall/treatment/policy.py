"""What a project wants done to its records before they rest, put together once and asked for often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from footfall.events.log_record import Refusal
from footfall.events.verdicts import Verdicts


class Plan(Protocol):
    """A project's tracking plan, compiled."""

    def refusals(self, verdicts: Verdicts, /) -> list[Refusal]:
        """What it turns away of the accepted records, which are all of its project.

        `verdicts.records` may hold properties in a form of no use (events/usual.py); `verdicts.events` has
        them as they came.
        """


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one project, compiled. Immutable, so it may be used by several threads."""

    project: str
    plan: Plan | None = None


class PolicyOf(Protocol):
    """The policy of a project, as it is now. May block: reads the workspace."""

    def __call__(self, project: str, /) -> Policy: ...


class Policies:
    """Policies of the projects of a workspace. Safe to use from several threads."""

    def __call__(self, project: str) -> Policy:
        """That of a project nobody knows is the policy of an installation without settings."""
        return Policy(project)
