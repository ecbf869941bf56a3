"""What the workspace said, remembered for seconds: keys, projects, and what a project has set.

What is not known is looked up, so that something made a moment ago works at once; how often that happens is
bounded, so that guessing names does not become load on the workspace. While the workspace cannot be asked,
what it last said is used on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar

from collector.answers import Overloaded
from footfall.weather import Weather

Found = TypeVar("Found")

_CAPACITY: Final = 10_000
_LONGEST_NAME: Final = 512
_STALE_SECONDS: Final = 3_600.0  # what was known is used on while the workspace cannot be asked
_PATIENCE_SECONDS: Final = 2.0  # for an answer; of one that comes later others have the use
_ASKED_AGAIN_SECONDS: Final = 1.0  # after a question that was not answered


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


class _Entry(NamedTuple, Generic[Found]):
    answer: Found | None
    until: float  # it is asked for again then
    stale_until: float  # and used so long if nobody answers


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
        weather: Weather | None = None,
    ) -> None:
        """`ask` may block. An answer holds for `good_seconds`, None for `unknown_seconds`."""
        self._ask = ask
        self._seconds = (unknown_seconds, good_seconds)
        self._budget = budget
        self._weather = weather or Weather()
        self._known: dict[str, _Entry[Found]] = {}
        self._asking: dict[str, tuple[asyncio.Future[Found | None], float]] = {}  # and since when

    def peek(self, name: str) -> Found | Missing | None:
        """As `find`, but MISSING where the workspace must be asked."""
        entry = self._known.get(name)
        return entry.answer if entry is not None and entry.until > monotonic() else MISSING

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
        return (entry is None or entry.answer is None) and name not in self._asking

    async def _look_up(self, name: str) -> Found | None:
        asking, since = self._asking.get(name) or self._begin(name)
        left = since + _PATIENCE_SECONDS - monotonic()
        # Not wait_for, which needs a task from Python 3.12 on: requests run without (collector/protocol.py).
        await asyncio.wait((asking,), timeout=max(0.0, left))
        if not asking.done():
            return self._recall(name, TimeoutError(f"no answer within {_PATIENCE_SECONDS:g} s"))
        try:
            return asking.result()
        except Exception as error:  # noqa: BLE001 - whatever a workspace raises, it did not answer
            return self._recall(name, error)

    def _begin(self, name: str) -> tuple[asyncio.Future[Found | None], float]:
        asking = asyncio.ensure_future(asyncio.to_thread(self._ask, name))
        self._asking[name] = asking, monotonic()
        asking.add_done_callback(partial(self._end, name))
        return self._asking[name]

    def _end(self, name: str, asked: asyncio.Future[Found | None]) -> None:
        del self._asking[name]
        if not asked.cancelled() and asked.exception() is None:
            self._weather.fine("workspace")
            self._remember(name, asked.result())

    def _recall(self, name: str, error: Exception) -> Found | None:
        self._weather.bad("workspace", error)
        entry, now = self._known.get(name), monotonic()
        if entry is None or entry.answer is None or entry.stale_until < now:
            raise Overloaded("keys cannot be checked at the moment") from error
        if entry.until <= now:
            self._known[name] = entry._replace(until=now + min(_ASKED_AGAIN_SECONDS, self._seconds[True]))
        return entry.answer

    def _remember(self, name: str, answer: Found | None) -> None:
        if len(self._known) >= _CAPACITY:
            self._known.clear()
        until = monotonic() + self._seconds[answer is not None]
        self._known[name] = _Entry(answer, until, until + _STALE_SECONDS)
