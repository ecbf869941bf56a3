"""Serves an ASGI app on an inherited socket until told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from footfall.cli.child import SupervisorLink

GRACEFUL_SECONDS = 8
"""How long requests that run may go on once a server was told to stop."""


class DrainingServer(uvicorn.Server):
    """Goes on serving while something else drains. uvicorn's own would stop at once and die of the signal."""

    def __init__(self, app: Any, begin_drain: Callable[[signal.Signals], None]) -> None:
        """`begin_drain` is called for each SIGTERM or SIGINT and must return at once; `stop` ends it all."""
        config = uvicorn.Config(
            app,
            loop="uvloop",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        super().__init__(config)
        self._begin_drain = begin_drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        self._begin_drain(signal.Signals(sig))

    def stop(self) -> None:
        """Accepts no more, finishes what runs. Safe in any thread."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        ours = (signal.SIGTERM, signal.SIGINT)
        previous = {number: signal.signal(number, self.handle_exit) for number in ours}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def serve(server: uvicorn.Server, listener: socket.socket, link: SupervisorLink) -> None:
    """Serves until the server is told to stop. To it, the supervisor's end is a SIGTERM."""
    link.watch(lambda: server.handle_exit(signal.SIGTERM, None))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(server, listener, link))


async def _serve(server: uvicorn.Server, listener: socket.socket, link: SupervisorLink) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        link.report_ready()
    await serving
