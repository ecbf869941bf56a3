"""Turns of the processes of one machine, as locks of files beside the workspace."""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from weakref import WeakValueDictionary

from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.turns import Turn, Turns, busy

_LOOKS_AGAIN = 0.01  # the system tells nobody that a file's lock is free


class FileTurns(Turns):
    """Of all that name the same folder. The threads of a process stand in line, and then the processes."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when a turn is first asked for."""
        super().__init__()
        self._folder = folder

    def close(self) -> None:
        """There is nothing to close."""

    @contextmanager
    def _take(self, name: str, exclusive: bool, timeout: float | None) -> Iterator[Turn]:
        until = None if timeout is None else monotonic() + timeout
        lock = self._lock_of(name)
        if not lock.acquire(exclusive, timeout):
            raise busy(name, exclusive, timeout)
        try:
            with ExitStack() as locked:
                if not self._lock_files(locked, name, exclusive, until):
                    raise busy(name, exclusive, timeout)
                yield _FileTurn(name, exclusive)
        finally:
            lock.release(exclusive)

    def _lock_files(self, locked: ExitStack, name: str, exclusive: bool, until: float | None) -> bool:
        """Who waits alone keeps the gate closed, so that those who share do not keep it out for ever."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ExitStack() as passing:
                return _lock(passing, self._folder / f"{name}.gate", True, until) and _lock(
                    locked, self._folder / name, exclusive, until
                )
        except OSError as error:
            raise WorkspaceUnavailable(f"{self._folder / name} cannot be locked: {error.strerror}") from error

    def _lock_of(self, name: str) -> _Lock:
        with _known_lock:
            lock = _known.get((self._folder, name))
            if lock is None:
                lock = _known[self._folder, name] = _Lock()
            return lock


class _FileTurn:
    """It cannot be lost: the system keeps it until the file is closed."""

    def __init__(self, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive

    def is_held(self) -> bool:
        return True

    def check(self) -> None: ...


def _lock(locked: ExitStack, file: Path, exclusive: bool, until: float | None) -> bool:
    """Until `locked` is closed, or its process ends. Whether it was free in time. OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    locked.callback(os.close, descriptor)
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    if until is None:
        fcntl.flock(descriptor, how)
        return True
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            left = until - monotonic()
            if left <= 0:
                return False
            threading.Event().wait(min(left, _LOOKS_AGAIN))


class _Lock:
    """Many readers or one writer of this process, in the order in which they came."""

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


_known: WeakValueDictionary[tuple[Path, str], _Lock] = WeakValueDictionary()  # kept by those who use it
_known_lock = threading.Lock()
