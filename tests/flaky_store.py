"""A store that is away now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from footfall.storage.store import Query, QueryLimits, Rows, Store, StoreUnavailable


@dataclass
class FlakyStore:
    """Fails some inserts before they arrive, and others after."""

    store: Store
    fail_before: set[str]
    fail_after: set[str]
    tokens: list[tuple[str, str]]
    commands: list[str] = field(default_factory=list)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self.tokens.append((table, token))
        if table in self.fail_before:
            self.fail_before.discard(table)
            raise StoreUnavailable("away")
        self.store.insert(table, rows, token)
        if table in self.fail_after:
            self.fail_after.discard(table)
            raise StoreUnavailable("the answer got lost")

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows:
        return self.store.rows(query, limits)

    def stream(self, query: Query, limits: QueryLimits | None = None) -> Any:
        return self.store.stream(query, limits)

    def command(self, sql: str) -> None:
        self.commands.append(sql)
        self.store.command(sql)

    def close(self) -> None: ...
