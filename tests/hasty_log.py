"""A log whose records are processed and truncated just before one looks."""

from __future__ import annotations

from typing import Any, cast

from footfall.eventlog.log import Log
from tests.system import System


class _HastyLog:
    def __init__(self, system: System) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system.log, name)

    def tallies_and_end(self, partition: int) -> Any:
        before = self._system.log.tallies_and_end(partition)
        while self._system.processor.step():
            pass
        self._system.log.truncate(partition, before[1])
        return before


def hasty_log(system: System) -> Log:
    """The system's log, which says what it held before."""
    return cast(Log, _HastyLog(system))
