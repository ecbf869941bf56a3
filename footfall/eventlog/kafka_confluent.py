"""The producer on confluent-kafka (librdkafka, C), for collectors whose CPU time kafka-python would take.

Chosen by `?client=confluent` in the log's URL; same promises, same seam as kafka_writer.Producer. librdkafka
itself bounds how long a record waits. Reading stays with kafka-python.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from footfall.eventlog import kafka_writer
from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.kafka_writer import Outcome
from footfall.eventlog.log import RECORD_OVERHEAD_BYTES, LogError, LogFull, RecordRefused

_POLL_SECONDS = 0.1
_SPARE_KIBIBYTES = 64 << 10


class ConfluentProducer:
    """The process's producer for one log. Safe to use from several threads."""

    def __init__(self, place: KafkaPlace) -> None:
        """LogError when no broker answers."""
        self.place = place
        self._client = Client(_config(place), logger=logging.getLogger("kafka.confluent"))
        try:
            self._client.list_topics(place.topic, timeout=place.timeout_seconds)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-deliveries", daemon=True)
        self._thread.start()

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
            waiting = self._waiting_bytes
            if waiting < kafka_writer.WAITING_BYTES_LIMIT:
                self._waiting_bytes += size
        if waiting >= kafka_writer.WAITING_BYTES_LIMIT:
            done(LogFull(f"{waiting} bytes already wait for {self.place}"))
            return

        def delivered(error: KafkaError | None, message: Any) -> None:
            with self._lock:
                self._waiting_bytes -= size
            done(message.offset() if error is None else self._failure(error))

        try:
            self._client.produce(
                topic, value, key=key, partition=partition, headers=headers, on_delivery=delivered
            )
        except KafkaException as error:
            delivered(error.args[0], None)
        except BufferError as error:
            with self._lock:
                self._waiting_bytes -= size
            done(LogFull(f"too much already waits for {self.place}: {error}"))

    def close(self) -> None:
        """Waits for what waits, as long as a record may wait."""
        self._client.flush(self.place.timeout_seconds + 1)
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._client.poll(_POLL_SECONDS)

    def _failure(self, error: KafkaError) -> LogError:
        kind = RecordRefused if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else LogError
        return kind(f"{self.place} could not be written: {error.name()}: {error.str()}")


def _config(place: KafkaPlace) -> dict[str, Any]:
    timeout_ms = int(place.timeout_seconds * 1000)
    access = place.access
    given = {
        "sasl.mechanisms": place.sasl.upper() if place.sasl else None,
        "sasl.username": access.username if place.sasl else None,
        "sasl.password": access.password if place.sasl else None,
        "ssl.ca.location": access.ca_file,
        "ssl.certificate.location": access.cert_file,
        "ssl.key.location": access.key_file,
        "ssl.key.password": access.key_password,
    }
    return {name: value for name, value in given.items() if value is not None} | {
        "bootstrap.servers": ",".join(place.servers),
        "client.id": "footfall",
        "security.protocol": ("SASL_" if place.sasl else "") + ("SSL" if place.tls else "PLAINTEXT"),
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": place.compression,
        "linger.ms": kafka_writer.LINGER_MS,
        "batch.size": kafka_writer.BATCH_BYTES,
        "message.max.bytes": place.max_record_bytes,
        "message.timeout.ms": timeout_ms,
        "request.timeout.ms": timeout_ms // 2,
        "socket.timeout.ms": max(timeout_ms, 1_000),
        "reconnect.backoff.max.ms": 1_000,
        "queue.buffering.max.kbytes": (kafka_writer.WAITING_BYTES_LIMIT >> 10) + _SPARE_KIBIBYTES,
        "queue.buffering.max.messages": 1_000_000,
        "allow.auto.create.topics": False,
    }
