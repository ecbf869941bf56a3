"""Equal queries that are asked at once are computed once; the computation ends when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Flight(Generic[Answer]):
    task: asyncio.Future[Answer]
    waiting: int = 0


class Flights(Generic[Answer]):
    """Of one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Answer]] = {}

    async def join(self, key: str, compute: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer, and whether somebody else had asked for it already. Cancelling this call leaves."""
        flight = self._flights.get(key)
        is_first = flight is None
        if flight is None:
            flight = _Flight(asyncio.ensure_future(compute()))
            self._flights[key] = flight
            flight.task.add_done_callback(lambda _: self._land(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), not is_first
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(key, flight)  # who asks now begins anew
                flight.task.cancel()

    def _land(self, key: str, flight: _Flight[Answer]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
