"""Serves an ASGI app on an inherited socket until told to stop."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
import uvloop

from collector.options import CollectorOptions
from collector.protocol import collector_protocol, end_slow_requests
from footfall.cli.child import SupervisorLink
from footfall.cli.tls import Certificate

GRACEFUL_SECONDS = 8
"""How long requests that run may go on once a server was told to stop."""

_ANSWERING_SECONDS = 5
"""For whoever was turned away then."""

QUERY_CONNECTIONS = 1_000
"""To the query API at once; beyond it 503."""


class QuietServer(uvicorn.Server):
    """uvicorn's server for the query API; it leaves signals and log lines to the process.

    It ends slow requests as the collector's does: uvicorn itself waits for ever for a head or a body.
    """

    def __init__(
        self,
        app: Any,
        options: CollectorOptions | None = None,
        *,
        drain_seconds: float = GRACEFUL_SECONDS,
        turn_away: Callable[[], None] = lambda: None,
    ) -> None:
        """Of `options` only what concerns connections and slow requests.

        Once it stops, what runs has `drain_seconds`; then `turn_away` is called, which must have it answered.
        """
        options = options or CollectorOptions(connections=QUERY_CONNECTIONS)
        self._drain_seconds = drain_seconds
        self._turn_away = turn_away
        config = uvicorn.Config(
            app,
            http=collector_protocol(options),
            timeout_keep_alive=options.keep_alive_seconds,
            ws="none",
            proxy_headers=False,  # nobody here asks for the client's address
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(drain_seconds) + _ANSWERING_SECONDS,
        )
        super().__init__(config)

    def stop(self) -> None:
        """Accepts no more, finishes what runs. Safe in any thread."""
        self.should_exit = True

    def told(self, number: signal.Signals) -> None:
        """As `serve` wants it: an orderly end; at SIGINT what runs is turned away at once."""
        self.stop()
        if number is signal.SIGINT:
            self._drain_seconds = 0.0
            self._turn_away()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeper = asyncio.create_task(end_slow_requests(self.server_state.connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        over = asyncio.get_running_loop().call_later(self._drain_seconds, self._turn_away)
        await super().shutdown(sockets)
        over.cancel()
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    server: uvicorn.Server,
    listener: socket.socket,
    link: SupervisorLink,
    when_told: Callable[[signal.Signals], None],
    certificate: Certificate | None = None,
) -> None:
    """Serves until `server.should_exit`.

    `when_told` is called for SIGTERM (end in order), also when the supervisor is gone, and for SIGINT (end
    fast), which a second signal is, too. It must return at once.
    """
    if certificate is not None:
        certificate.turn_on(server)
    link.watch(lambda: when_told(signal.SIGTERM))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(server, listener, link, when_told, certificate))


async def _serve(
    server: uvicorn.Server,
    listener: socket.socket,
    link: SupervisorLink,
    when_told: Callable[[signal.Signals], None],
    certificate: Certificate | None,
) -> None:
    loop = asyncio.get_running_loop()
    signals = 0

    def told(number: signal.Signals) -> None:
        nonlocal signals
        signals += 1
        when_told(signal.SIGINT if signals > 1 else number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        link.report_ready()
    if certificate is None:
        await serving
        return
    renewing = asyncio.create_task(certificate.keep_fresh(server))
    try:
        await serving
    finally:
        renewing.cancel()
