"""Sixteen clients ask mixed queries while events arrive at half the rate that can be sustained.

First events are sent as fast as they are taken, and the time until all of them are in the answers gives the
rate that can be sustained. Then events come at half of it, each with the time at which it is sent, and every
client asks one query after the other: trends, funnels, retention and paths over the events from the start up
to a moment that an earlier answer's `data_until` has passed. What such an answer says may never change: when
all is quiet, each query is asked once more, and must get the same answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.installation import SECRET_KEY, WRITE_KEY, running_installation
from bench.load import Load, Sent, open_sender
from bench.records import build_request, draw_events
from bench.results import Row, Section, Target
from bench.timing import readable
from footfall.cli.demo_system import RunningSystem, wait_until_ready

_EVENTS_A_REQUEST = 20
_MARGIN_MS = 3_000  # an event is accepted so soon after its time: the load keeps to its schedule
_HOUR_MS = 3_600_000
_PAST_MS = 3 * _HOUR_MS  # the first events are of an hour that long ago
_NONE_DIFFERS = Target("<=", 0)
_FRESH = Target("<=", 2, " s")
_HEADERS = {"Authorization": f"Bearer {SECRET_KEY}"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How long, and how many ask."""

    seconds: float = 30.0
    first_requests: int = 3_000
    clients: int = 16

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(seconds=8.0, first_requests=20) if quick else cls()


@dataclass(slots=True)
class Seen:
    """What the clients saw: times in seconds."""

    took: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # the result by the query, as JSON
    refused: int = 0
    until_ms: int = 0  # up to which all that was accepted is in the answers
    memory_bytes: int = 0


def measure(home: Path, effort: Effort) -> Section:
    with running_installation(home) as running:
        wait_until_ready(running)
        began_ms = round(time.time() * 1000) - _PAST_MS
        rate = asyncio.run(_sustainable_rate(running, effort, began_ms))
        memory_before = _memory_bytes(running)
        seen, sent = _ask_under_load(running, effort, began_ms, rate / 2)
        differing = asyncio.run(_count_differing(running, seen))
    return _section(effort, rate, memory_before, seen, sent, differing)


def _section(
    effort: Effort, rate: float, memory_before: int, seen: Seen, sent: Sent, differing: int
) -> Section:
    behind = _percentile(seen.behind, 99)
    differ = f"answers that differ when all is quiet, of {len(seen.answers):,}"
    most, before = (f"{memory >> 20:,} MiB" for memory in (seen.memory_bytes, memory_before))
    rows = [
        Row(differ, f"{differing}", "", differing, _NONE_DIFFERS),
        Row("accepted to queryable, p99", readable(behind), "", behind, _FRESH),
        Row("answer, median", readable(_percentile(seen.took, 50))),
        Row("answer, p99", readable(_percentile(seen.took, 99))),
        Row("answers a second", f"{len(seen.took) / effort.seconds:,.1f}"),
        Row("memory of all processes, at most; before", most, before),
    ]
    arrived = sent.answered * _EVENTS_A_REQUEST / sent.seconds
    notes = [
        f"{effort.clients} clients beside {arrived:,.0f} events/s; alone, {rate:,.0f} events/s are sustained",
        f"{seen.refused} queries were told to come again",
    ]
    return Section("Concurrency", rows, notes)


def _requests(count: int, per_second: float, start_ms: int, seed: int) -> list[bytes]:
    """Each event has the time at which it is sent, if the load keeps to its schedule."""
    events = draw_events(count * _EVENTS_A_REQUEST, seed)

    def at(place: int) -> list[dict[str, Any]]:
        sent_at = start_ms + round(place / per_second * 1000)
        taken = list(itertools.islice(events, _EVENTS_A_REQUEST))
        # Without the time of sending, by which a clock that is wrong would be corrected.
        return [{**event, "time": sent_at} for event in taken if event.pop("_flush_time")]

    return [build_request(at(place), WRITE_KEY) for place in range(count)]


async def _sustainable_rate(running: RunningSystem, effort: Effort, began_ms: int) -> float:
    """Events a second from the first to the moment when all of them are in the answers."""
    count = effort.first_requests
    requests = _requests(count, count * 1000 / _HOUR_MS, began_ms, seed=1)
    with open_sender() as sender:
        started = time.perf_counter()
        sender.start(Load(running.collect_port, requests, seconds=300, most=count, connections=16))
        await asyncio.to_thread(sender.wait)
    await _settle(running, count * _EVENTS_A_REQUEST)
    return count * _EVENTS_A_REQUEST / (time.perf_counter() - started)


async def _settle(running: RunningSystem, at_least: int, patience: float = 120.0) -> None:
    """Returns when so many events are stored and none waits."""
    give_up_at = time.perf_counter() + patience
    while time.perf_counter() < give_up_at:
        total = await asyncio.to_thread(running.ledger)
        if total["queued"] == 0 and total["stored"] >= at_least:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("what was accepted is not in the answers yet")


