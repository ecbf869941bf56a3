"""Heavy requests, aside: what would hold the event loop for long is worked on in one thread beside it.

Most requests are light, and never leave the loop's thread. Which are heavy shows before they cost much: by
the size they came with or unpack to, by their braces (records), and by what the slow way of judging would
have to take. A request that turns out to be heavy begins anew, aside; nothing of it was stored or counted.

Heavy requests wait in a bounded queue, of which each project gets its share, with nothing in memory but their
bodies; one at a time has its turn.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple, ParamSpec, Protocol, TypeVar

from collector.answers import BodyTooLarge
from collector.budgets import Shares
from footfall.events.batch import TakesLong
from footfall.events.verdicts import Judge

LIGHT_BYTES: Final = 256 * 1024
"""Of a body as it came and unpacked: up to here a request may be light."""

LIGHT_BRACES: Final = 500
"""Opening braces in it: an event has two to four."""

LIGHT_RECORDS: Final = 500
"""Of what is inside encrypted envelopes."""

LIGHT_COMMAS: Final = 1_000
"""Commas in a batch of encrypted envelopes, which have about four each; payloads are parted by one."""

_SWITCH_SECONDS: Final = 0.0005
"""So long at most does this thread keep the event loop waiting for Python's lock, while it is there."""

_USUAL_SWITCH_SECONDS: Final = sys.getswitchinterval()

P = ParamSpec("P")
T = TypeVar("T")


class Run(Protocol):
    """Calls a function, and waits for what it returns."""

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class Pace(NamedTuple):
    """How a request is worked on: at once on the loop's thread, or aside, with all the time it takes."""

    judge: Judge  # of this thread
    run: Run
    patient: bool  # False: raises TakesLong for what takes too long here


async def at_once(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """On the loop's own thread."""
    return work(*args, **kwargs)


def check_light(text: bytes, pace: Pace) -> None:
    """Raises TakesLong if a body, as it came or unpacked, has no place on the loop's thread."""
    if not pace.patient and (len(text) > LIGHT_BYTES or text.count(b"{") > LIGHT_BRACES):
        raise TakesLong


def opened(unpack: Callable[[int], T], limit: int, pace: Pace) -> T:
    """`unpack(limit)`, which raises BodyTooLarge; without patience TakesLong for what is not small."""
    if pace.patient:
        return unpack(limit)
    try:
        return unpack(min(limit, LIGHT_BYTES))
    except BodyTooLarge:
        raise TakesLong from None


class Aside:
    """The thread beside the loop, and the queue before it. For one event loop."""

    def __init__(self, heavy_at_once: int) -> None:
        """So many requests may wait, with the one that is in work."""
        self._places = Shares(heavy_at_once, "heavy requests of this project")
        self._waiting = 0
        self._turn = asyncio.Lock()
        # One thread, since malloc keeps for each what it has freed; and only while it is needed.
        self._thread: ThreadPoolExecutor | None = None

    @asynccontextmanager
    async def turn(self, project: str) -> AsyncIterator[None]:
        """Waits for its turn. Raises Overloaded while too many wait."""
        self._places.take(project)
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._places.give_back(project)
            self._waiting -= 1
            if not self._waiting and self._thread is not None:
                self._thread.shutdown(wait=False)
                self._thread = None
                sys.setswitchinterval(_USUAL_SWITCH_SECONDS)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In the thread. For whoever has the turn."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")
            sys.setswitchinterval(_SWITCH_SECONDS)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(work, *args, **kwargs))
