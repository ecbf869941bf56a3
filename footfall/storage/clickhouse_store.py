"""The store over clickhouse-connect: ClickHouse in this process (chDB) or as a server, by the same code.

Hazards, each found by trying:
- An open stream holds its connection: another query on it would see nothing. So a connection is borrowed for
  one operation, not kept by a thread; this also suits generators that several threads of a pool drive.
- The driver's column blocks are `array.array`s, which NumPy can view as they are; its NumPy and Arrow streams
  copy or hold the whole answer, and reading Native bytes ourselves took 1.5 times the CPU.
- Closing an unfinished answer over HTTP reads it to its end, however long that takes: the query is killed
  first.
- A text column whose bytes are not UTF-8 comes back as hexadecimal text: select hex(column) for bytes.
"""

from __future__ import annotations

import re
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from footfall.storage.store import (
    Budget,
    Parameter,
    Query,
    QueryCancelled,
    QueryLimits,
    QueryRefused,
    QueryTooExpensive,
    Rows,
    StoreError,
    StoreUnavailable,
)
from footfall.storage.topology import Topology

# Error codes of ClickHouse. Everything else that has a code is our SQL's fault.
_TOO_EXPENSIVE: dict[int, Budget] = {
    158: "rows",  # TOO_MANY_ROWS
    159: "seconds",  # TIMEOUT_EXCEEDED
    160: "seconds",  # TOO_SLOW
    191: "rows",  # SET_SIZE_LIMIT_EXCEEDED
    241: "memory_bytes",  # MEMORY_LIMIT_EXCEEDED
    307: "rows",  # TOO_MANY_BYTES
    396: "disk_bytes",  # TOO_MANY_ROWS_OR_BYTES: of temporary files, the only such limit that is set
}
_CANCELLED = 394  # QUERY_WAS_CANCELLED
_UNAVAILABLE = frozenset({
    74, 75, 76, 77,  # CANNOT_READ_FROM, CANNOT_WRITE_TO, CANNOT_OPEN, CANNOT_CLOSE a file
    201, 202,  # QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES
    3, 32, 33,  # UNEXPECTED_END_OF_FILE, ATTEMPT_TO_READ_AFTER_EOF, CANNOT_READ_ALL_DATA: a cut body
    192, 193, 194, 516,  # UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
    198, 203,  # DNS_ERROR, NO_FREE_CONNECTION
    209, 210, 225,  # SOCKET_TIMEOUT, NETWORK_ERROR, NO_ZOOKEEPER
    236,  # ABORTED: the server is going down
    242, 243, 252,  # TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, TOO_MANY_PARTS
    254, 285, 286, 415,  # NO_ACTIVE_REPLICAS, TOO_FEW_LIVE_REPLICAS, UNSATISFIED_QUORUM…, ALL_REPLICAS_LOST
    279, 319,  # ALL_CONNECTION_TRIES_FAILED, UNKNOWN_STATUS_OF_INSERT
    692, 745,  # TOO_MANY_MUTATIONS, SERVER_OVERLOADED
    999, 1000, 1001,  # KEEPER_EXCEPTION, POCO_EXCEPTION, STD_EXCEPTION
})  # fmt: skip

# A tenth to a seventh less time for a whole funnel than by default (bench/); a block holds some MB.
_FEW_LARGE_BLOCKS = {"max_block_size": 65_536, "preferred_block_size_bytes": 8 << 20}

# All queries together are too much for the engine: not the fault of the one that is told.
_OF_ALL = ("(total) memory limit exceeded", "User memory limit exceeded")

# Rows of any width become Python values: some MB of them at once.
_SMALL_BLOCKS = {"max_block_size": 8_192, "preferred_block_size_bytes": 4 << 20}

# The engine lets what has a lower number go first, so that many questions do not hold up what is stored:
# beside four of them the longest insert took half as long.
_FIRST, _SECOND = 1, 2

_PATIENCE_SECONDS = 30.0

_CODE = re.compile(r"Code: (\d+)")


