"""Turns: who may work on what several processors share, at the same time (shared) or alone (exclusive).

    with workspace.turns.shared("persons") as turn:
        ...
        turn.check()  # before what others must not see unless the turn is still ours

Turns of one name are given in the order in which they were asked for, so that nobody starves: who asks for a
shared one behind a waiting exclusive one waits, too. They are not nested: a thread that holds a turn must not
ask for another of the same name.

With PostgreSQL a turn is an advisory lock of a database session, over all processes of the installation. If
that session is lost, the server gives the turn to the next: `check` and the end of the `with` raise TurnLost,
and what was done in between must not count. A process that is stopped for SILENT_SECONDS loses its turns.
With SQLite all who share anything are on one machine: a turn is a lock of a file, and cannot be lost.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

SILENT_SECONDS = 30
"""After so long without a word from the holder's process PostgreSQL gives its turns to others."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class TurnBusy(Exception):  # noqa: N818 - reads as what it is
    """Others have had it for the whole time that one was willing to wait."""


class TurnLost(Exception):  # noqa: N818 - reads as what it is
    """The turn ended before its holder ended it: somebody else may have it already."""


class Turn(Protocol):
    """A turn that is held."""

    name: str
    exclusive: bool

    def is_held(self) -> bool:
        """Whether it is still held. With PostgreSQL one question to the server."""

    def check(self) -> None:
        """Raises TurnLost unless it is still held."""


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
        if not _NAME.fullmatch(name):
            raise ValueError(f"a turn is named by small letters, digits, - and _, not {name!r}")
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
