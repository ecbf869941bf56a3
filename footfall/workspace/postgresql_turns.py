"""Turns over all processes of an installation, as advisory locks of PostgreSQL sessions."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.turns import Turn, TurnLost, Turns, busy

_NOT_IN_TIME = "55P03"  # lock_not_available
_ASKED_AGAIN = 2


class PostgresqlTurns(Turns):
    """A turn takes a connection of `engine` for as long as it is held: it has a pool of its own."""

    def __init__(self, engine: Engine) -> None:
        """`engine` commits by itself (isolation level AUTOCOMMIT)."""
        super().__init__()
        self._engine = engine

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _take(self, name: str, exclusive: bool, timeout: float | None) -> Iterator[Turn]:
        with self._session(timeout) as (connection, process):
            turn = _SessionTurn(connection, process, name, exclusive)
            try:
                if not turn.take():
                    raise busy(name, exclusive, timeout)
                yield turn
            except BaseException:
                turn.end()  # what the holder raised says more than that the turn was lost, too
                raise
            if not turn.end():
                raise turn.lost()

    @contextmanager
    def _session(self, timeout: float | None) -> Iterator[tuple[Connection, int]]:
        """A connection whose locks are waited for so long, and its process. One that broke in the pool is
        replaced: nothing is held yet.
        """
        patience = 0 if timeout is None else max(1, math.ceil(timeout * 1000))
        setting = select(
            func.set_config("lock_timeout", str(patience), False), func.pg_backend_pid().label("process")
        )
        for attempt in range(_ASKED_AGAIN):
            with self._engine.connect() as connection:
                try:
                    process = connection.execute(setting).one().process
                except WorkspaceUnavailable:
                    if not connection.invalidated or attempt == _ASKED_AGAIN - 1:
                        raise
                    continue
                yield connection, process
                return


class _SessionTurn:
    def __init__(self, connection: Connection, process: int, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive
        self._connection = connection
        self._process = process
        self._key = key_of(name)
        self._asking = threading.Lock()
        self._held = False

    def take(self) -> bool:
        """Whether it was given in time."""
        lock = func.pg_advisory_lock if self.exclusive else func.pg_advisory_lock_shared
        try:
            self._connection.execute(select(lock(self._key)))
        except WorkspaceUnavailable as error:
            if _code(error) == _NOT_IN_TIME:
                return False
            raise
        self._held = True
        return True

    def check(self) -> None:
        """By the session's own process: another one, as behind a pooler of transactions, holds nothing."""
        with self._asking:
            if self._connection.closed or self._connection.invalidated:
                raise self.lost()
            try:
                process = self._connection.scalar(select(func.pg_backend_pid()))
            except (SQLAlchemyError, WorkspaceUnavailable) as error:
                self._connection.invalidate()
                raise self.lost() from error
            if process != self._process:
                raise self.lost()

    def end(self) -> bool:
        """Whether it was held until now. The session does not go back to the pool if there is any doubt."""
        if not self._held:
            return False
        unlock = func.pg_advisory_unlock if self.exclusive else func.pg_advisory_unlock_shared
        try:
            held = not self._connection.invalidated and self._connection.scalar(select(unlock(self._key)))
        except (SQLAlchemyError, WorkspaceUnavailable):
            held = False
        if not held and not self._connection.invalidated:
            self._connection.invalidate()
        return bool(held)

    def lost(self) -> TurnLost:
        kind = "exclusive" if self.exclusive else "shared"
        return TurnLost(
            f"the {kind} turn {self.name!r} was lost: its session with PostgreSQL ended; what was done in it "
            "must not count"
        )


def key_of(name: str) -> int:
    """The number of the advisory lock: signed, 64 bits."""
    return int.from_bytes(blake2b(f"footfall.turn.{name}".encode(), digest_size=8).digest(), signed=True)


def _code(error: WorkspaceUnavailable) -> Any:
    """PostgreSQL's own of what went wrong."""
    return getattr(error.__cause__, "sqlstate", None)
