"""What an event costs between the log and the store.

A real collector fills a real log; then the product's Processor empties it into chDB in a process of its own,
whose CPU time (all threads, chDB's merges among them) is what is counted. The limit is what the same event
cost at the door, 20 events a request.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from prometheus_client import CollectorRegistry

from bench.installation import WRITE_KEY, make_installation
from bench.load import Load, open_sender
from bench.records import build_requests
from bench.results import Row, Section, Target
from bench.servers import serve_collector, start_server
from footfall.eventlog.opening import open_log
from footfall.events.keys import KeyedHash
from footfall.sealing import Sealer
from footfall.settings import Settings, read_installation_key
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Query, Store
from footfall.storage.topology import topology_of
from footfall.workspace import open_workspace
from processor.loop import Processor

EVENTS_A_REQUEST = 20
_TARGET = Target(">=", 0.4)


@dataclass(frozen=True, slots=True)
class Effort:
    """How many requests wait in the log."""

    requests: int = 10_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(requests=1_100) if quick else cls()


@dataclass(frozen=True, slots=True)
class Emptied:
    """What the processor did, but for its first block, in which everything is cold."""

    events: int
    cpu_seconds: float
    seconds: float
    by_step: dict[str, float]  # wall seconds


def measure(home: Path, effort: Effort, collector_events_per_cpu_second: float) -> Section:
    settings = make_installation(home)
    _fill_log(home, effort)
    emptied = _in_another_process(settings)
    per_cpu_second = emptied.events / emptied.cpu_seconds
    row = Row(
        "processor / collector, 20 events gzipped a request",
        f"{per_cpu_second:,.0f} events/cpu-s",
        f"{collector_events_per_cpu_second:,.0f} events/cpu-s",
        per_cpu_second / collector_events_per_cpu_second,
        _TARGET,
    )
    steps = sorted(emptied.by_step.items(), key=lambda step: -step[1])
    shown = ", ".join(f"{name} {seconds / emptied.events * 1e6:.1f}" for name, seconds in steps[:12])
    notes = [
        f"{emptied.events:,} events in {emptied.seconds:.1f} s of wall time",
        f"microseconds of wall time an event: {shown}",
    ]
    return Section("Processor", [row], notes)


def _fill_log(home: Path, effort: Effort) -> None:
    requests = build_requests(effort.requests, EVENTS_A_REQUEST, WRITE_KEY)
    with start_server(serve_collector, home) as server, open_sender() as sender:
        sender.send(Load(server.port, requests, seconds=300, most=len(requests)))


def _in_another_process(settings: Settings) -> Emptied:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_empty_log, args=(settings.home, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        emptied: Emptied = ours.recv()
    finally:
        process.join()
    return emptied


def _empty_log(home: Path, pipe: Any) -> None:
    settings = Settings(home=home)
    installation_key = read_installation_key(settings)
    registry = CollectorRegistry()
    with ExitStack() as stack:
        workspace = stack.enter_context(closing(open_workspace(settings.workspace_url)))
        log = stack.enter_context(closing(open_log(settings.log_url, max_bytes=settings.log_max_bytes)))
        opened = stack.enter_context(closing(open_store(settings.store_url, scratch=settings.scratch)))
        migrate(opened, topology_of(settings.store_url))
        store = _TimedStore(opened)
        keyed_hash, sealer = KeyedHash(installation_key), Sealer(installation_key)
        processor = Processor(log, store, keyed_hash, sealer, workspace.project, registry=registry)
        processor.recover()
        processor.step()
        events_before, spent_before = _count(opened), _spent(registry, store)
        started, cpu_started = time.perf_counter(), time.process_time()
        while processor.step():
            pass
        cpu_seconds, seconds = time.process_time() - cpu_started, time.perf_counter() - started
        spent = {name: took - spent_before.get(name, 0.0) for name, took in _spent(registry, store).items()}
        pipe.send(Emptied(_count(opened) - events_before, cpu_seconds, seconds, spent))


class _TimedStore:
    """A store that adds up how long its inserts take, by table."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds: dict[str, float] = {}

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        started = time.perf_counter()
        self._store.insert(table, rows, token)
        self.seconds[table] = self.seconds.get(table, 0.0) + time.perf_counter() - started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _spent(registry: CollectorRegistry, store: _TimedStore) -> dict[str, float]:
    """Wall seconds so far, by step of the pipeline and by insert."""
    spent = {f"insert into {table}": seconds for table, seconds in store.seconds.items()}
    for metric in registry.collect():
        if metric.name == "footfall_processor_step_seconds":
            spent |= {one.labels["step"]: one.value for one in metric.samples if one.name.endswith("_total")}
    return spent


def _count(store: Store) -> int:
    return int(store.rows(Query("SELECT count() FROM events")).rows[0][0])
