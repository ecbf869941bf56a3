"""A light load generator: prebuilt requests over keep-alive connections, in a process of its own.

Always bounded, in requests and in seconds. Anything but a 200 ends the run: a refusal would look fast.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import uvloop

CONNECTIONS = 64
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_spawn = multiprocessing.get_context("spawn")


class LoadRefused(Exception):  # noqa: N818
    """The server answered something else than 200, or stopped answering."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. `requests` are taken in turn, again from the start when they are used up."""

    port: int
    requests: Sequence[bytes]
    seconds: float
    most: int = 1_000_000
    per_second: float = 0.0  # 0: as fast as the answers come
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it."""

    answered: int
    seconds: float
    median_ms: float
    p99_ms: float


class Sender:
    """Another process that sends loads, one at a time."""

    def __init__(self) -> None:
        self._ours, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()

    def start(self, load: Load) -> None:
        self._ours.send(load)

    def wait(self) -> Sent:
        """The outcome of the load that was started. LoadRefused if the server refused."""
        answer = self._ours.recv()
        if isinstance(answer, Sent):
            return answer
        raise LoadRefused(answer)

    def send(self, load: Load) -> Sent:
        self.start(load)
        return self.wait()

    def close(self) -> None:
        self._ours.send(None)
        self._process.join(timeout=5)


@contextmanager
def open_sender() -> Iterator[Sender]:
    sender = Sender()
    try:
        yield sender
    finally:
        sender.close()


def _serve(pipe: Any) -> None:
    while (load := pipe.recv()) is not None:
        try:
            pipe.send(uvloop.run(_send(load)))
        except (LoadRefused, OSError) as error:
            pipe.send(f"port {load.port}: {error}")


class _Run:
    """What the connections of one load share."""

    def __init__(self, load: Load) -> None:
        self.turn = itertools.cycle(load.requests)
        self.left = load.most
        self.started = time.perf_counter()
        self.until = self.started + load.seconds
        self.per_second = load.per_second
        self.sent = 0
        self.latencies: list[float] = []
        self.failure: str | None = None

    def next_request(self) -> bytes | None:
        if self.left <= 0 or time.perf_counter() >= self.until or self.failure is not None:
            return None
        self.left -= 1
        self.sent += 1
        return next(self.turn)

    def wait_seconds(self) -> float:
        """How long the next request is too early."""
        return self.started + self.sent / self.per_second - time.perf_counter() if self.per_second else 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, done: asyncio.Future[None]) -> None:
        self._run = run
        self._done = done
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are, but do not say so
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            self._run.failure = self._received[:500].decode(errors="replace")
            self._transport.close()
        elif len(body) >= int(length[1]):
            self._run.latencies.append(time.perf_counter() - self._sent_at)
            self._received = b""
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent_at and self._run.failure is None:
            self._run.failure = f"the connection was lost before the answer: {error}"
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        if (wait := self._run.wait_seconds()) > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
            self._sent_at = 0.0
            return
        request = self._run.next_request()
        if request is None:
            self._sent_at = 0.0
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def _send(load: Load) -> Sent:
    loop = asyncio.get_running_loop()
    run = _Run(load)
    finished = []
    for _ in range(min(load.connections, load.most)):
        done = loop.create_future()
        await loop.create_connection(partial(_Connection, run, done), "127.0.0.1", load.port)
        finished.append(done)
    await asyncio.wait_for(asyncio.gather(*finished), timeout=load.seconds + 30)
    if run.failure is not None:
        raise LoadRefused(run.failure)
    seconds = time.perf_counter() - run.started
    ordered = sorted(run.latencies) or [0.0]
    return Sent(
        answered=len(run.latencies),
        seconds=seconds,
        median_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000,
    )
