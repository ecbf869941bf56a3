"""When blocks count as processed: once queries see them, with the persons that they moved.

A block that moved persons counts once the dictionary of overrides is reloaded. Small dictionaries are
reloaded for each such block; a large one, whose reload takes a noticeable time, for several blocks at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from footfall.crash_points import reach
from footfall.eventlog.log import Log
from footfall.storage.store import Store

_PATIENCE = 3
"""A reload waits for so many times as long as the last one took, so it takes a quarter of the time at
most.
"""

_LONGEST_SECONDS = 1.0


class Commits:
    """Commits the log in order, a partition's blocks together."""

    def __init__(self, log: Log, store: Store) -> None:
        self._log = log
        self._store = store
        self._next_offsets: dict[int, int] = {}  # of blocks that are done and not committed
        self._reload_is_due = False
        self._reloaded_at = 0.0
        self.reload_seconds = 0.0

    def add(self, partition: int, next_offset: int, *, moved_persons: bool) -> None:
        """A block is done: everything of it is in the store."""
        self._next_offsets[partition] = next_offset
        self._reload_is_due |= moved_persons

    def drop(self, partitions: Iterable[int]) -> None:
        """These are somebody else's to commit."""
        for partition in partitions:
            self._next_offsets.pop(partition, None)

    def flush(self, *, patient: bool = False) -> list[tuple[int, int]]:
        """Commits what is done; returns (partition, next offset). `patient`: not yet, if a reload should
        wait.
        """
        if not self._next_offsets:
            return []
        if self._reload_is_due:
            waited = time.monotonic() - self._reloaded_at
            if patient and waited < min(_PATIENCE * self.reload_seconds, _LONGEST_SECONDS):
                return []
            began = time.monotonic()
            self._store.command("SYSTEM RELOAD DICTIONARY overrides_map")
            self._reloaded_at = time.monotonic()
            self.reload_seconds = self._reloaded_at - began
            self._reload_is_due = False
        reach("P7")
        committed = list(self._next_offsets.items())
        for partition, next_offset in committed:
            self._log.commit(partition, next_offset)
        self._next_offsets.clear()
        reach("P8")
        return committed
