"""The store's contract: ClickHouse, in process (chDB) or as a server, spoken to through one client.

Laws, each a test in tests/test_store_laws.py that runs on every engine:

1. `insert` with a token that was used before changes nothing, also after a restart and a kill.
2. `insert` without a token is impossible: the signature asks for it.
3. Any text round-trips through `Query.parameters`, also tabs, newlines, NUL, quotes, braces.
4. `stream` gives the same rows as `rows`, in blocks, and holds at most a few blocks in memory.
5. One Store may be used from several threads at once, and within an open stream.
6. `cancel` ends the queries of one tag, streams too, and no others; what it ends raises QueryCancelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

Parameter = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float]


@dataclass(frozen=True, slots=True)
class Query:
    """SQL text with `{name:Type}` placeholders and the values for them.

    Only placeholders carry values; identifiers in `sql` come from the catalogue's allow-list.
    """

    sql: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one query may use before the engine ends it."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    threads: int = 0  # 0: as many as the machine has
    rows: int = 0  # to read; 0: any number
    disk_bytes: int = 0  # that sorts and groups may put aside on disk; 0: any number
    tag: str = ""  # what `cancel` knows the query by; of letters and digits


@dataclass(frozen=True, slots=True)
class Rows:
    """A small answer, whole."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    rows_read: int = 0
    bytes_read: int = 0


class StoreError(Exception):
    """Anything a store may raise.

    StoreError
    ├── StoreUnavailable   the engine cannot be reached, or has no memory left: retry with the same token
    │   └── QueryCancelled somebody ended it
    ├── QueryTooExpensive  a limit of QueryLimits was hit
    └── QueryRefused       the engine says that the SQL is wrong: our bug
    """


class StoreUnavailable(StoreError):  # noqa: N818
    """The engine cannot be reached."""


class QueryCancelled(StoreUnavailable):
    """The query was ended by `cancel`, or by the engine's operator."""


Budget = Literal["seconds", "memory_bytes", "rows", "disk_bytes"]
"""The limits of QueryLimits that a query can go over, by their fields."""


class QueryTooExpensive(StoreError):  # noqa: N818
    """A limit was hit; `budget` says which, if the engine does."""

    def __init__(self, message: str, budget: Budget | None = None) -> None:
        super().__init__(message)
        self.budget = budget


class QueryRefused(StoreError):  # noqa: N818
    """The engine says that the SQL is wrong."""


class Store(Protocol):
    """What the services ask of an engine."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Inserts all rows at once; durable on return; a repeated (table, token) changes nothing."""
        ...

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows: ...

    def stream(
        self, query: Query, limits: QueryLimits | None = None
    ) -> Iterator[tuple[np.ndarray[Any, Any], ...]]:
        """The answer's columns as blocks of NumPy arrays, for the scanner: fixed-width numbers only.

        Another type (also Nullable, LowCardinality, Bool, DateTime) is QueryRefused: cast it in the query.
        Closing or dropping the generator cancels the query.
        """
        ...

    def cancel(self, tag: str) -> None:
        """Asks the engine to end every query that runs with this tag now; does not wait until they did."""
        ...

    def stream_rows(
        self, query: Query, limits: QueryLimits | None = None
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """The same of any types, as blocks of rows: slower. Closing the generator cancels the query."""
        ...

    def command(self, sql: str) -> None:
        """DDL and upkeep: text of ours only, never a value of a client's."""
        ...

    def close(self) -> None: ...
