"""Slow clients of the query API: each is ended in time, and others are answered meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from collector.options import CollectorOptions
from footfall.cli.serving import QuietServer
from tests.collector_worker import converse

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    if scope["type"] == "http":
        body = await Request(scope, receive).body()
        await Response(str(len(body)))(scope, receive, send)


@pytest.fixture
def port() -> Iterator[int]:
    options = CollectorOptions(head_seconds=0.4, body_seconds=0.4, connections=50)
    server = QuietServer(app, options)
    server.config.lifespan = "off"
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.stop()
    thread.join()
    listener.close()


def trickle(slow: socket.socket) -> None:
    for _ in range(400):
        slow.sendall(b"x")
        time.sleep(0.03)


@pytest.mark.parametrize("begun", [b"", b"POST / HT", HEAD[:-2], HEAD, HEAD + b"x"])
@pytest.mark.parametrize("trickles", [False, True])
def test_a_slow_client_is_ended_and_others_are_answered(port: int, begun: bytes, trickles: bool) -> None:
    with closing(socket.create_connection(("127.0.0.1", port))) as slow:
        slow.settimeout(20)
        slow.sendall(begun)
        assert b" 200 " in converse(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        if trickles:
            with pytest.raises(OSError, match=r"\[Errno"):
                trickle(slow)
            return
        with suppress(ConnectionResetError):
            assert slow.recv(100) == b""


def test_a_head_without_end_is_refused(port: int) -> None:
    assert b" 431 " in converse(port, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
