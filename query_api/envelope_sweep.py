"""Envelopes that waited for their key are replayed by themselves once it is there.

A letter is tried once for each key that comes: with the first sweep after it (or after a start) all that
wait, then those that came since, whose collector did not know the key yet. Nothing is kept about it but what
replays leave, so a sweep that dies is done again, and what it had sent already is a duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Final

import structlog

from footfall.crash_points import reach
from footfall.events.reasons import Reason
from footfall.workspace.audit import FOOTFALL
from footfall.workspace.workspace import Workspace
from query_api.dead_letters import Letters, Place
from query_api.fixes import parse_fix
from query_api.replays import Replay, Replays

_STALE_MS: Final = 3_700_000
"""For how long a collector may not know of a key that is there: while it cannot ask the workspace."""

_REQUESTS_AT_ONCE: Final = 200
_REST: Final = 2.0
"""Times as long as it works it rests: the processor and queries share the machine."""

_AS_THEY_ARE: Final = parse_fix("")
_logger = structlog.get_logger("query_api")


@dataclass(slots=True)
class _Project:
    """How far a project's letters were tried with the keys it has."""

    newest_key: int
    tried: dict[int, int] = field(default_factory=dict)  # log partition -> offset


class EnvelopeSweep:
    """For one thread at a time."""

    def __init__(
        self, workspace: Workspace, letters: Letters, replays: Replays, stopping: Callable[[], bool]
    ) -> None:
        """`stopping` is asked between portions of letters."""
        self._workspace = workspace
        self._letters = letters
        self._replays = replays
        self._stopping = stopping
        self._projects: dict[str, _Project] = {}

    def sweep(self) -> int:
        """Replays what can be opened by now; how many records that were. StoreError, LogError."""
        found = self._workspace.envelope_keys.projects()
        return sum(self._sweep_project(project, newest) for project, newest in found.items())

    def _sweep_project(self, project: str, newest_key: int) -> int:
        state = self._projects.get(project)
        if state is None or state.newest_key != newest_key:
            state = self._projects[project] = _Project(newest_key)
        replayed = 0
        until = newest_key + _STALE_MS
        while not self._stopping() and (places := self._waiting(project, state, until)):
            started = monotonic()
            answer = self._replays.replay(project, Replay(places, None, _AS_THEY_ARE))
            reach("K1")
            worked = monotonic() - started
            for place in places:
                state.tried[place.partition] = max(state.tried.get(place.partition, -1), place.offset)
            replayed += answer["replayed"]
            self._tell(project, answer)
            self._rest(_REST * worked)
        return replayed

    def _rest(self, seconds: float) -> None:
        """Whoever has a write key may have sent any number of envelopes for a key that was still to come."""
        until = monotonic() + seconds
        while not self._stopping() and (left := until - monotonic()) > 0:
            sleep(min(left, 0.1))

    def _waiting(self, project: str, state: _Project, until: int) -> list[Place]:
        return self._letters.waiting(
            project, Reason.ENCRYPTED.value, state.tried, until=until, limit=_REQUESTS_AT_ONCE
        )

    def _tell(self, project: str, answer: dict[str, Any]) -> None:
        if not answer["replayed"]:
            return
        detail = {"replayed": answer["replayed"], "refused": answer["refused"]}
        self._workspace.audit.record(FOOTFALL, "envelope_keys.use", project, "dead letters", detail)
        _logger.info("envelopes that waited for their key were replayed", project=project, **detail)


@asynccontextmanager
async def sweeping(
    workspace: Workspace, letters: Letters | None, replays: Replays | None, seconds: float
) -> AsyncIterator[None]:
    """Sweeps every so many seconds (0: never) as long as the context lasts."""
    if letters is None or replays is None or not seconds:
        yield
        return
    stop = asyncio.Event()
    sweep = EnvelopeSweep(workspace, letters, replays, stop.is_set).sweep
    task = asyncio.create_task(_sweep_until(stop, sweep, seconds))
    try:
        yield
    finally:
        stop.set()
        await task


async def _sweep_until(stop: asyncio.Event, sweep: Callable[[], int], seconds: float) -> None:
    """A failure costs one sweep."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(sweep)
        except Exception as error:  # noqa: BLE001 - whatever is away, it may be back the next time
            _logger.warning("envelopes that wait for their key cannot be replayed now", error=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
