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
from footfall.workspace.turns import SILENT_SECONDS, Turn, TurnLost, Turns, busy

_NOT_IN_TIME = "55P03"  # lock_not_available
_ASKED_AGAIN = 2


class PostgresqlTurns(Turns):
    """A turn takes a connection of `engine` for as long as it is held: it has a pool of its own."""

    def __init__(self, engine: Engine) -> None:
        """`engine` commits by itself (isolation level AUTOCOMMIT)."""
        super().__init__()
        self._engine = engine
        self._speaker = _Speaker()

    def close(self) -> None:
        self._speaker.stop()
        self._engine.dispose()

    @contextmanager
    def _take(self, name: str, exclusive: bool, timeout: float | None) -> Iterator[Turn]:
        with self._session(timeout) as (connection, process):
            turn = _SessionTurn(connection, process, name, exclusive)
            try:
                if not turn.take():
                    raise busy(name, exclusive, timeout)
                with self._speaker.speaking_for(turn):
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
            func.set_config("lock_timeout", str(patience), False),
            func.set_config("idle_session_timeout", str(int(SILENT_SECONDS * 1000)), False),
            func.pg_backend_pid().label("process"),
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

    def is_held(self) -> bool:
        try:
            self.check()
        except TurnLost:
            return False
        return True

    def check(self) -> None:
        """By the session's own process: another one, as behind a pooler of transactions, holds nothing."""
        with self._asking:
            if not self._held:
                raise self.lost()
            try:
                process = self._connection.scalar(select(func.pg_backend_pid()))
            except (SQLAlchemyError, WorkspaceUnavailable) as error:
                self._give_up()
                raise self.lost() from error
            if process != self._process:
                self._give_up()
                raise self.lost()

    def end(self) -> bool:
        """Whether it was held until now. The session does not go back to the pool if there is any doubt."""
        unlock = func.pg_advisory_unlock if self.exclusive else func.pg_advisory_unlock_shared
        given_back = select(unlock(self._key), func.set_config("idle_session_timeout", "0", False))
        with self._asking:
            if not self._held:
                return False
            try:
                held = bool(self._connection.execute(given_back).one()[0])
            except (SQLAlchemyError, WorkspaceUnavailable):
                held = False
            if not held:
                self._give_up()
            self._held = False
        return held

    def _give_up(self) -> None:
        self._held = False
        if not self._connection.invalidated:
            self._connection.invalidate()

    def lost(self) -> TurnLost:
        kind = "exclusive" if self.exclusive else "shared"
        return TurnLost(
            f"the {kind} turn {self.name!r} was lost: its session with PostgreSQL ended; what was done in it "
            "must not count"
        )


class _Speaker:
    """Lets the server hear of each session that holds a turn: one that is silent for long has lost it."""

    def __init__(self) -> None:
        self._turns: set[_SessionTurn] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = False

    @contextmanager
    def speaking_for(self, turn: _SessionTurn) -> Iterator[None]:
        with self._changed:
            self._turns.add(turn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._speak, name="turns", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._turns.discard(turn)

    def stop(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _speak(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._over, SILENT_SECONDS / 6):
                    return
                held = list(self._turns)
            for turn in held:
                turn.is_held()


def key_of(name: str) -> int:
    """The number of the advisory lock: signed, 64 bits."""
    return int.from_bytes(blake2b(f"footfall.turn.{name}".encode(), digest_size=8).digest(), signed=True)


def _code(error: WorkspaceUnavailable) -> Any:
    """PostgreSQL's own of what went wrong."""
    return getattr(error.__cause__, "sqlstate", None)
