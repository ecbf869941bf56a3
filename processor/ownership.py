"""Which numbers of the log (footfall/eventlog/lanes.py) a processor owns now, of several on the same log.

Whoever knows of the others, a consumer group, says so by `assign` and `revoke`, from a thread of its own.
What it says may come late: that two never store the same is the fence's work (processor/peers.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Ownership:
    """Safe to use from several threads."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        """`numbers` are owned from the start."""
        self._changed = threading.Condition()
        self._owned = frozenset(numbers)
        self._leaving: frozenset[int] = frozenset()
        self._worked_on: int | None = None
        self._worker: int | None = None  # thread

    def owned(self) -> frozenset[int]:
        """Of which new blocks may be begun."""
        with self._changed:
            return self._owned - self._leaving

    def holds(self, number: int) -> bool:
        """Whether a block that was begun may go on."""
        with self._changed:
            return number in self._owned

    def assign(self, numbers: Iterable[int]) -> None:
        """These are owned, too, from now on."""
        with self._changed:
            self._owned |= frozenset(numbers)
            self._leaving -= self._owned & frozenset(numbers)

    def revoke(self, numbers: Iterable[int], seconds: float = 5.0) -> None:
        """These are not owned any more. A block of theirs that is being processed is awaited for so long;
        then it ends before its next insert, and the next owner does it again.
        """
        gone = frozenset(numbers)
        give_up_at = time.monotonic() + seconds
        with self._changed:
            self._leaving |= gone
            while self._worked_on in gone and self._worker != threading.get_ident():
                if not self._changed.wait(give_up_at - time.monotonic()):
                    break
            self._owned -= gone
            self._leaving -= gone

    @contextmanager
    def working(self, number: int) -> Iterator[None]:
        """Around the processing of a block: `revoke` waits for its end."""
        with self._changed:
            self._worked_on, self._worker = number, threading.get_ident()
        try:
            yield
        finally:
            with self._changed:
                self._worked_on = self._worker = None
                self._changed.notify_all()
