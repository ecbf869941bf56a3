"""What waits in one partition: read ahead, so that a block can be cut where it is big enough or old
enough.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile

from footfall.eventlog.log import Log
from processor.blocks import READ_BYTES, read_some
from processor.intake import Opened, open_record


class Waiting:
    """Unprocessed records of a partition, in order."""

    def __init__(
        self, log: Log, partition: int, next_offset: int, *, max_events: int, kept_bytes: int
    ) -> None:
        """`max_events` are read ahead at most, give or take a record; `kept_bytes` stay behind in the log."""
        self._log = log
        self.partition = partition
        self._next_offset = next_offset
        self._max_events = max_events
        self._kept_limit = kept_bytes
        self._records: deque[Opened] = deque()
        self._since = 0.0
        self._kept: deque[tuple[int, int]] = deque()  # (offset behind, bytes) of processed blocks
        self._kept_bytes = 0
        self.events = 0

    @property
    def oldest_received_at(self) -> int | None:
        """Epoch ms; None if nothing waits."""
        headers = (record.header for record in self._records)
        return next((header.received_at for header in headers if header is not None), None)

    def read_ahead(self) -> None:
        """Takes over what the log has."""
        while self.events < self._max_events:
            found = read_some(self._log, self.partition, self._next_offset, READ_BYTES)
            if not found:
                return
            if not self._records:
                self._since = time.monotonic()
            for record in map(open_record, found):
                self._records.append(record)
                self.events += record.events
            self._next_offset = found[-1].offset + 1

    def is_ready(self, events: int, seconds: float) -> bool:
        """Whether so many events wait, or the first of them for so long."""
        if not self._records:
            return False
        return self.events >= events or time.monotonic() - self._since >= seconds

    def take(self) -> list[Opened]:
        """The records of the next block: at least one, up to the maximum of events."""
        taken = 0

        def fits(record: Opened) -> bool:
            nonlocal taken
            taken += record.events
            return taken == record.events or taken <= self._max_events

        block = list(takewhile(fits, self._records))
        for record in block:
            self._records.popleft()
            self.events -= record.events
        self._since = time.monotonic() if self._records else 0.0
        return block

    def truncate(self, next_offset: int, block_bytes: int) -> None:
        """After a commit: removes from the log what lies far enough behind."""
        self._kept.append((next_offset, block_bytes))
        self._kept_bytes += block_bytes
        before = 0
        while self._kept and self._kept_bytes > self._kept_limit:
            before, bytes_ = self._kept.popleft()
            self._kept_bytes -= bytes_
        if before:
            self._log.truncate(self.partition, before)
