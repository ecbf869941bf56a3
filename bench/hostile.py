"""Hostile requests beside good traffic: does anybody else notice?

`footfall up` gets 50,000 requests of all the kinds below, and slow clients all the while, with good traffic
beside them at a steady rate. A good request that is not answered 200 ends the run. Ratios: the good traffic's
p99 to that before the attack, the workers' memory at the end to that when a tenth was through, and how many
requests were answered by an error of the server's own.

What attacks runs on the same machine and takes CPU time of its own. So there is a control: the good traffic
as before, while the same attack goes to a bare server that forgets it. It tells what no collector can mend.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil
import zstandard

from bench.installation import WRITE_KEY, running_installation
from bench.load import Load, Sender, open_sender
from bench.records import draw_events
from bench.results import Row, Section, Target
from bench.servers import serve_bare, start_server
from footfall.cli.demo_system import RunningSystem, wait_until_ready

_PATIENCE: Final = 20.0
_AT_ONCE: Final = 32
_GOOD_A_SECOND: Final = 100
_CONTROL_REQUESTS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is sent, and how fast."""

    requests: int
    per_second: float
    slow_clients: int
    calm_seconds: float

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(300, 300, 12, 1) if quick else cls(50_000, 250, 200, 30)


# -------------------------------------------------------------------------------------- requests


def _post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def _native(body: bytes, *headers: str) -> bytes:
    return _post("/v1/events", body, f"Authorization: Bearer {WRITE_KEY}", *headers)


def _event(**changed: object) -> bytes:
    return json.dumps(next(draw_events(1, 1)) | changed).encode()


def _event_with(text: bytes) -> bytes:
    """An event with JSON text as a property's value, as it is."""
    return _event(properties={"x": 0}).replace(b'{"x": 0}', b'{"x": ' + text + b"}")


