"""Asks the store for one answer within its budget, and counts what it took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from footfall.storage.store import Budget, Query, QueryCancelled, QueryLimits, QueryTooExpensive, Rows, Store
from query_api.problems import TooExpensive
from query_api.ticket import Ticket


class StoreReader:
    """Of one request: not to be shared between threads. Its time runs from its making.

    The limits are the request's, however many queries it takes; a ticket that is cancelled ends it with
    QueryCancelled, also within a query. Everything over its budget is TooExpensive, with the budget's name.
    """

    def __init__(self, store: Store, limits: QueryLimits, ticket: Ticket | None = None) -> None:
        self._store = store
        self._ticket = ticket or Ticket()
        # Many queries with a thread for each core would leave the ingest little of the cores.
        cores = limits.threads or os.cpu_count() or 1
        threads = max(1, cores // max(1, self._ticket.beside))
        self._limits = replace(limits, tag=self._ticket.tag, threads=threads)
        self._ends_at = time.monotonic() + limits.seconds
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
        return self._limits.threads

    def rows(self, query: Query) -> Rows:
        """A small answer, whole."""
        limits = self._left()
        with self.within_budget():
            answer = self._store.rows(query, limits)
        self.rows_read += answer.rows_read
        self.bytes_read += answer.bytes_read
        return answer

    def stream(self, query: Query) -> Iterator[tuple[NDArray[Any], ...]]:
        """A large answer in blocks of columns; what is counted is what was streamed."""
        limits = self._left()
        with self.within_budget():
            for block in self._store.stream(query, limits):
                self.check()
                self.rows_read += len(block[0])
                self.bytes_read += sum(column.nbytes for column in block)
                yield block

    def check(self) -> None:
        """Raises where the answer is not wanted any more, or its time is up: call it between long steps."""
        if self._ticket.is_cancelled:
            raise QueryCancelled("nobody waits for the answer")
        if time.monotonic() >= self._ends_at:
            raise self.over("seconds")

    @contextmanager
    def within_budget(self) -> Iterator[None]:
        """Names the budget that what happens inside goes over."""
        try:
            yield
        except QueryTooExpensive as error:
            raise self.over(error.budget) from error
        except MemoryError as error:  # the scanner's, or NumPy's
            raise self.over("memory_bytes") from error

    def over(self, budget: Budget | None) -> TooExpensive:
        """The problem of a query that went over this budget."""
        return TooExpensive.of(budget, None if budget is None else getattr(self._limits, budget))

    def warn(self, text: str) -> None:
        """Something that the reader of the answer should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def _left(self) -> QueryLimits:
        """What is left of the request's budget for its next query."""
        self.check()
        limits = self._limits
        if limits.rows and self.rows_read >= limits.rows:
            raise self.over("rows")
        return replace(
            limits,
            seconds=max(self._ends_at - time.monotonic(), 0.001),
            rows=limits.rows and limits.rows - self.rows_read,
        )
