"""Heavy requests are worked on beside the event loop: others are answered meanwhile, nothing else changes.

No test waits for time to pass: heavy work is held by a lock that the test holds.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from collector import native, sensors
from collector.aside import LIGHT_BRACES, LIGHT_RECORDS, Aside
from collector.doors import Door
from collector.envelopes import read_fields
from collector.options import CollectorOptions
from footfall.envelopes.keys import Algorithm, KeyRing, generate, hold
from footfall.events import batch
from footfall.events.limits import BATCH_RECORDS, FORM_FIELDS, BodyLimits
from footfall.events.names import KnownNames
from footfall.events.verdicts import NATIVE, Judge
from tests.collector_worker import NOW, Worker, converse, event, read_answer
from tests.envelopes import Device, form

RSA = generate(Algorithm.RSA)
MANY_RECORDS = json.dumps([event(event_id=f"e{number}") for number in range(LIGHT_BRACES)]).encode()
MANY_KEYS = json.dumps(event(properties={f"key_{number}": 1 for number in range(20_000)})).encode()
LONG_STRING = json.dumps(event(properties={"text": "a" * 2_000_000})).encode()
BOMB = gzip.compress(bytes(20_000_000))
HEAVY: dict[str, tuple[bytes, dict[str, str], int]] = {
    "many records": (MANY_RECORDS, {}, 200),
    "many keys": (MANY_KEYS, {}, 200),
    "a long string": (LONG_STRING, {}, 200),
    "one that unpacks to much": (gzip.compress(MANY_RECORDS), {"Content-Encoding": "gzip"}, 200),
    "a bomb": (BOMB, {"Content-Encoding": "gzip"}, 413),
    "too many records": (b"[" + b",".join([b"{}"] * (BATCH_RECORDS + 1)) + b"]", {}, 413),
    "no JSON, at length": (b"[" + b"1," * 1_000 + b"1]", {}, 200),
}


class Held:
    """Heavy work waits until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.let_go.wait(60)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 60)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Whatever is read off the main thread of the test's event loop is held."""
    held = Held()

    def read(*args: Any, patient: bool, **kwargs: Any) -> Any:
        if patient:
            held.wait()
        return batch.read_batch(*args, patient=patient, **kwargs)

    monkeypatch.setattr(native, "read_batch", read)
    monkeypatch.setattr(sensors, "read_batch", read)
    yield held
    held.let_go.set()


def of_form(body: bytes) -> bytes:
    return b"data_list=" + base64.b64encode(body).replace(b"+", b"%2B")


def ids_of(worker: Worker) -> list[str]:
    return [record.event_id or "" for stored in worker.stored() for record in stored.records() if record]


@pytest.mark.parametrize("kind", [kind for kind in HEAVY if kind != "a bomb"])
async def test_others_are_answered_while_a_heavy_request_is_in_work(kind: str, held: Held) -> None:
    body, headers, status = HEAVY[kind]
    worker = Worker()
    heavy = asyncio.ensure_future(worker.track(body, headers=headers))
    await held.has_begun()
    assert (await worker.track(event(event_id="light"))).status_code == 200
    assert (await worker.sa([event(event_id="light too")])).status_code == 200
    assert ids_of(worker) == ["light", "light too"]
    assert not heavy.done()
    held.let_go.set()
    assert (await heavy).status_code == status


async def test_the_sensors_door_shares_the_thread(held: Held) -> None:
    worker = Worker()
    heavy = asyncio.ensure_future(worker.post("/sa?project=open", of_form(gzip.compress(MANY_RECORDS))))
    await held.has_begun()
    assert (await worker.track(event(event_id="light"))).status_code == 200
    behind = asyncio.ensure_future(worker.track(MANY_KEYS))
    assert (await worker.sa([event(event_id="light too")])).status_code == 200
    held.let_go.set()
    assert (await heavy).status_code == 200
    assert (await behind).status_code == 200
    assert ids_of(worker) == ["light", "light too", *[f"e{number}" for number in range(LIGHT_BRACES)]]
    assert worker.stored()[-1].reasons == ["too_many_properties"]
    moments = [stored.header.received_at for stored in worker.stored()]
    assert moments == sorted(moments)


