"""Appends to a lane's topic, or to one partition of it, through the producer that all writers of a log share.

The producer is idempotent and waits for all replicas (`acks=all`); what it could not deliver in time fails,
and the sender tries again: it may have been stored all the same, as after any lost answer.

kafka-python's producer bounds neither its memory nor, while it has lost its brokers, the time that a record
waits: both are done here. One that let a record wait for too long is given up, with everything that waits in
it, and replaced; until brokers answer again, appends fail at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from footfall.eventlog.kafka_connection import make_client
from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.kafka_records import write_headers
from footfall.eventlog.log import RECORD_OVERHEAD_BYTES, LogClosed, LogError, LogFull, RecordRefused, Tally

LINGER_MS = 3
BATCH_BYTES = 1 << 20
WAITING_BYTES_LIMIT = 64 << 20
"""What may wait in memory for brokers that hang; beyond it appends are refused at once."""

_BLOCK_MS = 20
"""How long an append may wait for a topic whose partitions are not known: it may run in an event loop."""

_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 0.5  # in which the client itself says that a record's time is over
_ANEW_SECONDS = 0.5
_END_SECONDS = 2.0

_log = structlog.get_logger(__name__)

Outcome = int | LogError

if TYPE_CHECKING:
    from footfall.eventlog.kafka_confluent import ConfluentProducer


class _Waiting(NamedTuple):
    deadline: float
    size: int
    done: Callable[[Outcome], None]


class Producer:
    """The process's producer for one log. Safe to use from several threads."""

    def __init__(self, place: KafkaPlace, topics: Sequence[str]) -> None:
        """KafkaError when no broker answers."""
        self.place = place
        self._topics = topics
        self._lock = threading.Lock()
        self._kafka: KafkaProducer | None = self._connect()
        self._waiting: dict[int, _Waiting] = {}  # in the order of their deadlines
        self._number = 0
        self._waiting_bytes = 0
        self._away_since = 0.0
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="kafka-producer-watch", daemon=True)
        self._watch.start()

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes,
        headers: list[tuple[str, bytes]],
        *,
        done: Callable[[Outcome], None],
        key: bytes | None = None,
    ) -> None:
        """`done` is called once, with the offset or what went wrong, perhaps at once, in any thread."""
        size = len(value) + RECORD_OVERHEAD_BYTES
        with self._lock:
            kafka = self._kafka
            refused = self._refusal(kafka)
            if refused is None:
                self._number = number = self._number + 1
                self._waiting[number] = _Waiting(time.monotonic() + self._patience, size, done)
                self._waiting_bytes += size
        if refused is not None or kafka is None:
            done(refused or LogClosed(f"{self.place} is closed"))
            return
        try:
            sent = kafka.send(topic, value, key=key, headers=headers, partition=partition)
        except (KafkaError, ValueError, RuntimeError) as error:
            self._settle(number, self._failure(error))
            return
        sent.add_callback(lambda metadata: self._settle(number, metadata.offset))
        sent.add_errback(lambda error: self._settle(number, self._failure(error)))

    def close(self) -> None:
        """Waits for what waits, as long as a record may wait."""
        self._stop.set()
        self._watch.join()
        with self._lock:
            kafka, self._kafka = self._kafka, None
        if kafka is not None:
            _end(kafka, self.place.timeout_seconds)
        self._give_up(LogClosed(f"{self.place} is closed"))

    @property
    def _patience(self) -> float:
        return self.place.timeout_seconds + _GRACE_SECONDS

    def _refusal(self, kafka: KafkaProducer | None) -> LogError | None:
        if kafka is None:
            away = time.monotonic() - self._away_since
            return LogError(f"{self.place} takes nothing since {away:.0f} s: no broker answers")
        if self._waiting_bytes >= WAITING_BYTES_LIMIT:
            return LogFull(f"{self._waiting_bytes} bytes already wait for {self.place}")
        return None

    def _settle(self, number: int, outcome: Outcome) -> None:
        with self._lock:
            waiting = self._waiting.pop(number, None)
            if waiting is None:
                return  # given up meanwhile
            self._waiting_bytes -= waiting.size
        waiting.done(outcome)

    def _give_up(self, failure: LogError) -> None:
        with self._lock:
            given_up, self._waiting = self._waiting, {}
            self._waiting_bytes = 0
        for waiting in given_up.values():
            waiting.done(failure)

    def _keep(self) -> None:
        """Replaces a producer that lets records wait for too long."""
        while not self._stop.wait(_LOOK_SECONDS):
            with self._lock:
                oldest = next(iter(self._waiting.values()), None)
                is_late = oldest is not None and oldest.deadline < time.monotonic()
                kafka = self._kafka
                if is_late:
                    self._kafka = None
                    self._away_since = time.monotonic() - self._patience
            if is_late and kafka is not None:
                _log.error("kafka.cannot_write", log=str(self.place), since_seconds=round(self._patience, 1))
                self._give_up(LogError(f"{self.place} could not be written within {self._patience:.0f} s"))
                _end(kafka, 0)
            if self._kafka is None:
                self._replace()

    def _replace(self) -> None:
        while not self._stop.is_set():
            try:
                fresh = self._connect()
            except (KafkaError, OSError) as error:
                away = round(time.monotonic() - self._away_since, 1)
                _log.error("kafka.cannot_write", log=str(self.place), since_seconds=away, error=str(error))
                self._stop.wait(_ANEW_SECONDS)
                continue
            with self._lock:
                self._kafka = fresh
            away = round(time.monotonic() - self._away_since, 1)
            _log.info("kafka.writes_again", log=str(self.place), after_seconds=away)
            return

    def _connect(self) -> KafkaProducer:
        place = self.place
        timeout_ms = int(place.timeout_seconds * 1000)
        config = place.client_config() | {
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": None if place.compression == "none" else place.compression,
            "linger_ms": LINGER_MS,
            "batch_size": BATCH_BYTES,
            "max_request_size": place.max_record_bytes,
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
            "allow_auto_create_topics": False,
        }
        kafka = make_client(KafkaProducer, config)
        try:
            for topic in self._topics:
                kafka.partitions_for(topic)
        except BaseException:
            _end(kafka, 0)
            raise
        kafka.config["max_block_ms"] = _BLOCK_MS
        return kafka

    def _failure(self, error: BaseException) -> LogError:
        is_too_large = isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError)
        kind = RecordRefused if is_too_large else LogError
        failure = kind(f"{self.place} could not be written: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure


def _end(kafka: KafkaProducer, seconds: float) -> None:
    """Its own close would leave its thread running when something is left."""
    with suppress(KafkaError):
        kafka.flush(seconds)
    sender: Any = kafka._sender
    sender.force_close()
    sender.join(_END_SECONDS)
    with suppress(KafkaError):
        kafka.close(timeout=0)


class KafkaLogWriter:
    """LogWriter of a lane, or of one partition."""

    def __init__(
        self,
        producer: Producer | ConfluentProducer,
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
        self._answers: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], Outcome]]] = {}

    def append(self, payload: bytes, tally: Tally, key: bytes = b"") -> Future[int]:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()  # what was appended cannot be taken back

        def tell(outcome: Outcome) -> None:
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

    def _send(self, payload: bytes, tally: Tally, key: bytes, tell: Callable[[Outcome], None]) -> None:
        number = self._place_of(key)
        with self._idle:
            if self._closed:
                tell(LogClosed(f"the writer of {self._topic} is closed"))
                return
            self._open += 1

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, int):
                self._appended(number, outcome)
            tell(outcome)
            with self._idle:
                self._open -= 1
                if not self._open:
                    self._idle.notify_all()

        self._producer.send(self._topic, number, payload, write_headers(tally), done=done, key=key or None)

    def _tell(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[int], outcome: Outcome) -> None:
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
