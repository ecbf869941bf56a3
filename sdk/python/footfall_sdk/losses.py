"""What could not be delivered, counted by reason: nothing is dropped silently.

Counts go into the queue's file with the next group, so that they survive the process, and to the server in a
`$SDKReport` event; only then are they forgotten.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum


class Loss(StrEnum):
    """Why a record was dropped by the SDK, or what else went wrong. The closed list."""

    BUFFER_FULL = "buffer_full"  # tracked faster than the disk takes it
    QUEUE_FULL = "queue_full"  # the queue on disk has reached its limit
    QUEUE_DAMAGED = "queue_damaged"  # an unreadable queue file was put aside (counts files)
    TOO_LARGE = "too_large"  # one record over the limit of the SDK, or answered 413 alone
    INVALID = "invalid"  # a call from which no record can be made
    REFUSED = "refused"  # a record whose request the server cannot read
    REJECTED = "rejected"  # a verdict of the server on this record
    CLOSED = "closed"  # tracked after close()
    ERROR = "error"  # an error of the SDK's own, swallowed


class Losses:
    """Counts since they were last written to the queue, and since the client was made. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unwritten: Counter[str] = Counter()
        self._total: Counter[str] = Counter()

    def add(self, reason: Loss, count: int = 1) -> None:
        with self._lock:
            self._total[reason.value] += count
            if reason is not Loss.REJECTED:  # the server knows
                self._unwritten[reason.value] += count

    def take_unwritten(self) -> dict[str, int]:
        """The counts to write down; give them back with `give_back` if that fails."""
        with self._lock:
            taken, self._unwritten = self._unwritten, Counter()
        return dict(taken)

    def give_back(self, counts: dict[str, int]) -> None:
        with self._lock:
            self._unwritten.update(counts)

    @property
    def waiting(self) -> bool:
        return bool(self._unwritten)

    def total(self) -> dict[str, int]:
        """Counts by reason since the client was made in this process."""
        with self._lock:
            return dict(self._total)
