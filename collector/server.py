"""Runs a collector application on a socket: uvicorn with deadlines, draining when it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from collector.options import CollectorOptions
from collector.protocol import collector_protocol, end_slow_requests


class CollectorServer(uvicorn.Server):
    """A uvicorn server that sweeps slow connections. Signals are its caller's to hear: call `stop`."""

    def stop(self) -> None:
        """Accept no more, finish what runs."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread():
            _calm_garbage_collector()
        self._sweeper = asyncio.create_task(end_slow_requests(self.server_state.connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _calm_garbage_collector() -> None:
    """For a process that only collects: its requests leave no cycles, and what was imported stays.

    With Python's own settings some 10 % of the CPU time goes into looking for garbage that is not there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def build_server(
    app: Any, options: CollectorOptions, *, host: str = "127.0.0.1", port: int = 0
) -> CollectorServer:
    """A server that is not running yet. `host` and `port` matter only if it gets no sockets."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=collector_protocol(options),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=options.keep_alive_seconds,
        timeout_graceful_shutdown=options.drain_seconds,
    )
    return CollectorServer(config)


def serve(
    app: Any,
    options: CollectorOptions,
    *,
    sockets: list[socket.socket] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what it has begun, and returns.

    `sockets` are bound already (shared by several workers); without them it binds `host` and `port`.
    The caller closes the log's writer afterwards. For the main thread only.
    """
    server = build_server(app, options, host=host, port=port)
    ends = (signal.SIGTERM, signal.SIGINT)
    previous = {each: signal.signal(each, lambda *_: server.stop()) for each in ends}
    try:
        server.run(sockets=sockets)
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
