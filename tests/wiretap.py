"""A relay between clients and a server that changes no byte, and remembers every request with its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools

from tests.captured import decode_form


@dataclass
class Passed:
    """A request that went by. `status`: of its answer; 0 while, or because, there is none."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    answer: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> str:
        """Where its data are."""
        return self.body.decode() or urlsplit(self.target).query

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the SDK wrapped, in its order; of a request that is not encrypted."""
        return decode_form(self.form)


@dataclass
class _Connection:
    """The two streams of one connection, read as HTTP."""

    requests: list[Passed]
    _pending: list[Passed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reading: Passed | None = None
        self._field = b""
        self.from_client = httptools.HttpRequestParser(_Requests(self))
        self.from_server = httptools.HttpResponseParser(_Answers(self))


class _Requests:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def on_message_begin(self) -> None:
        self._passed = Passed("", "", {})

    def on_url(self, url: bytes) -> None:
        self._passed.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._passed.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._passed.body += body

    def on_message_complete(self) -> None:
        self._passed.method = self._connection.from_client.get_method().decode()
        self._connection._pending.append(self._passed)
        self._connection.requests.append(self._passed)


class _Answers:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._body = b""

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        passed = self._connection._pending.pop(0)
        passed.answer, passed.status = self._body, self._connection.from_server.get_status_code()


class Wiretap:
    """Listens on `port` and relays to `upstream`; a connection that the server refuses is closed."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.requests: list[Passed] = []
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answered(self) -> list[Passed]:
        return [each for each in list(self.requests) if each.status]

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.requests)
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        with suppress(asyncio.CancelledError):  # at the end, by the server that asks nobody else
            await asyncio.gather(
                _pump(reader, their_writer, connection.from_client.feed_data),
                _pump(their_reader, writer, connection.from_server.feed_data),
            )
        writer.close()
        their_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Any) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            note(data)
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def wiretap(upstream: int) -> Iterator[Wiretap]:
    """A relay that runs in a thread of its own until the end."""
    tap = Wiretap(upstream)
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(tap.relay, "127.0.0.1", 0)
        tap.port = server.sockets[0].getsockname()[1]
        started.set()
        await asyncio.to_thread(stop.wait)
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="wiretap")
    thread.start()
    started.wait()
    try:
        yield tap
    finally:
        stop.set()
        thread.join()
