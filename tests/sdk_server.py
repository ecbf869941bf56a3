"""A collector for the SDK's tests: answers as a script says, and remembers what it took."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Respond = Callable[["FakeCollector", list[dict[str, Any]], BaseHTTPRequestHandler], None]


class FakeCollector:
    """`script` holds what the next requests get (a Respond each); after it, everything is accepted."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.accepted: list[dict[str, Any]] = []
        self.script: list[Respond] = []
        self.always: Respond | None = None
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                records = json.loads(gzip.decompress(body))
                collector.requests.append(records)
                collector.headers.append(dict(self.headers))
                collector.times.append(time.monotonic())
                respond = collector.script.pop(0) if collector.script else collector.always or accept
                respond(collector, records, self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # clients that go away are what some tests are about

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def event_ids(self) -> list[str]:
        """Ids of the records accepted, each time they were."""
        return [record["event_id"] for record in self.accepted]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def fake_collector(port: int = 0) -> Iterator[FakeCollector]:
    collector = FakeCollector(port)
    try:
        yield collector
    finally:
        collector.stop()


def accept(collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler) -> None:
    collector.accepted += records
    send(request, 200, {"accepted": len(records), "rejected": []})


def status(code: int, **headers: str) -> Respond:
    return lambda _, __, request: send(request, code, {"title": "as scripted"}, headers)


def reject(index: int, reason: str) -> Respond:
    def respond(
        collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler
    ) -> None:
        collector.accepted += [record for i, record in enumerate(records) if i != index]
        verdict = {"index": index, "reason": reason, "field": "event", "message": f"{reason}: no"}
        send(request, 200, {"accepted": len(records) - 1, "rejected": [verdict]})

    return respond


def too_large_over(records_taken: int) -> Respond:
    """413 for bigger batches."""

    def respond(
        collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler
    ) -> None:
        if len(records) > records_taken:
            send(request, 413, {"title": "too large"})
        else:
            accept(collector, records, request)

    return respond


def accept_then_reset(
    collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler
) -> None:
    """Stores the records, then cuts the connection in the middle of the answer."""
    collector.accepted += records
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    request.wfile.flush()
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.shutdown(socket.SHUT_RD)
    request.connection.close()
    request.close_connection = True


def after(seconds: float, respond: Respond) -> Respond:
    def wait_and_respond(
        collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler
    ) -> None:
        time.sleep(seconds)
        respond(collector, records, request)

    return wait_and_respond


def once(event: threading.Event, respond: Respond) -> Respond:
    """Answers nothing before that event."""

    def wait_and_respond(
        collector: FakeCollector, records: list[dict[str, Any]], request: BaseHTTPRequestHandler
    ) -> None:
        assert event.wait(200)
        respond(collector, records, request)

    return wait_and_respond


def friendly_page(_: FakeCollector, __: list[dict[str, Any]], request: BaseHTTPRequestHandler) -> None:
    """What a captive portal answers."""
    send_bytes(request, 200, b"<html>Welcome</html>", {})


def send(
    request: BaseHTTPRequestHandler, code: int, answer: Any, headers: dict[str, str] | None = None
) -> None:
    send_bytes(request, code, json.dumps(answer).encode(), headers or {})


def send_bytes(request: BaseHTTPRequestHandler, code: int, body: bytes, headers: dict[str, str]) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
