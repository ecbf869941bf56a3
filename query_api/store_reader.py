"""Asks the store for one answer, and counts what it took."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from footfall.storage.store import Query, QueryLimits, Rows, Store


class StoreReader:
    """Of one request: not to be shared between threads."""

    def __init__(self, store: Store, limits: QueryLimits) -> None:
        self._store = store
        self._limits = limits
        self.rows_read = 0
        self.bytes_read = 0
        self.warnings: list[str] = []

    @property
    def memory_bytes(self) -> int:
        """What one query may hold."""
        return self._limits.memory_bytes

    @property
    def threads(self) -> int:
        """How many threads one query may use."""
        return self._limits.threads or os.cpu_count() or 1

    def rows(self, query: Query) -> Rows:
        """A small answer, whole."""
        answer = self._store.rows(query, self._limits)
        self.rows_read += answer.rows_read
        self.bytes_read += answer.bytes_read
        return answer

    def stream(self, query: Query) -> Iterator[tuple[NDArray[Any], ...]]:
        """A large answer in blocks of columns; what is counted is what was streamed."""
        for block in self._store.stream(query, self._limits):
            self.rows_read += len(block[0])
            self.bytes_read += sum(column.nbytes for column in block)
            yield block

    def warn(self, text: str) -> None:
        """Something that the reader of the answer should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)