class ClickHouseStore:
    """See footfall.storage.store.Store for what each method promises."""

    def __init__(self, connect: Callable[[], Client], topology: Topology, *, is_server: bool = False) -> None:
        """`connect` opens one more connection; it is called once now, so that trouble shows at start."""
        self._connections = _Connections(connect)
        self._topology = topology
        self._is_server = is_server

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        if not token:
            raise ValueError("an insert needs a token: without one the engine may drop an identical block")
        if rows.num_rows == 0:
            return
        with _errors_as_ours(), self._connections.borrow() as client:
            client.raw_insert(
                table,
                column_names=rows.schema.names,
                insert_block=_arrow_stream(rows),
                fmt="ArrowStream",
                settings={
                    "insert_deduplication_token": token,
                    "insert_deduplicate": 1,
                    "async_insert": 0,
                    "priority": _FIRST,
                    "max_partitions_per_insert_block": 0,  # old history comes in many months at once
                },
            )

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows:
        parameters = _bindable(query)
        with _errors_as_ours(), self._connections.borrow() as client:
            answer = client.query(
                self._topology.reading(query.sql), parameters=parameters, settings=_settings(limits)
            )
        return Rows(
            names=tuple(answer.column_names),
            rows=answer.result_rows,
            rows_read=int(answer.summary.get("read_rows", 0)),
            bytes_read=int(answer.summary.get("read_bytes", 0)),
        )

    def stream(
        self, query: Query, limits: QueryLimits | None = None
    ) -> Iterator[tuple[np.ndarray[Any, Any], ...]]:
        sql, parameters = self._topology.reading(query.sql), _bindable(query)
        settings = _settings(limits) | _FEW_LARGE_BLOCKS | self._named()
        with (
            _errors_as_ours(),
            self._connections.borrow() as client,
            client.query_column_block_stream(sql, parameters=parameters, settings=settings) as blocks,
            self._killed_if_left(settings),
        ):
            for block in blocks:
                yield tuple(_as_numpy(column, place) for place, column in enumerate(block, start=1))

    def cancel(self, tag: str) -> None:
        if not tag.isalnum():
            raise ValueError(f"a tag is of letters and digits, not {tag!r}")
        # The server's own queries have no comment of ours, and chDB knows no query ids of ours.
        self.command(f"KILL QUERY WHERE Settings['log_comment'] = '{tag}' ASYNC")

    def stream_rows(
        self, query: Query, limits: QueryLimits | None = None
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        sql, parameters = self._topology.reading(query.sql), _bindable(query)
        settings = _settings(limits) | _SMALL_BLOCKS | self._named()
        with (
            _errors_as_ours(),
            self._connections.borrow() as client,
            client.query_row_block_stream(sql, parameters=parameters, settings=settings) as blocks,
            self._killed_if_left(settings),
        ):
            yield from blocks

    def command(self, sql: str) -> None:
        for statement in self._topology.statements(sql):
            name = self._named()
            try:
                with _errors_as_ours(), self._connections.borrow() as client:
                    client.command(statement, settings=name)
            except StoreUnavailable:
                self._wait_for_end(name)
                raise

    def close(self) -> None:
        self._connections.close()

    def _named(self) -> dict[str, str]:
        """By this name a server's query can be killed."""
        return {"query_id": uuid4().hex} if self._is_server else {}

    def _wait_for_end(self, name: dict[str, str]) -> None:
        """A server may still be at what was asked of it when the connection breaks. Until it is not, or it
        has been away for so long that nobody waits for it.
        """
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while name and time.monotonic() < give_up_at:
            asked = f"SELECT count() FROM system.processes WHERE query_id = '{name['query_id']}'"  # noqa: S608
            with suppress(StoreError):
                if not self.rows(Query(asked)).rows[0][0]:
                    return
            time.sleep(0.1)

    @contextmanager
    def _killed_if_left(self, settings: dict[str, Any]) -> Iterator[None]:
        """Ends a server's query when whoever reads the answer stops before its end."""
        is_left = True
        try:
            yield
            is_left = False
        except ClickHouseError:
            is_left = False  # it ended by itself
            raise
        finally:
            if is_left and self._is_server:
                with suppress(StoreError):  # a server that is away has ended it
                    self.command(f"KILL QUERY WHERE query_id = '{settings['query_id']}' ASYNC")


class _Connections:
    """One connection is borrowed for each operation; a new one is opened when none is idle."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[Client] = []
        with self.borrow():
            pass

    @contextmanager
    def borrow(self) -> Iterator[Client]:
        client = self._take()
        try:
            yield client
        finally:
            self._give_back(client)

    def close(self) -> None:
        """Closes what is idle; a connection in use is closed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def _take(self) -> Client:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store was closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, client: Client) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(client)
                return
        client.close()


def _arrow_stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def _as_numpy(column: Sequence[Any], place: int) -> np.ndarray[Any, Any]:
    """A view of the driver's own memory."""
    if not isinstance(column, array):
        raise QueryRefused(
            f"column {place} is not a fixed-width number that cannot be NULL: cast it in the query"
        )
    return np.frombuffer(column, dtype=column.typecode)


def _settings(limits: QueryLimits | None) -> dict[str, int | float | str]:
    """The engine's names for what one query may use. Beyond half its memory it goes on on disk."""
    priority = _FIRST if limits is None else _SECOND
    limits = limits or QueryLimits()
    settings: dict[str, int | float | str] = {
        "priority": priority,
        "max_execution_time": limits.seconds,
        "max_memory_usage": limits.memory_bytes,
        "max_bytes_before_external_group_by": limits.memory_bytes // 2,
        "max_bytes_before_external_sort": limits.memory_bytes // 2,
    }
    optional: dict[str, int | str] = {
        "max_threads": limits.threads,
        "max_rows_to_read": limits.rows,
        "max_temporary_data_on_disk_size_for_query": limits.disk_bytes,
        "log_comment": limits.tag,
    }
    settings |= {name: value for name, value in optional.items() if value}
    return settings


def _bindable(query: Query) -> dict[str, Any]:
    """The parameters as the driver takes them.

    With no placeholder for a value, the driver would format values into the text: refused here.
    """
    for name, value in query.parameters.items():
        if f"{{{name}:" not in query.sql:
            raise QueryRefused(f"parameter {name!r} has no placeholder {{{name}:Type}} in the query")
        for text in (value,) if isinstance(value, str | int | float) else value:
            if isinstance(text, str) and not _is_text(text):
                raise QueryRefused(f"parameter {name!r} holds a lone surrogate, which is not text")
    return {name: _bindable_value(value) for name, value in query.parameters.items()}


def _bindable_value(value: Parameter) -> Any:
    return value if isinstance(value, str | int | float) else list(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    """Turns what the driver, the engine and the disk raise into StoreError."""
    try:
        yield
    except ClickHouseError as error:
        raise _store_error(str(error), getattr(error, "code", None)) from error
    except OSError as error:
        raise StoreUnavailable(f"the engine's files or its address cannot be reached: {error}") from error


def _store_error(message: str, code: int | None) -> StoreError:
    if code is None and (found := _CODE.search(message)):
        code = int(found[1])
    if code == _CANCELLED:
        return QueryCancelled(message)
    if code is None or code in _UNAVAILABLE or any(words in message for words in _OF_ALL):
        return StoreUnavailable(message)
    budget = _TOO_EXPENSIVE.get(code)
    return QueryRefused(message) if budget is None else QueryTooExpensive(message, budget)
