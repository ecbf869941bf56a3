"""How long the Python SDK's `track` keeps its caller, while its writer and sender are busy.

A real collector in another process takes what is sent. At full speed all three threads of the SDK compete for
one interpreter; 1,000 calls a second are what a busy server does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from footfall_sdk import Client

from bench.installation import WRITE_KEY, make_installation
from bench.results import Row, Section, Target
from bench.servers import serve_collector, start_server

_PROPERTIES = {"channel": "app_store", "$app_version": "8.2.0", "fund_id": "F100", "amount": 1500.5}
_P99 = Target("<=", 1, " ms")
_FLUSH_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How many calls at full speed; a twentieth of them at 1,000 a second."""

    calls: int = 100_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(calls=2_000) if quick else cls()


def measure(home: Path, effort: Effort) -> Section:
    make_installation(home)
    rows, notes = [], []
    with start_server(serve_collector, home) as server:
        url = f"http://127.0.0.1:{server.port}"
        for name, calls, pause in (
            ("at full speed", effort.calls, 0.0),
            ("at 1,000 a second", effort.calls // 20, 0.001),
        ):
            with Client(url, WRITE_KEY, queue_directory=home / "sdk-queue") as client:
                took = _call(client, calls, pause)
                flushed, counters = client.flush(_FLUSH_SECONDS), client.counters()
            p99 = took[calls * 99 // 100]
            rows.append(Row(f"track {name}, p99", _readable(p99), "", p99 / 1e6, _P99))
            notes.append(
                f"{name}: {calls:,} calls, median {_readable(took[calls // 2])}, "
                f"longest {_readable(took[-1])}, "
                f"{'all' if flushed else 'not all'} delivered, dropped: {counters.dropped or 'none'}"
            )
    return Section("Python SDK", rows, notes)


def _call(client: Client, calls: int, pause_seconds: float) -> list[int]:
    """Nanoseconds of each call, sorted."""
    took = []
    for number in range(calls):
        began = time.perf_counter_ns()
        client.track("purchase_fund", _PROPERTIES, distinct_id=f"cust-{number % 1000}")
        took.append(time.perf_counter_ns() - began)
        if pause_seconds:
            time.sleep(pause_seconds)
    return sorted(took)


def _readable(nanoseconds: int) -> str:
    return f"{nanoseconds / 1000:,.0f} us"
