"""How soon an accepted event is in an answer, and a fresh installation gives its first: as a user sees it.

`footfall up` runs in an empty home, on its own ports. Load comes at a moderate, fixed rate; beside it one
event at a time is posted as a probe, and a query that counts probes is asked again and again. The time from
the 200 for a probe to the first answer that has it is the probe's delay: asking takes its share.

Then the same with sign-ups as probes: each makes one person of two, and the answer counts users.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx

from bench.installation import SECRET_KEY, WRITE_KEY, running_installation
from bench.load import Load, open_sender
from bench.records import build_requests
from bench.results import Row, Section, Target
from bench.timing import readable
from footfall.cli.demo_system import RunningSystem

_EVENTS_A_REQUEST = 20
_FRESH = Target("<=", 2, " s")
_FIRST = Target("<=", 5, " s")
_PROBE = "bench_probe"
_TO_BIND = "bench_to_bind"


@dataclass(frozen=True, slots=True)
class Effort:
    """The load and its probes."""

    seconds: float = 30.0
    requests_per_second: int = 100
    probe_seconds: float = 0.1
    poll_seconds: float = 0.05

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(seconds=1.0, requests_per_second=10) if quick else cls()


def measure(home: Path, effort: Effort) -> Section:
    with running_installation(home) as running:
        first_answer, first_event = asyncio.run(_wait_for_first_answers(running))
        delays, rate = _probe_under_load(running, effort, _Events(running))
        followed, _ = _probe_under_load(running, effort, _SignUps(running, effort), seed=2)
    rows = [
        *_rows("accepted to queryable", delays),
        *_rows("binding accepted to followed by queries", followed),
        Row("first start to first answered query", readable(first_answer), "", first_answer, _FIRST),
        Row("first start to first event in an answer", readable(first_event)),
    ]
    note = (
        f"{len(delays)} probes, then {len(followed)} bindings, beside {rate:,.0f} events/s; "
        f"asked every {effort.poll_seconds * 1000:.0f} ms"
    )
    return Section("Freshness", rows, [note])


def _rows(what: str, delays: list[float]) -> list[Row]:
    delays = sorted(delays)
    p99 = delays[min(len(delays) - 1, math.ceil(len(delays) * 0.99) - 1)]
    return [
        Row(f"{what}, p99", readable(p99), "", p99, _FRESH),
        Row(f"{what}, median", readable(delays[len(delays) // 2])),
    ]


class _Probes(Protocol):
    """What is posted one at a time, and counted in answers; numbers begin at 1."""

    async def prepare(self) -> None: ...

    async def post(self, client: httpx.AsyncClient, number: int) -> None: ...

    async def count(self, client: httpx.AsyncClient) -> int: ...


@dataclass(frozen=True, slots=True)
class _Events:
    """Events of a name of their own; number 0 is sent before any load."""

    running: RunningSystem

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def post(self, client: httpx.AsyncClient, number: int) -> None:
        await _post(client, self.running, [_event(_PROBE, f"probe-{number}")])

    async def count(self, client: httpx.AsyncClient) -> int:
        return await _count(client, self.running, _PROBE, "events") - 1


@dataclass(frozen=True, slots=True)
class _SignUps:
    """Sign-ups of devices whose events, and their logins', are there before."""

    running: RunningSystem
    effort: Effort

    @property
    def _most(self) -> int:
        return round(self.effort.seconds / self.effort.probe_seconds) + 1

    async def prepare(self) -> None:
        ids = [f"{kind}-{number}" for number in range(1, self._most + 1) for kind in ("device", "login")]
        async with httpx.AsyncClient() as client:
            for start in range(0, len(ids), 100):
                events = [_event(_TO_BIND, each) for each in ids[start : start + 100]]
                await _post(client, self.running, events)

            async def sees_all() -> None:
                if await self.count(client) != 0:
                    raise LookupError

            await _until(sees_all, 60.0)

    async def post(self, client: httpx.AsyncClient, number: int) -> None:
        sign_up = _event("$SignUp", f"login-{number}")
        await _post(
            client,
            self.running,
            [sign_up | {"type": "track_signup", "original_id": f"device-{number}"}],
        )

    async def count(self, client: httpx.AsyncClient) -> int:
        return 2 * self._most - await _count(client, self.running, _TO_BIND, "users")


