"""uvicorn's HTTP protocol, with deadlines and with answers in one write.

Deadlines: a head, and a body, must be complete within their time, and a head within its size; a client that
sends a byte a second would otherwise hold a connection for ever. Connections over their time are closed
without an answer, so that SDKs which delete their data over a 4xx keep it. One sweep a half second looks at
all connections: timers of each request would cost more than reading it.

One write: the doors hand their whole answer over at once (the extension `footfall.answer` of the ASGI scope),
which saves a system call and the checks of headers that are our own.

No task: a request at a door is worked on as soon as it was read, in the very call that read it, as far as the
wait for the disk (`Errand`). A task of asyncio's costs as much as to judge an event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
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
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b"
)
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {ANSWER_EXTENSION: {}}
_log = logging.getLogger(__name__)


class Errand:
    """Runs a coroutine from one wait to the next, without a task. It is in `errands` until it has ended.

    Begins at once, not at the loop's next turn. What it runs must do without `asyncio.current_task`, and
    waits for futures alone, as all of asyncio does in the end.
    """

    __slots__ = ("_coroutine", "_errands", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], errands: set[Any]) -> None:
        self._coroutine = coroutine
        self._errands = errands
        self._waits_for: asyncio.Future[Any] | None = None
        errands.add(self)
        self._go_on(None)

    def cancel(self, msg: str | None = None) -> None:
        """As a task's: what it waits for raises CancelledError there."""
        if self._waits_for is not None:
            self._waits_for.cancel(msg)

    def _go_on(self, _: asyncio.Future[Any] | None) -> None:
        try:
            future = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            self._errands.discard(self)
        else:
            self._waits_for = future
            if future is None:  # asyncio.sleep(0)
                asyncio.get_running_loop().call_soon(self._go_on, None)
            else:
                future._asyncio_future_blocking = False  # what a task says to a future
                future.add_done_callback(self._go_on)


class OneWriteCycle(RequestResponseCycle):
    """A request and its response; understands the message `footfall.answer`."""

    async def run_door(self, door: Any) -> None:
        """As uvicorn's `run_asgi`, for what was begun without a task."""
        try:
            await door(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - nobody is above to hear of it
            _log.exception("%s %s failed", self.scope["method"], self.scope["path"])
            if self.response_started:
                self.transport.close()
            else:
                await self.send_500_response()
        finally:
            self.on_response = _nothing

    async def receive(self) -> Any:
        """As uvicorn's, with nothing to wait for where the body is there already."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return await super().receive()
        if not self.message_event.is_set():  # it was told already: now it can only end
            return await super().receive()
        self.message_event.clear()
        self.flow.resume_reading()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

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
        self._door_of: Callable[[str], Any] = getattr(self.app, "door_of", _no_door)
        self._begun: tuple[OneWriteCycle, Any] | None = None
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
        self._watch(data)
        if self._begun is not None:
            (cycle, door), self._begun = self._begun, None
            Errand(cycle.run_door(door), self.tasks)

    def _watch(self, data: bytes) -> None:
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
        if self._head_bytes > self.options.head_bytes:
            self._refuse_head()

    def _refuse_head(self) -> None:
        if self.transport.is_closing():
            return
        limit = self.options.head_bytes
        told = (
            b"the address and headers have more than %d bytes, which is the limit: send events by POST"
            % limit
        )
        self.transport.write(_HEAD_TOO_LARGE % (len(told), told))
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
        self.cycle = cycle = OneWriteCycle(
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
            door = self._door_of(scope["path"])
            if door is None:
                self._start_asgi_task(cycle, self.app)
            else:  # once all is read that came with it
                self._begun = cycle, door
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
        if len(getattr(self, "url", b"")) > self.options.head_bytes:
            self._refuse_head()  # it came in one piece, and no parser takes such an address
        elif not self.transport.is_closing():
            super().send_400_response(msg)


def _nothing() -> None:
    pass


def _no_door(_path: str) -> None:
    return None


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
