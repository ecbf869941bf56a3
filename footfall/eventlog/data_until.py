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
        self._arrivals: dict[int, tuple[int, int]] = {}  # (offset, received_at) that was read last

    def __call__(self) -> int:
        """Everything accepted before this moment is in answers. LogError."""
        until = self._clock()  # before looking: what comes later is later
        for partition, position in self._log.positions().items():
            if position.lag:
                until = min(until, self._arrival(partition, position.committed))
        self._last = until
        return until

    def _arrival(self, partition: int, offset: int) -> int:
        known = self._arrivals.get(partition)
        if known is not None and known[0] == offset:
            return known[1]
        try:
            found = self._log.read(partition, offset, 1)
            if found:
                received_at = read_header(found[0].payload).received_at
                self._arrivals[partition] = (offset, received_at)
                return received_at
        except (DamagedRecord, MalformedLogRecord):
            pass
        return self._last  # an unreadable record says no time: do not promise more than before
