"""Ends slow requests: a head, and a body, must be complete within their time, and a head within its size.

A client that sends a byte a second would otherwise hold a connection for ever. Connections over their time
are closed without an answer, so that SDKs which delete their data over a 4xx keep it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collector.options import CollectorOptions

_SWEEP_SECONDS: Final = 0.5
_NEVER: Final = float("inf")
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_log = logging.getLogger(__name__)


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with deadlines. Make a class for one server with `deadline_protocol`."""

    options: CollectorOptions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = {}  # type: ignore[typeddict-item]  # uvicorn has None until the first request begins
        self.deadline = _NEVER
        self._in_body = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.options.connections:
            transport.write(_BUSY)
            transport.close()
        self.deadline = self.loop.time() + self.options.head_seconds

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # A usual request is complete at once: nothing to watch.
        cycle = self.cycle
        scope: Mapping[str, Any] = self.scope
        if "method" not in scope:
            self._watch_head(data)
        elif cycle is not None and cycle.more_body and not cycle.response_complete:
            self._watch_body()
        else:
            self.deadline = _NEVER
            self._in_body = False
            self._head_bytes = 0

    def _watch_head(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._in_body or self.deadline == _NEVER:
            self._in_body = False
            self.deadline = self.loop.time() + self.options.head_seconds
        if self._head_bytes > self.options.head_bytes and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def _watch_body(self) -> None:
        self._head_bytes = 0
        if not self._in_body:
            self._in_body = True
            self.deadline = self.loop.time() + self.options.body_seconds

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)


def deadline_protocol(options: CollectorOptions) -> type[DeadlineProtocol]:
    """The protocol with these options."""
    return type("DeadlineProtocol", (DeadlineProtocol,), {"options": options})


async def end_slow_requests(connections: Iterable[Any]) -> None:
    """Closes, for ever, connections whose deadline is over; `connections` changes meanwhile."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        now = loop.time()
        slow = [each for each in list(connections) if getattr(each, "deadline", _NEVER) < now]
        for protocol in slow:
            protocol.deadline = _NEVER
            protocol.transport.abort()
        if slow:
            _log.info("closed %d connections that were too slow", len(slow))
