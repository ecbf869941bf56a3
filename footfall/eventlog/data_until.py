"""Up to when all that was accepted is processed, by the log alone: no processor need be in this process."""

from __future__ import annotations

from collections.abc import Callable

from footfall.eventlog.log import DamagedRecord, Log
from footfall.events.log_record import MalformedLogRecord, read_header


class DataUntil:
    """Called, it gives a moment in epoch ms. Safe in several threads."""

    def __init__(self, log: Log, clock: Callable[[], int]) -> None:
        """`clock` gives epoch ms."""
        self._log = log
        self._clock = clock
        self._last = 0

    def __call__(self) -> int:
        """Everything accepted before this moment is in answers. LogError."""
        until = self._clock()  # before looking: what comes later is later
        for partition in self._log.partitions():
            position = self._log.position(partition)
            if position.lag:
                until = min(until, self._arrival(partition, position.committed))
        self._last = until
        return until

    def _arrival(self, partition: int, offset: int) -> int:
        try:
            found = self._log.read(partition, offset, 1)
            if found:
                return read_header(found[0].payload).received_at
        except (DamagedRecord, MalformedLogRecord):
            pass
        return self._last  # an unreadable record says no time: do not promise more than before
