"""What waits in one partition: read ahead, so that a block can be cut where it is big enough or old
enough.
"""

from __future__ import annotations

import time
from collections import deque

from footfall.eventlog.log import Log
from processor.blocks import READ_BYTES, read_some
from processor.intake import Opened, open_record

MAX_BLOCK_BYTES = 32 << 20
"""Of events as JSON; a block takes some ten times as much memory while it is worked on."""


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
        self._bytes = 0
        self.events = 0

    @property
    def oldest_received_at(self) -> int | None:
        """Epoch ms; None if nothing waits."""
        headers = (record.header for record in self._records)
        return next((header.received_at for header in headers if header is not None), None)

    def read_ahead(self) -> None:
        """Takes over what the log has."""
        while self.events < self._max_events and self._bytes < MAX_BLOCK_BYTES:
            found = read_some(self._log, self.partition, self._next_offset, READ_BYTES)
            if not found:
                return
            if not self._records:
                self._since = time.monotonic()
            for record in map(open_record, found):
                self._records.append(record)
                self.events += record.events
                self._bytes += len(record.array)
            self._next_offset = found[-1].offset + 1

    def is_ready(self, events: int, seconds: float) -> bool:
        """Whether so many events wait, or the first of them for so long."""
        if not self._records:
            return False
        if self.events >= events or self._bytes >= MAX_BLOCK_BYTES:
            return True
        return time.monotonic() - self._since >= seconds

    def take(self) -> list[Opened]:
        """The records of the next block: at least one, up to the maximum of events and of bytes."""
        block: list[Opened] = []
        events = size = 0
        while self._records:
            record = self._records[0]
            events += record.events
            size += len(record.array)
            if block and (events > self._max_events or size > MAX_BLOCK_BYTES):
                break
            block.append(self._records.popleft())
            self.events -= record.events
            self._bytes -= len(record.array)
        self._since = time.monotonic() if self._records else 0.0
        taken = sum(len(record.array) for record in block)
        self._kept.append((block[-1].offset + 1, taken))
        self._kept_bytes += taken
        return block

    def truncate(self, committed: int) -> None:
        """After a commit: removes from the log what lies far enough behind."""
        before = 0
        while self._kept and self._kept[0][0] <= committed and self._kept_bytes > self._kept_limit:
            before, bytes_ = self._kept.popleft()
            self._kept_bytes -= bytes_
        if before:
            self._log.truncate(self.partition, before)