async def test_the_moment_of_arrival_is_that_of_the_request_and_never_goes_back_in_the_log(
    held: Held,
) -> None:
    worker = Worker()
    heavy = asyncio.ensure_future(worker.track(json.dumps(json.loads(MANY_RECORDS)).encode()))
    await held.has_begun()
    worker.now = NOW + 5_000
    assert (await worker.track(event(event_id="light"))).status_code == 200
    held.let_go.set()
    assert (await heavy).json()["accepted"] == LIGHT_BRACES
    assert [stored.header.received_at for stored in worker.stored()] == [NOW + 5_000, NOW + 5_000]


@pytest.mark.parametrize("kind", HEAVY)
async def test_verdicts_are_the_same_aside(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, headers, status = HEAVY[kind]
    answers, logs = [], []
    for light in (False, True):
        with monkeypatch.context() as changed:
            if light:
                make_all_light(changed)
            worker = Worker()
            answer = await worker.track(body, headers=headers)
            assert answer.status_code == status
            answers.append(answer.content)
            logs.append([(each.header, each.events) for each in worker.stored()])
    assert answers[0] == answers[1]
    assert logs[0] == logs[1]


def make_all_light(changed: pytest.MonkeyPatch) -> None:
    """As if there were no thread: everything on the loop's."""
    make = Door.__init__

    def made(self: Door, *args: Any) -> None:
        make(self, *args)
        self._light = self._light._replace(patient=True)

    changed.setattr(Door, "__init__", made)


@pytest.fixture
def nothing_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise AssertionError("this is not heavy")

    monkeypatch.setattr(Aside, "run", fail)


@pytest.mark.parametrize("count", [1, 20, 100])
@pytest.mark.usefixtures("nothing_aside")
async def test_ordinary_batches_stay_on_the_loops_thread(count: int) -> None:
    device = Device(RSA, pkv=1)
    worker = Worker(ring_of=lambda _: KeyRing([("1", hold(RSA.algorithm, "1", RSA.private))]))
    properties = {f"property_{number}": "some value or other" for number in range(30)}
    lib = {"$lib": "python", "$lib_version": "1.11"}
    good = [event(properties=properties, lib=lib, event_id=str(number)) for number in range(count)]
    for events in (good, [*good[1:], event(time="never")], [*good[1:], event(unheard_of=1)]):
        text = json.dumps(events).encode()
        for body, headers in ((text, {}), (gzip.compress(text), {"Content-Encoding": "gzip"})):
            assert (await worker.track(body, headers=headers)).status_code == 200
            assert (await worker.post("/sa?project=open", of_form(body))).status_code == 200
    for sealed in (device.batch(good, NOW), [device.events(each) for each in good]):
        assert (await worker.post("/sa?project=open", form(sealed))).status_code == 200
    assert len(worker.stored()) == 14


async def test_encrypted_payloads_are_heavy_by_what_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    aside: list[str] = []
    run = Aside.run

    async def listened(self: Aside, work: Any, *args: Any, **kwargs: Any) -> Any:
        aside.append(work.__name__)
        return await run(self, work, *args, **kwargs)

    monkeypatch.setattr(Aside, "run", listened)
    device = Device(RSA, pkv=1)
    worker = Worker(ring_of=lambda _: KeyRing([("1", hold(RSA.algorithm, "1", RSA.private))]))
    events = [event(_track_id=number) for number in range(LIGHT_RECORDS + 1)]
    assert (await worker.post("/sa?project=open", form(device.batch(events, NOW)))).status_code == 200
    assert {"_unwrap_all", "judge_inner", "_treated"} <= set(aside)
    assert worker.stored()[0].header.count == LIGHT_RECORDS + 1
    assert worker.stored()[0].reasons == []


async def test_too_many_heavy_requests_are_turned_away_and_light_ones_are_not(held: Held) -> None:
    worker = Worker(CollectorOptions(heavy_at_once=4))
    work = [asyncio.ensure_future(worker.track(MANY_KEYS)) for _ in range(6)]
    await held.has_begun()
    done, waiting = await asyncio.wait(work, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 3:  # a quarter, at least one place, is left for other projects
        more, waiting = await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    for refused in done:
        answer = refused.result()
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "heavy requests of this project" in answer.json()["detail"]
    assert (await worker.track(event(event_id="light"))).status_code == 200
    other = asyncio.ensure_future(worker.post("/v1/events?key=wk-bank", MANY_KEYS))
    while worker.app._sensors._aside._places._total < 4:
        await asyncio.sleep(0.001)
    held.let_go.set()
    assert [(await each).status_code for each in [*waiting, other]] == [200] * 4
    assert worker.app._sensors.room._left == worker.options.bytes_at_once
    assert (await worker.track(MANY_KEYS)).status_code == 200


async def test_bodies_that_wait_count_among_the_bytes_at_once(held: Held) -> None:
    limits = BodyLimits(body_bytes=1_000_000, decompressed_bytes=2_000_000)
    worker = Worker(CollectorOptions(bytes_at_once=len(MANY_KEYS) + 1_000, limits=limits))
    heavy = asyncio.ensure_future(worker.track(MANY_KEYS))
    await held.has_begun()
    assert (await worker.track(MANY_KEYS)).status_code == 503
    assert (await worker.track(event())).status_code == 200
    held.let_go.set()
    assert (await heavy).status_code == 200
    assert (await worker.track(MANY_KEYS)).status_code == 200


async def test_an_error_in_the_thread_costs_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()

    def fail(*_: Any, patient: bool, **__: Any) -> Any:
        raise batch.TakesLong if not patient else RuntimeError("a bug")

    with monkeypatch.context() as changed:
        changed.setattr(native, "read_batch", fail)
        assert (await worker.track(event())).status_code == 503
    assert (await worker.track(MANY_KEYS)).status_code == 200


def request_of(body: bytes) -> bytes:
    head = f"POST /v1/events?key=wk-default HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def sent(port: int, body: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request_of(body))
        yield connection


def test_what_came_whole_is_stored_though_its_client_has_gone(held: Held) -> None:
    worker = Worker()
    with worker.listening() as port:
        with sent(port, MANY_RECORDS):
            assert held.begun.wait(60)
        assert b" 200 " in converse(port, request_of(json.dumps(event(event_id="light")).encode()))
        held.let_go.set()
    assert ids_of(worker) == ["light", *[f"e{number}" for number in range(LIGHT_BRACES)]]


def test_a_server_that_is_told_to_stop_finishes_what_is_aside(held: Held) -> None:
    worker = Worker()
    with worker.listening() as port:
        first = socket.create_connection(("127.0.0.1", port), timeout=60)
        first.sendall(request_of(MANY_RECORDS))
        assert held.begun.wait(60)
        second = socket.create_connection(("127.0.0.1", port), timeout=60)
        second.sendall(request_of(MANY_KEYS))
        while worker.app._sensors.counts.in_work < 2:
            time.sleep(0.001)
        letting_go = threading.Timer(0.2, held.let_go.set)
        letting_go.start()
    # The server was told to stop, and has stopped: it waited for both.
    letting_go.join()
    with first, second:
        assert [b" 200 " in read_answer(each) for each in (first, second)] == [True, True]
    assert [len(stored.records()) for stored in worker.stored()] == [LIGHT_BRACES, 1]
    for thread in threading.enumerate():
        if thread.name.startswith("aside"):  # it has no work left, so it ends
            thread.join(60)
            assert not thread.is_alive()


def test_a_form_of_separators_makes_no_millions_of_fields() -> None:
    fields = read_fields(b"&".join(b"f%d=1" % number for number in range(5 * FORM_FIELDS)))
    assert len(fields) == FORM_FIELDS + 1
    assert read_fields(b"&" * 8_000_000) == {}
    assert read_fields(b"project=p&data=%7B%7D&gzip=0") == {
        b"project": b"p",
        b"data": b"%7B%7D",
        b"gzip": b"0",
    }


def test_the_slow_way_is_not_taken_without_patience() -> None:
    judge = Judge(NATIVE, KnownNames())
    for body in (
        b"[" + b",".join([b"1"] * (batch.QUICK_RECORDS + 1)) + b"]",
        b"\n".join([b"{}"] * batch.QUICK_RECORDS + [b"1"]),
        b"[1," + b" " * batch.QUICK_BYTES + b"1]",
    ):
        with pytest.raises(batch.TakesLong):
            batch.read_batch(body, judge, NOW, patient=False)
        assert batch.read_batch(body, judge, NOW).refusals