_ZEROS: Final = bytes(100_000_000)
_BOMB: Final = gzip.compress(_ZEROS)
_DOUBLE_BOMB: Final = gzip.compress(_BOMB)
_ZSTD_BOMB: Final = zstandard.compress(_ZEROS)
_SILENT_ZSTD_BOMB: Final = zstandard.ZstdCompressor(write_content_size=False).compress(_ZEROS)
_EVENT: Final = _event()
_NUMBERS: Final = (b"NaN", b"Infinity", b"1e400", b"-0", b"1" * 5_000, b"1" * 20, b"0x1F", b"01")
_BYTES: Final = (b"\xff\xfe", b"\\ud800", b"\\u0000", b"\x01", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80")
_NAMES: Final = ("", "x" * 1_000_000, "'; DROP TABLE events", "\u0000", "$$$", "a b", "\u202e", "=cmd")
_KINDS: Final[tuple[tuple[str, int, Callable[[random.Random], bytes]], ...]] = (
    # F20: huge everything
    ("URL of 1 MB", 1, lambda _: b"GET /sa?data=" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n"),
    ("header of 1 MB", 1, lambda _: b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n"),
    ("body announced as 1 TB", 5, lambda _: _native(b"").replace(b"Length: 0", b"Length: 1000000000000")),
    ("10,001 records", 1, lambda _: _native(b"[" + b",".join([b"{}"] * 10_001) + b"]")),
    ("20,000 keys", 1, lambda _: _native(_event(properties={f"k{n}": 1 for n in range(20_000)}))),
    ("string of 2 MB", 1, lambda _: _native(_event_with(b'"' + b"a" * 2_000_000 + b'"'))),
    # F21: bombs
    ("gzip bomb", 1, lambda _: _native(_BOMB, "Content-Encoding: gzip")),
    ("gzip in gzip", 5, lambda _: _native(_DOUBLE_BOMB, "Content-Encoding: gzip")),
    ("zstd bomb", 1, lambda _: _native(_ZSTD_BOMB, "Content-Encoding: zstd")),
    ("zstd bomb that does not say so", 1, lambda _: _native(_SILENT_ZSTD_BOMB, "Content-Encoding: zstd")),
    ("truncated gzip", 10, lambda _: _native(gzip.compress(_EVENT)[:-9], "Content-Encoding: gzip")),
    ("trailing garbage", 10, lambda _: _native(gzip.compress(_EVENT) + b"garbage", "Content-Encoding: gzip")),
    ("wrong encoding", 10, lambda _: _native(_EVENT, "Content-Encoding: gzip")),
    ("Sensors bomb", 1, lambda _: _post("/sa", b"gzip=1&data=" + gzip.compress(_ZEROS[:9_000_000]))),
    # F22: nesting, numbers
    ("nesting", 10, lambda draw: _native(_event_with(_nested(draw.choice((33, 255, 1_025, 100_000)))))),
    ("numbers", 20, lambda draw: _native(_event_with(draw.choice(_NUMBERS)))),
    ("duplicate keys", 10, lambda _: _native(_event_with(b'1, "x": 2'))),
    ("BOM", 10, lambda _: _native(b"\xef\xbb\xbf" + _EVENT)),
    # F23: encodings and names
    ("encodings", 20, lambda draw: _native(_event_with(b'"' + draw.choice(_BYTES) + b'"'))),
    ("names", 20, lambda draw: _native(_event(event=draw.choice(_NAMES)))),
    # Of no shape at all
    ("noise", 20, lambda draw: _native(draw.randbytes(draw.randrange(5_000)))),
    ("no HTTP", 10, lambda draw: draw.randbytes(200) + b"\r\n\r\n"),
    ("unknown key", 10, lambda draw: _post(f"/v1/events?key={draw.getrandbits(64):x}", _EVENT)),
    ("form of noise", 20, lambda draw: _post("/sa?project=x", b"data_list=" + draw.randbytes(500))),
)


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def hostile_requests(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """The kind, and the bytes on the wire."""
    draw = random.Random(seed)
    weights = [weight for _, weight, _ in _KINDS]
    for _ in range(count):
        kind, _, write = draw.choices(_KINDS, weights)[0]
        yield kind, write(draw)


_SLOW: Final = (
    b"",
    b"POST /v1/events HTTP/1.1\r\nHo",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n[",
    b"POST /sa HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n",
)
"""What slow clients begin with; they go on with a byte now and then."""


# ---------------------------------------------------------------------------------------- attack


class Attack:
    """Sends hostile requests at a rate, and keeps slow clients connected."""

    def __init__(self, port: int, effort: Effort) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()  # by kind and status, "closed" or "silent"
        self._port = port
        self._effort = effort
        self._left = hostile_requests(effort.requests)
        self._sent = 0

    async def run(self, when_tenth: Callable[[], None]) -> None:
        """`when_tenth` is called when a tenth was sent."""
        slow = [asyncio.create_task(self._be_slow(number)) for number in range(self._effort.slow_clients)]
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*[self._send_some(began, when_tenth) for _ in range(_AT_ONCE)])
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    async def _send_some(self, began: float, when_tenth: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for kind, request in self._left:
            self._sent += 1
            if self._sent == self._effort.requests // 10:
                when_tenth()
            await asyncio.sleep(max(0.0, began + self._sent / self._effort.per_second - loop.time()))
            try:
                outcome = await asyncio.wait_for(self._send(request), _PATIENCE)
            except TimeoutError:
                outcome = "silent"
            self.outcomes[kind, outcome] += 1

    async def _send(self, request: bytes) -> str:
        """The status, or "closed"."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return "closed"
        try:
            writer.write(request)
            head = await reader.readline()
            return head.split(b" ")[1].decode() if head.startswith(b"HTTP/") else "closed"
        except OSError:
            return "closed"
        finally:
            writer.transport.abort()

    async def _be_slow(self, number: int) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(_SLOW[number % len(_SLOW)])
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(b"x" if number % len(_SLOW) else b"")
                    await writer.drain()
            except OSError:
                await asyncio.sleep(1)


# --------------------------------------------------------------------------------------- measure


def measure(home: Path, effort: Effort) -> Section:
    """Good traffic alone, then beside the attack."""
    with running_installation(home) as running, open_sender() as sender:
        wait_until_ready(running)
        calm = sender.send(_good(running, effort.calm_seconds))
        control = _control(running, sender, effort)
        attack = Attack(running.collect_port, effort)
        memory: list[int] = []
        beside = _beside(running, sender, attack, effort, lambda: memory.append(_memory(running)))
        memory.append(_memory(running))
    statuses: Counter[str] = Counter()
    for (_, outcome), count in attack.outcomes.items():
        statuses[outcome] += count
    errors = sum(count for status, count in statuses.items() if status.startswith("5") and status != "503")
    return Section(
        "Hostile requests beside good traffic",
        [
            Row("hostile requests answered", f"{sum(statuses.values()) - statuses['silent']:,}"),
            Row(
                "answered by an error of the server's own", f"{errors:,}", "0", float(errors), Target("<=", 0)
            ),
            Row(
                "workers' memory at the end / when a tenth was through",
                f"{memory[-1] >> 20} MiB",
                f"{memory[0] >> 20} MiB",
                memory[-1] / memory[0],
                Target("<=", 1.2, "x"),
            ),
            Row(
                "good traffic's p99 / before the attack",
                f"{beside:.1f} ms",
                f"{calm.p99_ms:.1f} ms",
                beside / calm.p99_ms,
                Target("<=", 2, "x"),
            ),
            Row(
                "the same, the attack upon a bare server",
                f"{control:.1f} ms",
                f"{calm.p99_ms:.1f} ms",
                control / calm.p99_ms,
            ),
        ],
        [
            f"{effort.requests:,} hostile requests of {len(_KINDS)} kinds at {effort.per_second:g} a second",
            f"{effort.slow_clients} slow clients; {_GOOD_A_SECOND} good requests a second, all answered 200",
            "outcomes: " + ", ".join(f"{count:,} {status}" for status, count in sorted(statuses.items())),
        ],
    )


def _beside(
    running: RunningSystem, sender: Sender, attack: Attack, effort: Effort, when_tenth: Callable[[], None]
) -> float:
    """The p99 of good traffic during the attack, in ms."""
    sender.start(_good(running, effort.requests / effort.per_second))
    asyncio.run(attack.run(when_tenth))
    return sender.wait().p99_ms


def _control(running: RunningSystem, sender: Sender, effort: Effort) -> float:
    """The p99 of good traffic while the attack goes elsewhere, in ms."""
    effort = replace(effort, requests=min(effort.requests, _CONTROL_REQUESTS))
    with start_server(serve_bare) as bare:
        return _beside(running, sender, Attack(bare.port, effort), effort, lambda: None)


def _good(running: RunningSystem, seconds: float) -> Load:
    events = [json.dumps([event]).encode() for event in draw_events(500, 7)]
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITE_KEY}\r\nContent-Length: "
    requests = [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in events]
    return Load(running.collect_port, requests, seconds, per_second=_GOOD_A_SECOND, connections=4)


def _memory(running: RunningSystem) -> int:
    """Resident bytes of the collector's workers."""
    children = psutil.Process(running.process.pid).children(recursive=True)
    return sum(child.memory_info().rss for child in children if "collect-worker" in child.cmdline())
