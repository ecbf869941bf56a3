"""Partitions of the log that no collector writes, and their writer, which opens one when it is first needed.

Collector workers have the low numbers, from 0 on. A log that routes has a lane for all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from footfall.eventlog.lanes import BACKFILL
from footfall.eventlog.log import Log, LogClosed, LogWriter, Tally
from footfall.events.log_record import Header, write_log_record
from footfall.events.routing import Part, split

ADMINISTRATORS: Final = 9_000
"""What administrators say about ids."""

IMPORTS: Final = 9_100
"""One import at a time."""

REPLAYS: Final = 9_200
"""Dead letters that are sent in again."""


class LateWriter:
    """Writes one partition, which it opens with the first record; where the log routes, the lane BACKFILL.
    Safe to use from several threads.
    """

    def __init__(self, log: Log, partition: int, clock: Callable[[], int]) -> None:
        """`clock` gives epoch ms."""
        self._log = log
        self._partition = partition
        self._clock = clock
        self._lock = threading.Lock()
        self._writer: LogWriter | None = None
        self._is_closed = False
        self._last = 0

    def append(self, header: Header, events: bytes, keys: Sequence[bytes]) -> int:
        """Durable on return. When it was received, in epoch ms: no two records at the same moment, so that of
        two words the later can be told. `keys`: of each of the records (`routing_keys`). LogError.
        """
        with self._lock:
            writer = self._open()
            self._last = received_at = max(self._clock(), self._last + 1)
            header = msgspec.structs.replace(header, received_at=received_at)
            parts = split(header, events, keys) if writer.routes else [Part(b"", header, events)]
            appended = [
                writer.append(
                    write_log_record(part.header, part.events),
                    Tally(part.header.project, part.header.door, received_at // 60_000, part.header.count),
                    part.key,
                )
                for part in parts
            ]
        for each in appended:
            each.result()
        return received_at

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _open(self) -> LogWriter:
        if self._is_closed:
            raise LogClosed("this process is stopping")
        if self._writer is None:
            self._writer = self._log.open_writer(BACKFILL if self._log.routes else self._partition)
        return self._writer
