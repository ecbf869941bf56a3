"""uvicorn's HTTP protocol, with deadlines and with answers in one write.

Deadlines: a head, and a body, must be complete within their time, and a head within its size; a client that
sends a byte a second would otherwise hold a connection for ever. Connections over their time are closed
without an answer, so that SDKs which delete their data over a 4xx keep it. One sweep a half second looks at
all connections: timers of each request would cost more than reading it.

One write: the doors hand their whole answer over at once (the extension `footfall.answer` of the ASGI scope),
which saves a system call and the checks of headers that are our own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from collector.answers import ANSWER_EXTENSION, SILENCE, Answer
from collector.options import CollectorOptions

_SWEEP_SECONDS: Final = 0.5
_NEVER: Final = float("inf")
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {ANSWER_EXTENSION: {}}
_log = logging.getLogger(__name__)


class OneWriteCycle(RequestResponseCycle):
    """A request and its response; understands the message `footfall.answer`."""

    async def send(self, message: Any) -> None:
        if message["type"] != ANSWER_EXTENSION:
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(message["answer"])

    def _write(self, answer: Answer) -> None:
        status, headers, body = answer
        self.response_started = self.response_complete = True
        self.message_event.set()
        if answer is SILENCE:
            self.transport.close()
            self.on_response()
            return
        if not self.keep_alive and (b"connection", b"close") not in headers:
            headers = [*headers, (b"connection", b"close")]
        parts = [STATUS_LINE[status]]
        parts += [b"%b: %b\r\n" % header for header in self.default_headers]
        parts += [b"%b: %b\r\n" % header for header in headers]
        parts.append(b"\r\n")
        if self.scope["method"] != "HEAD":
            parts.append(body)
        self.transport.write(b"".join(parts))
        if not self.keep_alive or (b"connection", b"close") in headers:
            self.transport.close()
        self.on_response()


class CollectorProtocol(HttpToolsProtocol):
    """Make a class for one server with `collector_protocol`."""

    options: CollectorOptions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = {}  # type: ignore[typeddict-item]  # uvicorn has None until the first request begins
        self.deadline = _NEVER
        self._in_head = True
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
        cycle = self.cycle
        scope: Mapping[str, Any] = self.scope
        if "method" not in scope:
            self._watch_head(data)
        elif cycle is not None and cycle.more_body and not cycle.response_complete:
            self._watch_body()
        elif self._in_body or self._in_head:
            # Complete; most requests come in one piece, and get here with nothing to forget.
            self._in_body = self._in_head = False
            self._head_bytes = 0
            self.deadline = _NEVER
        else:
            self.deadline = _NEVER

    def _watch_head(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if not self._in_head:
            self._in_head, self._in_body = True, False
            self.deadline = self.loop.time() + self.options.head_seconds
        if self._head_bytes > self.options.head_bytes and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def _watch_body(self) -> None:
        if not self._in_body:
            self._in_head, self._in_body = False, True
            self._head_bytes = 0
            self.deadline = self.loop.time() + self.options.body_seconds

    def on_headers_complete(self) -> None:
        """As uvicorn's, without upgrades, and with our cycle."""
        parser = self.parser
        scope: Any = self.scope
        version = parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        scope["extensions"] = _EXTENSIONS
        before = self.cycle
        self.cycle = OneWriteCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # pipelined: its turn comes after the one before it
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """As uvicorn's, but the sweep closes a connection that rests too long, not a timer of its own."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self._in_head:
            self.deadline = self.loop.time() + self.options.keep_alive_seconds

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)


def collector_protocol(options: CollectorOptions) -> type[CollectorProtocol]:
    """The protocol with these options."""
    return type("CollectorProtocol", (CollectorProtocol,), {"options": options})


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
