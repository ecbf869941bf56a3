"""Answers that were computed, by everything that they depend on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from query_api.answers import write_json


@dataclass(frozen=True, slots=True)
class Computed:
    """What is kept of an answer."""

    result: Any
    comparison: Any
    rows_read: int
    bytes_read: int
    warnings: tuple[str, ...]
    changes_at: int | None = None  # until then, in epoch milliseconds; None: until data comes


class AnswerCache:
    """The last answers: at most so many, and so many bytes of JSON. Safe to use from several threads."""

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[Computed, int]] = OrderedDict()
        self._bytes = 0
        self._version = 0

    def keep_only(self, version: int) -> None:
        """Forgets everything when what is stored was taken out since: `version` is another one then."""
        with self._lock:
            if version != self._version:
                self._version = version
                self._answers.clear()
                self._bytes = 0

    def get(self, key: str, now: int) -> Computed | None:
        """The answer, if it is still what would be said at the instant `now`."""
        with self._lock:
            found = self._answers.get(key)
            if found is None:
                return None
            computed, _ = found
            if computed.changes_at is not None and now >= computed.changes_at:
                self._drop(key)
                return None
            self._answers.move_to_end(key)
            return computed

    def put(self, key: str, computed: Computed) -> None:
        """Keeps an answer, unless it is larger than a quarter of all that may be kept."""
        size = len(write_json([computed.result, computed.comparison])) + len(key)
        if size > self._capacity_bytes // 4:
            return
        with self._lock:
            if key in self._answers:
                self._drop(key)
            self._answers[key] = (computed, size)
            self._bytes += size
            while len(self._answers) > self._capacity or self._bytes > self._capacity_bytes:
                self._drop(next(iter(self._answers)))

    def _drop(self, key: str) -> None:
        _, size = self._answers.pop(key)
        self._bytes -= size
