"""A store in which some queries are replaced by others that are slow or large, but for their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from footfall.storage.store import Query, QueryLimits, Rows, Store

ENDLESS = "SELECT number, number, toUInt8(1) FROM numbers(100000000000) WHERE sipHash64(number) = 7"
DEVOURING = "SELECT length(groupArray(number)) FROM numbers(500000000)"


class SlowStore:
    """The store itself, but `replaced` may give other SQL for a query, and is told its parameters."""

    def __init__(self, store: Store, replaced: Callable[[Query], str | None]) -> None:
        self._store = store
        self._replaced = replaced
        self.tags: list[str] = []  # of the queries that were replaced

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows:
        return self._store.rows(self._replace(query, limits), limits)

    def stream(self, query: Query, limits: QueryLimits | None = None) -> Iterator[tuple[Any, ...]]:
        return self._store.stream(self._replace(query, limits), limits)

    def running(self) -> set[str]:
        """The tags of replaced queries that the engine is at."""
        found = self._store.rows(Query("SELECT Settings['log_comment'] FROM system.processes")).rows
        return {row[0] for row in found} & set(self.tags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _replace(self, query: Query, limits: QueryLimits | None) -> Query:
        sql = self._replaced(query)
        if sql is None:
            return query
        self.tags.append(limits.tag if limits is not None else "")
        return Query(sql)
