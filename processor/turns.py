"""Turns: several processors on one store work side by side, but for what concerns them all.

Every block takes a shared turn of STORE, upkeep that needs all processors at rest the exclusive one. A block
that derives something from other blocks takes the exclusive turn of NEWS, too, within that of STORE. Where
processors are several processes, the workspace gives turns out; here a lock of threads does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

STORE: Final = "store"
NEWS: Final = "news"


class Held(Protocol):
    """A turn that was taken."""

    def is_held(self) -> bool:
        """False once it was lost, and others may have taken theirs. Cheap: asked before each insert."""
        ...


class Turns(Protocol):
    """Gives turns out, by name. Who waits for an exclusive one is not passed over for ever."""

    def shared(self, name: str) -> AbstractContextManager[Held]: ...

    def exclusive(self, name: str) -> AbstractContextManager[Held]: ...


@dataclass(slots=True)
class _Held:
    lost: bool = False

    def is_held(self) -> bool:
        return not self.lost


@dataclass(slots=True)
class _Name:
    shared: list[_Held] = field(default_factory=list)
    exclusive: _Held | None = None
    wanted_alone: int = 0


class ThreadTurns:
    """Turns of the threads of one process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: dict[str, _Name] = {}

    @contextmanager
    def shared(self, name: str) -> Iterator[Held]:
        held = _Held()
        with self._changed:
            of = self._names.setdefault(name, _Name())
            self._changed.wait_for(lambda: of.exclusive is None and not of.wanted_alone)
            of.shared.append(held)
        try:
            yield held
        finally:
            self._give_back(of, held)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[Held]:
        held = _Held()
        with self._changed:
            of = self._names.setdefault(name, _Name())
            of.wanted_alone += 1
            try:
                self._changed.wait_for(lambda: of.exclusive is None and not of.shared)
            finally:
                of.wanted_alone -= 1
            of.exclusive = held
        try:
            yield held
        finally:
            self._give_back(of, held)

    def take_away(self) -> None:
        """Whoever has a turn loses it, as a process does whose connection broke."""
        with self._changed:
            for of in self._names.values():
                for held in (*of.shared, *((of.exclusive,) if of.exclusive else ())):
                    held.lost = True
                of.shared.clear()
                of.exclusive = None
            self._changed.notify_all()

    def _give_back(self, of: _Name, held: _Held) -> None:
        with self._changed:
            if held is of.exclusive:
                of.exclusive = None
            of.shared = [each for each in of.shared if each is not held]
            self._changed.notify_all()
