"""A process that another one starts: by which command; that it is ready; that it ends with the other one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass


def footfall_command(*arguments: str) -> list[str]:
    """`footfall` with these arguments, in another process, as it is installed for this one.

    -P: what lies in the current directory, be it our own sources, is not taken for what is installed.
    """
    return [sys.executable, "-P", "-m", "footfall.cli", *arguments]


@dataclass(frozen=True, slots=True)
class SupervisorLink:
    """The two pipes to the supervisor; None for a process that somebody started by hand."""

    ready_fd: int | None
    alive_fd: int | None

    def report_ready(self) -> None:
        if self.ready_fd is not None:
            os.write(self.ready_fd, b"R")

    def watch(self, when_gone: Callable[[], None]) -> None:
        """Calls `when_gone`, in a thread of its own, when the supervisor has ended in whatever way."""
        if self.alive_fd is not None:
            threading.Thread(
                target=self._wait_until_gone, args=(when_gone,), name="supervisor", daemon=True
            ).start()

    def _wait_until_gone(self, when_gone: Callable[[], None]) -> None:
        assert self.alive_fd is not None
        while os.read(self.alive_fd, 1):
            pass
        when_gone()
