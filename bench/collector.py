"""What an acknowledged event costs at the door.

Unit: requests per CPU-second of the server process (user and system time of all its threads), so that a busy
machine and the load generator's own work do not count. Medians over interleaved rounds.
The collector checks, identifies and stores each request durably before it answers; both servers beside it
throw the request away.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.installation import WRITE_KEY, make_installation
from bench.load import Load, Sender, open_sender
from bench.records import build_requests
from bench.results import Row, Section, Target
from bench.servers import (
    Server,
    serve_body_model,
    serve_collector,
    serve_collector_without_privacy,
    serve_discard,
    start_server,
)

EVENTS_A_REQUEST = (1, 20)
_AGAINST_DISCARD = {1: Target(">=", 0.45), 20: Target(">=", 0.25)}  # privacy is on, as it always is
_AGAINST_BODY_MODEL = {1: Target(">=", 3, "x"), 20: Target(">=", 6, "x")}


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int = 5
    seconds: float = 1.5
    requests: int = 1_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(rounds=1, seconds=0.1, requests=50) if quick else cls()


@dataclass(slots=True)
class Cell:
    """Rounds of one server with one kind of request."""

    per_cpu_second: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    @property
    def requests_per_cpu_second(self) -> float:
        return statistics.median(self.per_cpu_second)


def measure(home: Path, effort: Effort) -> tuple[Section, float]:
    """The rows, and the collector's events per CPU-second at 20 events a request."""
    make_installation(home)
    bare = home / "without-privacy"
    make_installation(bare)
    with ExitStack() as stack:
        sender = stack.enter_context(open_sender())
        servers = {
            "discard": stack.enter_context(start_server(serve_discard)),
            "body model": stack.enter_context(start_server(serve_body_model)),
            "collector": stack.enter_context(start_server(serve_collector, home)),
            "no privacy": stack.enter_context(start_server(serve_collector_without_privacy, bare)),
        }
        cells = {(name, each): Cell() for name in servers for each in EVENTS_A_REQUEST}
        for counted in range(effort.rounds + 1):
            # Afresh each round: a request that was flushed a minute ago would be one of a wrong clock.
            requests = {
                each: build_requests(effort.requests, each, WRITE_KEY, counted) for each in EVENTS_A_REQUEST
            }
            for (name, each), cell in cells.items():
                into = cell if counted else Cell()  # the first round warms up
                _measure_round(into, servers[name], sender, requests[each], effort.seconds)
    rows = [row for each in EVENTS_A_REQUEST for row in _rows(cells, each)]
    events_per_cpu_second = 20 * cells["collector", 20].requests_per_cpu_second
    rate = fsync_rate(home, effort.seconds)
    rows.append(Row("fdatasync of 4 KiB on the log's disk", f"{rate:,.0f}/s"))
    return Section("Collector, durable acknowledgement", rows, _notes(cells)), events_per_cpu_second


def fsync_rate(directory: Path, seconds: float) -> float:
    """How often a second the disk confirms a small append."""
    path = directory / "fsync-rate"
    block = os.urandom(4096)
    count, started = 0, time.perf_counter()
    with path.open("wb", buffering=0) as file:
        while time.perf_counter() - started < seconds:
            file.write(block)
            _sync(file.fileno())
            count += 1
    path.unlink()
    return count / (time.perf_counter() - started)


_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def _measure_round(
    cell: Cell, server: Server, sender: Sender, requests: Sequence[bytes], seconds: float
) -> None:
    before = server.cpu_seconds()
    sent = sender.send(Load(server.port, requests, seconds))
    used = max(server.cpu_seconds() - before, 0.01)  # psutil's own resolution
    cell.per_cpu_second.append(sent.answered / used)
    cell.per_second.append(sent.answered / sent.seconds)
    cell.p99_ms.append(sent.p99_ms)


def _rows(cells: dict[tuple[str, int], Cell], each: int) -> list[Row]:
    collector = cells["collector", each].requests_per_cpu_second
    label = "1 event" if each == 1 else f"{each} events gzipped"
    rows = []
    for other, target in (("discard", _AGAINST_DISCARD), ("body model", _AGAINST_BODY_MODEL)):
        limit = cells[other, each].requests_per_cpu_second
        rows.append(
            Row(
                f"collector / {other}, {label} a request",
                f"{collector:,.0f} req/cpu-s",
                f"{limit:,.0f} req/cpu-s",
                collector / limit,
                target[each],
            )
        )
    bare = cells["no privacy", each].requests_per_cpu_second
    rows.append(
        Row(
            f"collector / the same without privacy, {label} a request",
            f"{collector:,.0f} req/cpu-s",
            f"{bare:,.0f} req/cpu-s",
            collector / bare,
        )
    )
    return rows


def _notes(cells: dict[tuple[str, int], Cell]) -> list[str]:
    notes = [
        "discard: an ASGI app that reads the body and answers {}; body model: FastAPI with a pydantic body"
    ]
    for each in EVENTS_A_REQUEST:
        cell = cells["collector", each]
        rate, p99 = statistics.median(cell.per_second), statistics.median(cell.p99_ms)
        notes.append(
            f"collector saturated by 64 connections, {each} a request, load generator beside it: "
            f"{rate * each:,.0f} events/s, p99 {p99:.0f} ms"
        )
    return notes
