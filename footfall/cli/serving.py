"""Serves an ASGI app on an inherited socket until told to stop; signals are the caller's to hear."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from footfall.cli.child import SupervisorLink

GRACEFUL_SECONDS = 8


class Server(uvicorn.Server):
    """uvicorn's server, without its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Accept no more, finish what runs."""
        self.should_exit = True


def make_server(app: Any, **options: Any) -> Server:
    """`options` are uvicorn's; ours are fit for a service that a supervisor runs."""
    fixed = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "off"}
    return Server(uvicorn.Config(app, timeout_graceful_shutdown=GRACEFUL_SECONDS, **(fixed | options)))


async def serve(
    server: Server,
    listener: socket.socket,
    link: SupervisorLink,
    *,
    drain: Callable[[], Awaitable[None]],
    hurry: Callable[[], None],
) -> None:
    """Serves until SIGTERM (or the supervisor's end) and `drain` after it; SIGINT calls `hurry` first."""
    loop = asyncio.get_running_loop()
    draining: list[asyncio.Task[None]] = []

    def begin_drain() -> None:
        if not draining:
            draining.append(asyncio.ensure_future(_drain_and_stop()))

    async def _drain_and_stop() -> None:
        try:
            await drain()
        finally:
            server.stop()

    def begin_hurried_drain() -> None:
        hurry()
        begin_drain()

    def supervisor_is_gone() -> None:
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(begin_drain)

    loop.add_signal_handler(signal.SIGTERM, begin_drain)
    loop.add_signal_handler(signal.SIGINT, begin_hurried_drain)
    link.watch(supervisor_is_gone)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        link.report_ready()
    await serving
    await asyncio.gather(*draining)
