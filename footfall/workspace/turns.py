"""Turns: who may work on what several processors share, at the same time (shared) or alone (exclusive).

    with workspace.turns.shared("persons") as turn:
        ...
        turn.check()  # before what others must not see unless the turn is still ours

Turns of one name are given in the order in which they were asked for, so that nobody starves: who asks for a
shared one behind a waiting exclusive one waits, too. They are not nested: a thread that holds a turn must not
ask for another of the same name.

With PostgreSQL a turn is an advisory lock of a database session, over all processes of the installation. If
that session is lost, the server gives the turn to the next: `check` and the end of the `with` raise TurnLost,
and what was done in between must not count. With SQLite all who share anything are in one process, and a turn
is a lock there, which cannot be lost.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol
from weakref import WeakValueDictionary


class TurnBusy(Exception):  # noqa: N818 - reads as what it is
    """Others have had it for the whole time that one was willing to wait."""


class TurnLost(Exception):  # noqa: N818 - reads as what it is
    """The turn ended before its holder ended it: somebody else may have it already."""


class Turn(Protocol):
    """A turn that is held."""

    name: str
    exclusive: bool

    def check(self) -> None:
        """Raises TurnLost unless it is still held. With PostgreSQL one question to the server."""


class Turns(ABC):
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._mine = threading.local()

    def shared(self, name: str, timeout: float | None = None) -> AbstractContextManager[Turn]:
        """Others may have it, too, but nobody exclusively. Waits up to `timeout` seconds (None: for ever).

        TurnBusy after that, TurnLost (see Turn), WorkspaceUnavailable where it cannot be asked for.
        """
        return self._held(name, False, timeout)

    def exclusive(self, name: str, timeout: float | None = None) -> AbstractContextManager[Turn]:
        """Nobody else has it. Otherwise as `shared`."""
        return self._held(name, True, timeout)

    @abstractmethod
    def close(self) -> None:
        """Nobody holds a turn any more."""

    @contextmanager
    def _held(self, name: str, exclusive: bool, timeout: float | None) -> Iterator[Turn]:
        mine: set[str] = self._mine.__dict__.setdefault("names", set())
        if name in mine:
            raise RuntimeError(f"this thread has the turn {name!r} already: turns are not nested")
        mine.add(name)
        try:
            with self._take(name, exclusive, timeout) as turn:
                yield turn
        finally:
            mine.discard(name)

    @abstractmethod
    def _take(self, name: str, exclusive: bool, timeout: float | None) -> AbstractContextManager[Turn]: ...


def busy(name: str, exclusive: bool, timeout: float | None) -> TurnBusy:
    kind = "exclusive" if exclusive else "shared"
    return TurnBusy(f"no {kind} turn {name!r} within {timeout or 0:g} s: others have it")


class LocalTurns(Turns):
    """Of the threads of this process; of all that name the same `place`."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place
        self._used: dict[str, _Lock] = {}

    def close(self) -> None:
        self._used.clear()

    @contextmanager
    def _take(self, name: str, exclusive: bool, timeout: float | None) -> Iterator[Turn]:
        lock = self._lock_of(name)
        if not lock.acquire(exclusive, timeout):
            raise busy(name, exclusive, timeout)
        try:
            yield _LocalTurn(name, exclusive)
        finally:
            lock.release(exclusive)

    def _lock_of(self, name: str) -> _Lock:
        with _known_lock:
            lock = self._used.get(name) or _known.get((self._place, name))
            if lock is None:
                lock = _known[self._place, name] = _Lock()
            self._used[name] = lock
            return lock


class _LocalTurn:
    def __init__(self, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive

    def check(self) -> None:
        """It cannot be lost."""


class _Lock:
    """Many readers or one writer, in the order in which they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._readers = 0
        self._writes = False

    def acquire(self, exclusive: bool, timeout: float | None) -> bool:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._may_enter(ticket, exclusive), timeout):
                    return False
                self._writes = exclusive
                self._readers += not exclusive
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        return True

    def release(self, exclusive: bool) -> None:
        with self._changed:
            self._writes = False
            self._readers -= not exclusive
            self._changed.notify_all()

    def _may_enter(self, ticket: object, exclusive: bool) -> bool:
        return self._waiting[0] is ticket and not self._writes and not (exclusive and self._readers)


_known: WeakValueDictionary[tuple[str, str], _Lock] = WeakValueDictionary()
_known_lock = threading.Lock()
