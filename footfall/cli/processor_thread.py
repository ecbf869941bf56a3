"""The processor's thread in the engine process: run, drained, failed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import structlog

from footfall.eventlog.log import Log
from processor.loop import Processor

_POLL_SECONDS = 0.05
_logger = structlog.get_logger("engine")


class ProcessorThread:
    """Runs the processor beside the query API. When it ends, drained or failed, the process ends."""

    def __init__(
        self, processor: Processor, log: Log, drain_seconds: float, when_ended: Callable[[], None]
    ) -> None:
        self.failure: Exception | None = None
        self._processor = processor
        self._log = log
        self._drain_seconds = drain_seconds
        self._stop = threading.Event()
        self._drain_until = float("inf")
        self._thread = threading.Thread(target=self._run, name="processor")
        self._when_ended = when_ended

    def start(self) -> None:
        self._thread.start()

    def begin_drain(self, number: signal.Signals) -> None:
        """Ends the processor once nothing waits or the time is over; at SIGINT, after this block."""
        is_first = self._drain_until == float("inf")
        seconds = 0.0 if number is signal.SIGINT else self._drain_seconds
        self._drain_until = min(self._drain_until, time.monotonic() + seconds)
        if is_first:
            threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def stop(self) -> None:
        """Ends the processor after the block that is being processed."""
        self._stop.set()
        self._thread.join()

    def _drain(self) -> None:
        try:
            while self._waiting() and self._thread.is_alive() and time.monotonic() < self._drain_until:
                time.sleep(_POLL_SECONDS)
            self.stop()
            if waiting := self._waiting():
                _logger.warning("log records wait for the next start", count=waiting)
        finally:
            self._when_ended()

    def _waiting(self) -> int:
        return sum(position.lag for position in self._log.positions().values())

    def _run(self) -> None:
        try:
            self._processor.run(self._stop)
        except Exception as failure:
            _logger.exception("the processor failed")
            self.failure = failure
            self._when_ended()