async def _wait_for_first_answers(running: RunningSystem, patience: float = 60.0) -> tuple[float, float]:
    """Seconds from the start to the first answer, and to the first that has the first event."""
    async with httpx.AsyncClient() as client:
        probes = _Events(running)
        await _until(lambda: probes.count(client), patience)
        first_answer = running.age_seconds
        await _until(lambda: probes.post(client, 0), patience)

        async def sees_event() -> None:
            if await probes.count(client) < 0:
                raise LookupError

        await _until(sees_event, patience)
        return first_answer, running.age_seconds


def _probe_under_load(
    running: RunningSystem, effort: Effort, probes: _Probes, seed: int = 1
) -> tuple[list[float], float]:
    """The delay of every probe in seconds, and the events a second beside them."""
    count = round(effort.seconds * effort.requests_per_second)
    requests = build_requests(count, _EVENTS_A_REQUEST, WRITE_KEY, seed)
    asyncio.run(probes.prepare())
    with open_sender() as sender:
        rate = float(effort.requests_per_second)
        sender.start(
            Load(
                running.collect_port,
                requests,
                effort.seconds + 5,
                most=count,
                per_second=rate,
                connections=16,
            )
        )
        delays = asyncio.run(_probe(effort, probes))
        sent = sender.wait()
    return delays, sent.answered * _EVENTS_A_REQUEST / sent.seconds


async def _probe(effort: Effort, probes: _Probes) -> list[float]:
    """Posts probes in order while another task counts those that are there; the log keeps their order."""
    posted: list[float] = []
    delays: list[float] = []
    async with httpx.AsyncClient() as poster, httpx.AsyncClient() as asker:
        until = time.perf_counter() + effort.seconds

        async def post() -> None:
            while not posted or time.perf_counter() < until:
                await probes.post(poster, len(posted) + 1)
                posted.append(time.perf_counter())
                await asyncio.sleep(effort.probe_seconds)

        async def ask() -> None:
            give_up_at = until + 60
            while not posting.done() or len(delays) < len(posted):
                there = await probes.count(asker)
                now = time.perf_counter()
                delays.extend(max(0.0, now - moment) for moment in posted[len(delays) : there])
                if now > give_up_at:
                    raise TimeoutError(f"{len(posted) - len(delays)} accepted probes are in no answer")
                await asyncio.sleep(effort.poll_seconds)

        posting = asyncio.create_task(post())
        await ask()
        await posting
    return delays


def _event(name: str, distinct_id: str) -> dict[str, Any]:
    return {"event": name, "distinct_id": distinct_id, "time": round(time.time() * 1000)}


async def _post(client: httpx.AsyncClient, running: RunningSystem, events: list[dict[str, Any]]) -> None:
    answer = await client.post(
        f"{running.collect_url}/v1/events",
        json=events,
        headers={"Authorization": f"Bearer {WRITE_KEY}"},
    )
    answer.raise_for_status()
    if answer.json()["accepted"] != len(events):
        raise ValueError(f"a probe was refused: {answer.text}")


async def _count(
    client: httpx.AsyncClient, running: RunningSystem, event: str, measure: Literal["events", "users"]
) -> int:
    spec = {
        "series": [{"event": event, "measure": measure}],
        "range": {"last": {"value": 2, "unit": "day"}},
        "interval": "total",
    }
    answer = await client.post(
        f"{running.query_url}/api/v1/query/trends",
        json=spec,
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
    )
    answer.raise_for_status()
    return int(answer.json()["result"]["series"][0]["total"])


async def _until(attempt: Callable[[], Awaitable[object]], patience: float) -> None:
    """Tries until it succeeds; what went wrong last, when patience ends."""
    give_up_at = time.perf_counter() + patience
    while True:
        try:
            await attempt()
        except (httpx.HTTPError, LookupError) as error:
            if time.perf_counter() > give_up_at or (
                isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
            ):
                raise
            await asyncio.sleep(0.02)
        else:
            return
