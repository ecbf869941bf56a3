"""A collector that holds keys, and devices that seal to them."""

from __future__ import annotations

from collector.options import CollectorOptions
from footfall.envelopes.keys import Algorithm, KeyPair, KeyRing, generate, hold
from tests.collector_worker import Stored, Worker, event
from tests.envelopes import Device

RSA, SM2, AES = generate(Algorithm.RSA), generate(Algorithm.SM2), generate(Algorithm.AES)
PHONE, BROWSER = Device(RSA, pkv=1), Device(SM2, pkv=3)
DEVICES = {"RSA": PHONE, "SM2": BROWSER}
FIRST = event(event="first", _track_id=1, properties={"name": "基金"})
SECOND = event(event="second", _track_id=2)
GOOD = PHONE.events(FIRST)


def ring_of(*keys: tuple[str, KeyPair]) -> KeyRing:
    return KeyRing([(version, hold(pair.algorithm, version, pair.private)) for version, pair in keys])


RING = ring_of(("1", RSA), ("3", SM2), ("7", AES), ("app", AES))


def worker_with(ring: KeyRing = RING, options: CollectorOptions | None = None) -> Worker:
    return Worker(options or CollectorOptions(), ring_of=lambda _: ring)


async def stored(body: bytes, worker: Worker | None = None, path: str = "/sa?project=open") -> Stored:
    """What one request left, which must be answered 200."""
    worker = worker or worker_with()
    answer = await worker.post(path, body)
    assert (answer.status_code, answer.content) == (200, b"")
    (only,) = worker.stored()
    return only
