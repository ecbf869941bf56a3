"""What appending to Kafka costs the collector's process, by client, at the shape of our requests.

A request is done when all its messages are acknowledged by all replicas: one message of one user's event, or
20 messages of 20 users. So many requests are under way at once as a busy worker has. Each client runs in a
process of its own; what counts is the requests that a second of its CPU time carries, since the broker shares
the cores.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench.records import draw_events
from bench.results import Row, Section

AT_ONCE = 64
PARTITIONS = 12
CLIENTS = ("kafka-python", "confluent", "aiokafka")
SHAPES = (1, 20)

_NAMES = {
    "kafka-python": "log, kafka-python",
    "confluent": "log, confluent-kafka",
    "aiokafka": "bare aiokafka",
}

Append = Callable[[list[tuple[int, bytes]]], Awaitable[None]]
"""Appends messages, each to its partition; done when all are acknowledged."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is sent."""

    messages: int

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(400 if quick else 20_000)


class Figure(NamedTuple):
    """Of one client at one shape."""

    requests_per_cpu_second: float
    requests_per_second: float


def measure(effort: Effort) -> Section:
    """Ratios to the log with kafka-python, which is what `footfall[kafka]` installs."""
    rows = []
    with _broker() as bootstrap:
        for messages in SHAPES:
            figures = {client: _measured(client, bootstrap, messages, effort) for client in CLIENTS}
            base = figures[CLIENTS[0]]
            for client, figure in figures.items():
                rows.append(
                    Row(
                        f"{_NAMES[client]}, {messages} a request",
                        f"{figure.requests_per_cpu_second:,.0f}/CPU s",
                        f"{base.requests_per_cpu_second:,.0f}/CPU s",
                        figure.requests_per_cpu_second / base.requests_per_cpu_second,
                    )
                )
    return Section(
        "Kafka clients: requests that a second of the sender's CPU time carries",
        rows,
        (f"messages of some 550 bytes, zstd, acks=all, {AT_ONCE} requests at once, {PARTITIONS} partitions",),
    )


@contextmanager
def _broker() -> Iterator[str]:
    from tests.kafka_broker import running_broker

    with tempfile.TemporaryDirectory() as directory, running_broker(Path(directory)) as broker:
        yield broker.bootstrap


def _measured(client: str, bootstrap: str, messages: int, effort: Effort) -> Figure:
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    topic = f"bench-{client}-{messages}-{time.time_ns()}"
    process = spawn.Process(target=_run, args=(client, bootstrap, topic, messages, effort, sender))
    process.start()
    sender.close()
    try:
        return Figure(*receiver.recv())
    finally:
        process.join()


def _run(client: str, bootstrap: str, topic: str, messages: int, effort: Effort, sender: Any) -> None:
    _make_topic(bootstrap, topic)
    requests = max(AT_ONCE, effort.messages // messages)
    payloads = [json.dumps(event, ensure_ascii=False).encode() for event in draw_events(requests, 1)]
    opened = _aiokafka if client == "aiokafka" else partial(_kafka_log, client)
    sender.send(asyncio.run(_drive(opened, bootstrap, topic, payloads, messages)))


async def _drive(opened: Any, bootstrap: str, topic: str, payloads: list[bytes], messages: int) -> Figure:
    append, close = await opened(bootstrap, topic)
    waiting = list(enumerate(payloads))

    async def client() -> None:
        while waiting:
            number, payload = waiting.pop()
            await append([((number + each) % PARTITIONS, payload) for each in range(messages)])

    await append([(each, b"warm") for each in range(PARTITIONS)])
    began, cpu = time.monotonic(), _cpu()
    await asyncio.gather(*[client() for _ in range(AT_ONCE)])
    seconds, cpu = time.monotonic() - began, _cpu() - cpu
    await close()
    return Figure(len(payloads) / cpu, len(payloads) / seconds)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _kafka_log(client: str, bootstrap: str, topic: str) -> tuple[Append, Callable[[], Awaitable[None]]]:
    """The clients that KafkaLog can use, as it uses them."""
    from footfall.eventlog.kafka_log import KafkaLog
    from footfall.eventlog.kafka_place import parse_kafka_url
    from footfall.eventlog.lanes import MAIN
    from footfall.eventlog.log import Tally

    log = await asyncio.to_thread(
        lambda: KafkaLog(parse_kafka_url(f"{bootstrap}/{topic}-log?partitions={PARTITIONS}&client={client}"))
    )
    writer = await asyncio.to_thread(log.open_writer, MAIN)
    tally = Tally("bank", "native", 29_000_000, 1)

    async def append(messages: list[tuple[int, bytes]]) -> None:
        sent = [writer.append_async(value, tally, number.to_bytes(8, "big")) for number, value in messages]
        await asyncio.gather(*sent)

    async def close() -> None:
        await asyncio.to_thread(writer.close)
        await asyncio.to_thread(log.close)

    return append, close


async def _aiokafka(bootstrap: str, topic: str) -> tuple[Append, Callable[[], Awaitable[None]]]:
    """Bare: nothing bounds its memory or counts what it appended."""
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="zstd",
        linger_ms=3, max_batch_size=1 << 20,
    )  # fmt: skip
    await producer.start()

    async def append(messages: list[tuple[int, bytes]]) -> None:
        headers = [("tally", b'["bank","native",29000000,1]')]
        sent = [
            await producer.send(topic, value, partition=number, headers=headers) for number, value in messages
        ]
        await asyncio.gather(*sent)

    return append, producer.stop


def _make_topic(bootstrap: str, topic: str) -> None:
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics(
        {topic: {"num_partitions": PARTITIONS, "replication_factor": 1}}, wait_for_metadata=True
    )
    admin.close()
