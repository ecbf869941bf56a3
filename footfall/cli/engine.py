"""The engine process: the processor in a thread, the query API on port 8107, one store between them."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import structlog

from footfall.cli.child import SupervisorLink
from footfall.cli.log_lines import set_up_logging
from footfall.settings import Settings, read_installation_key

if TYPE_CHECKING:
    from footfall.eventlog.log import Log
    from processor.loop import Processor

_POLL_SECONDS = 0.05
_logger = structlog.get_logger("engine")


class ProcessorFailed(Exception):  # noqa: N818 - reads as what it is
    """The processor's thread ended by itself: this process must be started again."""


def run_engine(settings: Settings, listener: socket.socket, link: SupervisorLink) -> None:
    """Returns when it was asked to end; ProcessorFailed if the processor could not go on."""
    set_up_logging()
    from footfall.cli.serving import QuietServer, serve
    from footfall.eventlog.opening import open_log
    from footfall.events.keys import KeyedHash
    from footfall.storage.migrate import migrate
    from footfall.storage.opening import open_store
    from footfall.storage.sealing import Sealer
    from footfall.storage.topology import topology_of
    from footfall.workspace import open_workspace
    from processor.loop import Processor
    from query_api.app import build_app
    from query_api.options import QueryOptions

    installation_key = read_installation_key(settings)
    keyed_hash, sealer = KeyedHash(installation_key), Sealer(installation_key)
    query_options = QueryOptions(seconds=settings.query_seconds, memory_bytes=settings.query_memory_bytes)
    with ExitStack() as stack:
        workspace = stack.enter_context(closing(open_workspace(settings.workspace_url)))
        log = stack.enter_context(closing(open_log(settings.log_url, max_bytes=settings.log_max_bytes)))
        store = stack.enter_context(closing(open_store(settings.store_url, scratch=settings.scratch)))
        migrate(store, topology_of(settings.store_url))
        processor = Processor(
            log, store, keyed_hash, sealer, workspace.project, dedup_days=settings.dedup_days
        )
        processor.recover()
        thread = ProcessorThread(processor, log, settings.drain_seconds)
        app = build_app(store, workspace, log, processor.data_until, keyed_hash, options=query_options)
        server = QuietServer(app)
        thread.start(when_ended=server.stop)
        try:
            serve(server, listener, link, thread.begin_drain)
        finally:
            thread.stop()
    if thread.failure is not None:
        raise ProcessorFailed(str(thread.failure)) from thread.failure


class ProcessorThread:
    """Runs the processor beside the query API. When it ends, drained or failed, the process ends."""

    def __init__(self, processor: Processor, log: Log, drain_seconds: float) -> None:
        self.failure: Exception | None = None
        self._processor = processor
        self._log = log
        self._drain_seconds = drain_seconds
        self._stop = threading.Event()
        self._drain_until = float("inf")
        self._thread = threading.Thread(target=self._run, name="processor")
        self._when_ended: Callable[[], None] = lambda: None

    def start(self, when_ended: Callable[[], None]) -> None:
        self._when_ended = when_ended
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
        while self._waiting() and self._thread.is_alive() and time.monotonic() < self._drain_until:
            time.sleep(_POLL_SECONDS)
        self.stop()
        if waiting := self._waiting():
            _logger.warning("log records wait for the next start", count=waiting)
        self._when_ended()

    def _waiting(self) -> int:
        return sum(self._log.position(partition).lag for partition in self._log.partitions())

    def _run(self) -> None:
        try:
            self._processor.run(self._stop)
        except Exception as failure:
            _logger.exception("the processor failed")
            self.failure = failure
            self._when_ended()