def _ask_under_load(
    running: RunningSystem, effort: Effort, began_ms: int, events_per_second: float
) -> tuple[Seen, Sent]:
    per_second = max(1.0, events_per_second / _EVENTS_A_REQUEST)
    count = math.ceil(effort.seconds * per_second)
    seen = Seen()
    # Building takes a while: the times begin when the sending does.
    starts_ms = round(time.time() * 1000) + 1_000 + count * 2
    requests = _requests(count, per_second, starts_ms, seed=2)
    with open_sender() as sender:
        time.sleep(max(0.0, starts_ms / 1000 - time.time()))
        load = Load(
            running.collect_port,
            requests,
            effort.seconds + 5,
            most=count,
            per_second=per_second,
            connections=16,
        )
        sender.start(load)
        asyncio.run(_ask_all(running, effort, began_ms, seen))
        return seen, sender.wait()


async def _ask_all(running: RunningSystem, effort: Effort, began_ms: int, seen: Seen) -> None:
    until = time.perf_counter() + effort.seconds
    limits = httpx.Limits(max_connections=effort.clients + 2)
    async with httpx.AsyncClient(timeout=120, limits=limits, headers=_HEADERS) as client:
        watch = asyncio.create_task(_watch(client, running, seen))
        await asyncio.gather(
            *(_ask_on(client, running, began_ms, until, seen, n) for n in range(effort.clients))
        )
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _watch(client: httpx.AsyncClient, running: RunningSystem, seen: Seen) -> None:
    """How far behind the answers are, and how much memory there is in use: several times a second."""
    while True:
        answer = (await client.get(f"{running.query_url}/readyz")).raise_for_status().json()
        until = datetime.fromisoformat(answer["data_until"]).timestamp()
        seen.until_ms = max(seen.until_ms, round(until * 1000))
        seen.behind.append(max(0.0, time.time() - until))
        seen.memory_bytes = max(seen.memory_bytes, _memory_bytes(running))
        await asyncio.sleep(0.1)


async def _ask_on(
    client: httpx.AsyncClient, running: RunningSystem, began_ms: int, until: float, seen: Seen, number: int
) -> None:
    """One query after the other, each over what cannot change any more."""
    queries = itertools.islice(itertools.cycle(_make_queries(began_ms)), number, None)
    while time.perf_counter() < until:
        if seen.until_ms - _MARGIN_MS <= began_ms:
            await asyncio.sleep(0.1)
            continue
        analysis, body = next(queries)
        asked = {"range": {"from": _iso(began_ms), "to": _iso(seen.until_ms - _MARGIN_MS)}, **body}
        started = time.perf_counter()
        answer = await client.post(f"{running.query_url}/api/v1/query/{analysis}", json=asked)
        if answer.status_code in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            seen.refused += 1
            await asyncio.sleep(int(answer.headers["retry-after"]))
            continue
        answer.raise_for_status()
        seen.took.append(time.perf_counter() - started)
        seen.answers[json.dumps([analysis, asked])] = answer.json()["result"]


async def _count_differing(running: RunningSystem, seen: Seen) -> int:
    """How many answers are others now that nothing arrives any more."""
    await _settle(running, 1)
    differing = 0
    async with httpx.AsyncClient(timeout=120, headers=_HEADERS) as client:
        for asked, result in seen.answers.items():
            analysis, body = json.loads(asked)
            answer = await client.post(
                f"{running.query_url}/api/v1/query/{analysis}", json={**body, "refresh": True}
            )
            differing += answer.raise_for_status().json()["result"] != result
    return differing


def _memory_bytes(running: RunningSystem) -> int:
    """What Footfall's processes hold together."""
    parent = psutil.Process(running.process.pid)
    return sum(_resident(process) for process in (parent, *parent.children(recursive=True)))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]


def _iso(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _make_queries(began_ms: int) -> list[tuple[str, dict[str, Any]]]:
    """Analyses and bodies; a range of their own only where what arrives would change the answer."""
    bought = {"event": "purchase_fund", "where": [{"property": "amount", "op": "gte", "value": 100}]}
    hour = began_ms // _HOUR_MS * _HOUR_MS  # retention takes whole hours, and looks for returns after them
    first_hours = {"from": _iso(hour), "to": _iso(hour + 2 * _HOUR_MS)}
    back = {"start": {"event": "login"}, "return": {"event": None}, "interval": "hour", "periods": 1}
    return [
        ("trends", {"series": [{"event": "login", "measure": "users"}], "interval": "minute"}),
        ("funnel", {"steps": [{"event": "view_fund"}, {"event": "product_view"}, bought]}),
        ("trends", {"series": [{**bought, "measure": {"sum": "amount"}}], "breakdown": ["city"]}),
        ("retention", {**back, "range": first_hours}),
        ("funnel", {"steps": [{"event": "login"}, {"event": "transfer"}], "breakdown": ["channel"]}),
        ("paths", {"max_steps": 5}),
        ("trends", {"series": [{"event": None}], "interval": "total", "breakdown": ["event"]}),
        ("funnel", {"steps": [{"event": None}, bought], "order": "strict", "actor": "session"}),
    ]
