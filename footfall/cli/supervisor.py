"""Keeps processes running: starts them, restarts what dies, ends them in order.

A child says on one pipe that it is ready. From another, whose end only the supervisor holds, it learns that
the supervisor is gone and ends by itself, so a killed supervisor leaves no orphan. Children have process
groups of their own: Ctrl-C reaches the supervisor alone, which ends them in order.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0
_START_SECONDS = 60.0
_HURRIED_SECONDS = 5.0

_logger = structlog.get_logger("supervisor")


class StartFailed(Exception):  # noqa: N818 - reads as what it is
    """A child ended, or was not ready in time, before everything had started once."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, and how long it may take to end when asked."""

    name: str
    command: Sequence[str]
    inherited: Sequence[int] = ()  # file descriptors, open in the child under the same numbers
    end_seconds: float = 10.0


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int = -1
    alive_fd: int = -1
    is_ready: bool = False
    started_at: float = 0.0
    start_again_at: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS


@dataclass(slots=True)
class Supervisor:
    """Runs children until `stop` is called; `end` ends them in the order in which they stand."""

    specs: Sequence[ChildSpec]
    monotonic: Callable[[], float] = time.monotonic
    _children: list[_Child] = field(init=False)
    _stops: int = 0
    _wake: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._children = [_Child(spec) for spec in self.specs]
        self._wake = os.pipe()
        for descriptor in self._wake:
            os.set_blocking(descriptor, False)

    def stop(self) -> None:
        """Asks for an orderly end; asked again, for a fast one. Safe in a signal handler."""
        self._stops += 1
        with suppress(BlockingIOError):
            os.write(self._wake[1], b".")

    def start(self) -> None:
        """Starts all and waits until each is ready; StartFailed if one is not, with all ended again."""
        for child in self._children:
            self._start(child)
        deadline = self.monotonic() + _START_SECONDS
        while not self._stops and not all(child.is_ready for child in self._children):
            self._wait(0.5)
            for child in self._children:
                code = child.process.poll() if child.process else None
                if code is not None or self.monotonic() > deadline:
                    self.end()
                    what = (
                        f"ended with code {code}"
                        if code is not None
                        else f"was not ready in {_START_SECONDS:.0f} s"
                    )
                    raise StartFailed(f"{child.spec.name} {what}; its last lines say why")

    def run(self) -> None:
        """Restarts what dies until `stop`."""
        while not self._stops:
            now = self.monotonic()
            for child in self._children:
                self._revive(child, now)
            self._wait(0.5)

    def end(self) -> None:
        """Ends all children."""
        for child in self._children:
            self._end(child)
        for descriptor in self._wake:
            os.close(descriptor)

    def _start(self, child: _Child) -> None:
        ready_read, ready_write = os.pipe()
        alive_read, alive_write = os.pipe()
        child.process = subprocess.Popen(  # noqa: S603 - our own commands
            [*child.spec.command, f"--ready-fd={ready_write}", f"--alive-fd={alive_read}"],
            pass_fds=(*child.spec.inherited, ready_write, alive_read),
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(ready_write)
        os.close(alive_read)
        child.ready_fd, child.alive_fd = ready_read, alive_write
        child.is_ready = False
        child.started_at = self.monotonic()
        _logger.info("started", process=child.spec.name, pid=child.process.pid)

    def _revive(self, child: _Child, now: float) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            healthy = child.is_ready and now - child.started_at > _HEALTHY_SECONDS
            pause = _FIRST_PAUSE_SECONDS if healthy else child.pause_seconds
            child.pause_seconds = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            child.start_again_at = now + pause
            self._forget(child)
            _logger.error("died", process=child.spec.name, code=code, restart_in_seconds=pause)
        if child.process is None and now >= child.start_again_at:
            self._start(child)

    def _wait(self, seconds: float) -> None:
        """Sleeps until a child is ready or has died, `stop` is called, or the time is over."""
        waiting = [child for child in self._children if child.process is not None and child.ready_fd >= 0]
        restarts = [
            child.start_again_at - self.monotonic() for child in self._children if child.process is None
        ]
        timeout = max(0.0, min([seconds, *restarts]))
        poll = select.poll()  # select() knows no descriptor beyond 1023
        for descriptor in (self._wake[0], *(child.ready_fd for child in waiting)):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        readable = {descriptor for descriptor, _ in poll.poll(timeout * 1000)}
        if self._wake[0] in readable:
            os.read(self._wake[0], 64)
        for child in waiting:
            if child.ready_fd in readable:
                self._read_ready(child)

    def _read_ready(self, child: _Child) -> None:
        """One byte says ready; the end of the pipe says that the child is gone."""
        if os.read(child.ready_fd, 1):
            child.is_ready = True
            seconds = round(self.monotonic() - child.started_at, 2)
            _logger.info("ready", process=child.spec.name, after_seconds=seconds)
            return
        os.close(child.ready_fd)
        child.ready_fd = -1
        if child.process is not None:
            _wait_for_end(child.process, 1.0)

    def _end(self, child: _Child) -> None:
        """SIGTERM; SIGINT when hurried; SIGKILL when it takes too long: nothing accepted is lost by that."""
        process = child.process
        if process is None:
            return
        hurried = False
        _signal(process, signal.SIGTERM)
        deadline = self.monotonic() + child.spec.end_seconds
        while process.poll() is None and self.monotonic() < deadline:
            if self._stops > 1 and not hurried:
                hurried = True
                _signal(process, signal.SIGINT)
                deadline = min(deadline, self.monotonic() + _HURRIED_SECONDS)
            _wait_for_end(process, 0.1)
        if process.poll() is None:
            _logger.warning("killed", process=child.spec.name, pid=process.pid)
            _signal(process, signal.SIGKILL)
        code = process.wait()
        _logger.info("ended", process=child.spec.name, code=code)
        self._forget(child)

    def _forget(self, child: _Child) -> None:
        for descriptor in (child.ready_fd, child.alive_fd):
            if descriptor >= 0:
                os.close(descriptor)
        child.process, child.ready_fd, child.alive_fd, child.is_ready = None, -1, -1, False


def _wait_for_end(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
