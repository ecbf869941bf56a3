"""Room on the disk: the home's budget, the reserve, and what clients are told when there is none left."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client import Gauge

from collector.options import CollectorOptions
from footfall.cli.disk import DiskGate, Room, look, measure, refusal
from footfall.cli.upkeep_thread import UpkeepThread
from footfall.settings import Settings
from footfall.storage.store import StoreUnavailable
from tests.collector_worker import Worker, event, wrapped
from tests.system import System

GIB = 1 << 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "home" / "log").mkdir(parents=True)
    return Settings(home=tmp_path / "home", disk_budget_bytes=1 << 20)


@pytest.mark.parametrize(
    ("room", "budget", "words"),
    [
        (Room(500 * GIB, 1000 * GIB, None), 0, None),
        (Room(500 * GIB, 1000 * GIB, 400 * GIB), 0, None),
        (Room(500 * GIB, 1000 * GIB, 400 * GIB), 400 * GIB, None),
        (Room(500 * GIB, 1000 * GIB, None), 1 * GIB, None),
        (Room(500 * GIB, 1000 * GIB, 401 * GIB), 400 * GIB, "401.0 GiB, and FOOTFALL_DISK_BUDGET_BYTES"),
        (Room(1 * GIB - 1, 1000 * GIB, None), 0, "the disk has 1.0 GiB left"),
        (Room(GIB // 2, 10 * GIB, None), 0, None),
        (Room(GIB // 2 - 1, 10 * GIB, None), 0, "the disk has 0.5 GiB left"),
        (Room(0, 8 << 20, None), 0, "the disk has 0 MiB left"),
    ],
)
def test_events_are_taken_within_the_budget_and_above_the_reserve(
    room: Room, budget: int, words: str | None
) -> None:
    why = refusal(room, budget)
    assert why is None if words is None else words in (why or "")


def test_the_home_is_measured_for_the_collectors(settings: Settings) -> None:
    gate = DiskGate(settings)
    assert look(settings).taken is None
    assert gate() is None, "nobody has measured yet"
    (settings.home / "log" / "partition-0000.db").write_bytes(os.urandom(2 << 20))
    (settings.home / "elsewhere").symlink_to("/usr")
    taken = measure(settings)
    assert 2 << 20 <= taken < 3 << 20
    assert look(settings).taken == taken
    assert gate() is None, "it looks once a second"
    assert "FOOTFALL_DISK_BUDGET_BYTES allows 1 MiB" in (DiskGate(settings)() or "")


def test_a_figure_that_cannot_be_read_is_none(settings: Settings) -> None:
    measure(settings)
    (settings.home / "metrics" / "disk.json").write_text("{")
    assert look(settings).taken is None


def test_a_disk_that_cannot_be_looked_at_takes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError("it hangs")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    assert "it hangs" in (DiskGate(settings)() or "")


async def test_a_full_disk_answers_503_with_the_reason_stores_nothing_and_heals() -> None:
    worker = Worker(CollectorOptions(hold_seconds=0))
    worker.full = "the disk has 3 MiB left"
    for answer in (
        await worker.track(event()),
        await worker.post("/sa?project=open", b"data_list=" + wrapped([event()])),
    ):
        assert answer.status_code == 503
        assert "the disk has 3 MiB left" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    ready = await worker.get("/readyz")
    assert (ready.status_code, ready.json()["reason"]) == (503, "the disk has 3 MiB left")
    assert worker.stored() == []
    assert 'log_refusals_total{worker="0"} 2.0' in (await worker.get("/metrics")).text
    worker.full = None
    assert (await worker.track(event())).status_code == 200
    assert (await worker.get("/readyz")).status_code == 200


async def test_sensors_requests_wait_for_room_since_their_clients_never_send_again() -> None:
    worker = Worker(CollectorOptions(hold_seconds=60))
    worker.full = "a merge takes the rest of the disk for a moment"
    body = b"data_list=" + wrapped([event()])
    waiting = asyncio.create_task(worker.post("/sa?project=open", body))
    assert (await worker.track(event())).status_code == 503, "our SDKs keep their data"
    assert not waiting.done()
    worker.full = None
    assert (await waiting).status_code == 200
    assert len(worker.stored()) == 1


async def test_more_requests_than_may_wait_are_answered_at_once() -> None:
    worker = Worker(CollectorOptions(hold_seconds=60, held_at_once=2))
    worker.full = "full"
    body = b"data_list=" + wrapped([event()])
    waiting = [asyncio.create_task(worker.post("/sa?project=open", body)) for _ in range(3)]
    (refused,), held = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (refused.result().status_code, len(held)) == (503, 2)
    worker.full = None
    assert [(await each).status_code for each in held] == [200, 200]


def test_upkeep_goes_on_when_a_job_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footfall.cli.upkeep_thread._MEASURE_SECONDS", 0.001)
    monkeypatch.setattr("footfall.cli.upkeep_thread._FIRST_EXPIRY_SECONDS", 0.0)
    monkeypatch.setattr("footfall.cli.upkeep_thread._EXPIRY_SECONDS", 0.0)
    measured, expired = [], threading.Event()

    def measure_badly() -> None:
        measured.append(1)
        raise OSError("no")

    def expire(stop: threading.Event) -> None:
        if len(measured) > 3:
            expired.set()
        raise RuntimeError("no")

    thread = UpkeepThread(measure_badly, expire)
    thread.start()
    assert expired.wait(60)
    thread.stop()
    thread.stop()


async def test_a_processor_whose_disk_is_full_waits_says_so_and_loses_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, full = system.store.insert, threading.Event()
    full.set()

    def insert_if_there_is_room(table: str, rows: pa.Table, token: str) -> None:
        if full.is_set() and table == "events":
            raise StoreUnavailable("Code: 243. Cannot reserve 1.00 MiB, not enough space")
        insert(table, rows, token)

    monkeypatch.setattr(system.store, "insert", insert_if_there_is_room)
    await system.send(event(), event(distinct_id="u2"))
    failing, stop = system.processor._metrics.failing_seconds, threading.Event()
    thread = threading.Thread(target=system.processor.run, args=(stop,))
    thread.start()
    try:
        await until(lambda: gauge(failing) > 0)
        assert (await system.ledger())["queued"] == 2
        full.clear()
        await until(lambda: gauge(failing) == 0)
        await asyncio.to_thread(system.processor.wait_idle)
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)
    assert [tuple(row) for row in system.rows("SELECT count() FROM events")] == [(2,)]
    assert (await system.ledger())["queued"] == 0


def gauge(metric: Gauge) -> float:
    (family,) = metric.collect()
    return family.samples[0].value


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)
