"""Who may write where: keys and projects, asked from the workspace and remembered for seconds.

A key that was made a moment ago works at once, since what is not known is looked up; how often that happens
is bounded, so that guessing keys does not become load on the workspace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar

from collector.answers import Overloaded
from collector.options import CollectorOptions
from footfall.workspace.projects import Project
from footfall.workspace.workspace import Grant

Found = TypeVar("Found")

_CAPACITY: Final = 10_000
_LONGEST_KEY: Final = 512
_STALE_SECONDS: Final = 3_600.0  # what was known is used on while the workspace cannot be asked
_log = logging.getLogger(__name__)


class Directory(Protocol):
    """What is needed of a workspace. May block; called in threads."""

    def grant(self, key: str) -> Grant | None: ...

    def project(self, name: str) -> Project | None: ...


class Missing:
    """Not known without asking."""


MISSING: Final = Missing()


class _Memory(Generic[Found]):
    """Answers of one question to the workspace."""

    def __init__(
        self, ask: Callable[[str], Found | None], good_seconds: float, unknown_seconds: float
    ) -> None:
        self._ask = ask
        self._seconds = (unknown_seconds, good_seconds)
        self._known: dict[str, tuple[Found | None, float]] = {}  # name -> answer, until when it holds
        self._asking: dict[str, asyncio.Future[Found | None]] = {}

    def peek(self, name: str) -> Found | Missing | None:
        entry = self._known.get(name)
        return entry[0] if entry is not None and entry[1] > monotonic() else MISSING

    def is_new(self, name: str) -> bool:
        """Whether nothing good was ever heard of it: such questions are bounded."""
        entry = self._known.get(name)
        return (entry is None or entry[0] is None) and name not in self._asking

    async def find(self, name: str) -> Found | None:
        asking = self._asking.get(name)
        if asking is None:
            asking = asyncio.ensure_future(asyncio.to_thread(self._ask, name))
            self._asking[name] = asking
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        try:
            answer = await asyncio.shield(asking)
        except Exception as error:  # noqa: BLE001 - whatever a workspace raises, it did not answer
            return self._recall(name, error)
        self._remember(name, answer)
        return answer

    def _recall(self, name: str, error: Exception) -> Found | None:
        entry = self._known.get(name)
        if entry is None or entry[0] is None or entry[1] + _STALE_SECONDS < monotonic():
            raise Overloaded("keys cannot be checked at the moment") from error
        _log.warning("workspace cannot be asked, going on with what it last said: %s", error)
        return entry[0]

    def _remember(self, name: str, answer: Found | None) -> None:
        if len(self._known) >= _CAPACITY:
            self._known.clear()
        self._known[name] = (answer, monotonic() + self._seconds[answer is not None])


class Keys:
    """Grants and projects by name. For one event loop."""

    def __init__(self, directory: Directory, options: CollectorOptions) -> None:
        self._grants: _Memory[Grant] = _Memory(directory.grant, options.key_seconds, options.unknown_seconds)
        self._projects: _Memory[Project] = _Memory(
            directory.project, options.project_seconds, options.unknown_seconds
        )
        self._rate = float(options.lookups_per_second)
        self._budget = self._rate
        self._refilled = monotonic()

    def known_grant(self, key: str) -> Grant | Missing | None:
        """As `grant`, but MISSING where the workspace must be asked."""
        return self._grants.peek(key)

    async def grant(self, key: str) -> Grant | None:
        """What a key opens. Raises Overloaded when it cannot be looked up now."""
        known = self._grants.peek(key)
        if not isinstance(known, Missing):
            return known
        grant: Grant | None = await self._look_up(self._grants, key)
        return grant

    async def project(self, name: str) -> Project | None:
        """A project by name. Raises Overloaded when it cannot be looked up now."""
        known = self._projects.peek(name)
        if not isinstance(known, Missing):
            return known
        project: Project | None = await self._look_up(self._projects, name)
        return project

    async def _look_up(self, memory: _Memory[Found], name: str) -> Found | None:
        if not name or len(name) > _LONGEST_KEY:
            return None
        if memory.is_new(name):
            self._spend()
        return await memory.find(name)

    def _spend(self) -> None:
        now = monotonic()
        self._budget = min(self._rate, self._budget + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._budget < 1:
            raise Overloaded("too many unknown keys at once")
        self._budget -= 1
