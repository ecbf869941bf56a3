"""The servers that the collector is measured beside, and the collector itself: each in a process of its own.

`discard` is the limit: the least that an ASGI app under uvicorn can do with a body. `body_model` is the
idiomatic FastAPI app of bench/body_model.py.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvicorn

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def start_server(target: Callable[..., None], *arguments: Any) -> Iterator[Server]:
    """Runs `target(listener, *arguments)` in another process until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    process = _spawn.Process(target=target, args=(listener, *arguments), daemon=True)
    process.start()
    port = listener.getsockname()[1]
    assert process.pid is not None
    try:
        yield Server(port, process.pid)
    finally:
        listener.close()
        process.terminate()
        process.join(timeout=15)
        if process.is_alive():
            process.kill()
            process.join()


def serve_discard(listener: socket.socket) -> None:
    async def discard(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    _serve(discard, listener)


def serve_bare(listener: socket.socket) -> None:
    """Takes bodies of any size up to 16 MiB and forgets them; the rest it refuses unread."""

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if int(announced) <= 16 << 20:
            while (await receive()).get("more_body", False):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    _serve(bare, listener)


def serve_body_model(listener: socket.socket) -> None:
    from bench.body_model import app

    _serve(app, listener)


def serve_collector(listener: socket.socket, home: Path) -> None:
    """The product's own worker process, as `footfall up` starts it."""
    os.environ["FOOTFALL_HOME"] = str(home)
    from footfall.cli.child import SupervisorLink
    from footfall.cli.collect_worker import run_collector
    from footfall.settings import read_settings

    run_collector(read_settings(), 0, listener, SupervisorLink(None, None))


def serve_collector_without_privacy(listener: socket.socket, home: Path) -> None:
    """The same, but records go into the log as they came."""
    from footfall.treatment import treatment

    def as_it_came(header: Any, events: bytes, _policy: Any) -> tuple[Any, bytes]:
        return header, events

    setattr(treatment, "treat", as_it_came)  # noqa: B010 - before anybody imports it by name
    serve_collector(listener, home)


def _serve(app: Any, listener: socket.socket) -> None:
    """With the options of footfall/cli/serving.py, so that the only difference is the app."""
    config = uvicorn.Config(
        app,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http="httptools",
        loop="uvloop",
    )
    uvicorn.Server(config).run(sockets=[listener])
