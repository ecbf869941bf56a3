"""What the workspace said, remembered for seconds: keys, projects, and what a project has set.

What is not known is looked up, so that something made a moment ago works at once; how often that happens is
bounded, so that guessing names does not become load on the workspace. While the workspace cannot be asked,
what it last said is used on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

from collector.answers import Overloaded

Found = TypeVar("Found")

_CAPACITY: Final = 10_000
_LONGEST_NAME: Final = 512
_STALE_SECONDS: Final = 3_600.0  # what was known is used on while the workspace cannot be asked
_log = logging.getLogger(__name__)


class Missing:
    """Not known without asking."""


MISSING: Final = Missing()


class Budget:
    """How many questions about names nobody knows may be asked in a second."""

    def __init__(self, per_second: float) -> None:
        self._rate = self._left = per_second
        self._refilled = monotonic()

    def spend(self) -> None:
        """Raises Overloaded when there is none left."""
        now = monotonic()
        self._left = min(self._rate, self._left + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._left < 1:
            raise Overloaded("too many unknown keys at once")
        self._left -= 1


class Memory(Generic[Found]):
    """Answers of one question to the workspace, by name. For one event loop.

    An answer may be anything that is made of what the workspace said, compiled rules for example: it is made
    once, in a thread. None says that there is nothing of that name.
    """

    def __init__(
        self,
        ask: Callable[[str], Found | None],
        good_seconds: float,
        unknown_seconds: float,
        budget: Budget,
    ) -> None:
        """`ask` may block. An answer holds for `good_seconds`, None for `unknown_seconds`."""
        self._ask = ask
        self._seconds = (unknown_seconds, good_seconds)
        self._budget = budget
        self._known: dict[str, tuple[Found | None, float]] = {}  # name -> answer, until when it holds
        self._asking: dict[str, asyncio.Future[Found | None]] = {}

    def peek(self, name: str) -> Found | Missing | None:
        """As `find`, but MISSING where the workspace must be asked."""
        entry = self._known.get(name)
        return entry[0] if entry is not None and entry[1] > monotonic() else MISSING

    async def find(self, name: str) -> Found | None:
        """What the workspace says of a name. Raises Overloaded when it cannot be looked up now."""
        known = self.peek(name)
        if not isinstance(known, Missing):
            return known
        if not name or len(name) > _LONGEST_NAME:
            return None
        if self._is_new(name):
            self._budget.spend()
        return await self._look_up(name)

    def _is_new(self, name: str) -> bool:
        """Whether nothing good was ever heard of it: such questions are bounded."""
        entry = self._known.get(name)
        return (entry is None or entry[0] is None) and name not in self._asking

    async def _look_up(self, name: str) -> Found | None:
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
