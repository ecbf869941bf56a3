"""Appends to a lane's topic, or to one partition of it, through the producer that all writers of a log share.

The producer is idempotent and waits for all replicas (`acks=all`); what it could not deliver in time fails,
and the sender tries again: it may have been stored all the same, as after any lost answer. kafka-python's
producer bounds no memory itself: what waits is counted here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.kafka_records import write_headers
from footfall.eventlog.log import RECORD_OVERHEAD_BYTES, LogClosed, LogError, LogFull, Tally

LINGER_MS = 3
BATCH_BYTES = 1 << 20
WAITING_BYTES_LIMIT = 64 << 20
"""What may wait in memory for brokers that hang; beyond it appends are refused at once."""

_BLOCK_MS = 20
"""How long an append may wait for a topic whose partitions are not known: it may run in an event loop."""


class Producer:
    """The process's producer for one log."""

    def __init__(self, place: KafkaPlace, topics: Sequence[str]) -> None:
        """KafkaError when no broker answers."""
        self.place = place
        timeout_ms = int(place.timeout_seconds * 1000)
        self._kafka = KafkaProducer(
            **place.client_config(),
            acks="all",
            enable_idempotence=True,
            compression_type=None if place.compression == "none" else place.compression,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            max_request_size=place.max_record_bytes,
            delivery_timeout_ms=timeout_ms,
            max_block_ms=timeout_ms,
            allow_auto_create_topics=False,
        )
        for topic in topics:
            self._kafka.partitions_for(topic)
        self._kafka.config["max_block_ms"] = _BLOCK_MS
        self._lock = threading.Lock()
        self._waiting_bytes = 0

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes,
        headers: list[tuple[str, bytes]],
        *,
        done: Callable[[int | LogError], None],
        key: bytes | None = None,
    ) -> None:
        """`done` is called once, with the offset or what went wrong, perhaps at once, in any thread."""
        size = len(value) + RECORD_OVERHEAD_BYTES
        with self._lock:
            if self._waiting_bytes >= WAITING_BYTES_LIMIT:
                waiting = self._waiting_bytes
            else:
                waiting = 0
                self._waiting_bytes += size
        if waiting:
            done(LogFull(f"{waiting} bytes already wait for {self.place}"))
            return

        def give_back() -> None:
            with self._lock:
                self._waiting_bytes -= size

        def stored(metadata: Any) -> None:
            give_back()
            done(metadata.offset)

        def failed(error: BaseException) -> None:
            give_back()
            done(self._failure(error))

        try:
            sent = self._kafka.send(topic, value, key=key, headers=headers, partition=partition)
        except (KafkaError, ValueError) as error:
            failed(error)
            return
        sent.add_callback(stored)
        sent.add_errback(failed)

    def close(self) -> None:
        self._kafka.close(timeout=self.place.timeout_seconds)

    def _failure(self, error: BaseException) -> LogError:
        failure = LogError(f"{self.place} could not be written: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure


class KafkaLogWriter:
    """LogWriter of a lane, or of one partition."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        place_of: Callable[[bytes], int],
        *,
        routes: bool,
        appended: Callable[[int, int], None],
    ) -> None:
        """`place_of` gives the number of a key's partition; `appended` is told (number, offset)."""
        self.routes = routes
        self._producer = producer
        self._topic = topic
        self._place_of = place_of
        self._appended = appended
        self._idle = threading.Condition()
        self._open = 0
        self._closed = False
        self._answers: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int | LogError]]] = {}

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # what was appended cannot be taken back

        def tell(outcome: int | LogError) -> None:
            if isinstance(outcome, int):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self._send(payload, tally, key, tell)
        return future

    def append_async(self, payload: bytes, tally: Tally, key: bytes = b"") -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._send(payload, tally, key, lambda outcome: self._tell(loop, future, outcome))
        return future

    def close(self) -> None:
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._open)

    def _send(self, payload: bytes, tally: Tally, key: bytes, tell: Callable[[int | LogError], None]) -> None:
        number = self._place_of(key)
        with self._idle:
            if self._closed:
                tell(LogClosed(f"the writer of {self._topic} is closed"))
                return
            self._open += 1

        def done(outcome: int | LogError) -> None:
            if isinstance(outcome, int):
                self._appended(number, outcome)
            tell(outcome)
            with self._idle:
                self._open -= 1
                if not self._open:
                    self._idle.notify_all()

        self._producer.send(self._topic, number, payload, write_headers(tally), done=done, key=key or None)

    def _tell(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[int], outcome: int | LogError
    ) -> None:
        """Answers that come together wake their loop once."""
        with self._idle:
            waiting = self._answers.setdefault(loop, [])
            waiting.append((future, outcome))
            is_first = len(waiting) == 1
        if is_first and not loop.is_closed():  # a closed loop has nobody left to tell
            loop.call_soon_threadsafe(self._answer, loop)

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._idle:
            answers = self._answers.pop(loop, [])
        for future, outcome in answers:
            if future.done():  # cancelled: the client went away
                continue
            if isinstance(outcome, int):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
