"""The engine process: the processor in a thread, the query API on port 8107, one store between them."""

from __future__ import annotations

import asyncio
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
    from processor.loop import Processor

    from footfall.eventlog.log import Log

_POLL_SECONDS = 0.05
_logger = structlog.get_logger("engine")


class ProcessorFailed(Exception):  # noqa: N818 - reads as what it is
    """The processor's thread ended by itself: this process must be started again."""


def run_engine(settings: Settings, listener: socket.socket, link: SupervisorLink) -> None:
    """Returns when it was asked to end; ProcessorFailed if the processor could not go on."""
    set_up_logging()
    from processor.loop import Processor
    from query_api.app import build_app

    from footfall.cli.serving import make_server, serve
    from footfall.eventlog.opening import open_log
    from footfall.events.keys import KeyedHash
    from footfall.storage.migrate import migrate
    from footfall.storage.opening import open_store
    from footfall.storage.topology import topology_of
    from footfall.workspace import open_workspace

    keyed_hash = KeyedHash(read_installation_key(settings))
    with ExitStack() as stack:
        workspace = stack.enter_context(closing(open_workspace(settings.workspace_url)))
        log = stack.enter_context(closing(open_log(settings.log_url, max_bytes=settings.log_max_bytes)))
        store = stack.enter_context(closing(open_store(settings.store_url, scratch=settings.scratch)))
        migrate(store, topology_of(settings.store_url))
        processor = Processor(log, store, keyed_hash, workspace.project, dedup_days=settings.dedup_days)
        processor.recover()
        app = build_app(store, workspace, log, processor.data_until, keyed_hash)
        server = make_server(app)
        thread = ProcessorThread(processor, log, settings.drain_seconds, when_failed=server.stop)
        thread.start()
        try:
            asyncio.run(serve(server, listener, link, drain=thread.drain, hurry=thread.hurry))
        finally:
            thread.stop()
    if thread.failure is not None:
        raise ProcessorFailed(str(thread.failure)) from thread.failure


class ProcessorThread:
    """Runs the processor beside the query API; when it fails, the process ends and is started again."""

    def __init__(
        self, processor: Processor, log: Log, drain_seconds: float, when_failed: Callable[[], None]
    ) -> None:
        self.failure: Exception | None = None
        self._processor = processor
        self._log = log
        self._drain_seconds = drain_seconds
        self._when_failed = when_failed
        self._stop = threading.Event()
        self._hurried = False
        self._thread = threading.Thread(target=self._run, name="processor")

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Ends `drain` after the block that is being processed."""
        self._hurried = True

    async def drain(self) -> None:
        """Waits until nothing waits in the log, or the time for that is over, then ends the processor."""
        deadline = time.monotonic() + self._drain_seconds
        while (
            self._waiting() and self._thread.is_alive() and not self._hurried and time.monotonic() < deadline
        ):
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self.stop)
        if waiting := self._waiting():
            _logger.warning("log records wait for the next start", count=waiting)

    def stop(self) -> None:
        """Ends the processor after the block that is being processed."""
        self._stop.set()
        self._thread.join()

    def _waiting(self) -> int:
        return sum(self._log.position(partition).lag for partition in self._log.partitions())

    def _run(self) -> None:
        try:
            self._processor.run(self._stop)
        except Exception as failure:
            _logger.exception("the processor failed")
            self.failure = failure
            self._when_failed()
