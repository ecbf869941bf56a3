"""What must be done once, wherever it runs: one of several services has the duty, by a lease."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import structlog

from footfall.workspace import Workspace
from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.leases import LeaseKeeper

_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 5.0
_logger = structlog.get_logger("duty")


class Duty:
    """Whether this process has it; asked from any thread."""

    def __init__(self, *, mine: bool = True) -> None:
        """Without others, it is always here."""
        self._mine = mine

    def mine(self) -> bool:
        return self._mine

    def _look(self, keeper: LeaseKeeper) -> None:
        try:
            self._mine = keeper.mine() is not None
        except Exception:
            _logger.exception("whose duty it is cannot be asked")
            self._mine = False

    @classmethod
    @contextmanager
    def shared(cls, workspace: Workspace, name: str) -> Iterator[Duty]:
        """Among all that share the workspace. Who has it keeps it until it ends, or is silent for 30 s."""
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        keeper = LeaseKeeper(workspace.leases, name, holder, _SECONDS)
        duty = cls(mine=False)
        duty._look(keeper)
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                duty._look(keeper)

        thread = threading.Thread(target=look, name="duty")
        thread.start()
        try:
            yield duty
        finally:
            ended.set()
            thread.join()
            with suppress(WorkspaceUnavailable):
                keeper.release()
