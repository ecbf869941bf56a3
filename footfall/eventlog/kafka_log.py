"""The log on Apache Kafka: a topic a lane, a partition of it a partition of ours, the message's offset ours.

Kafka keeps the laws of footfall/eventlog/log.py with these differences, which the laws name:

- Durable is what all in-sync replicas have (`acks=all`); whether they fsync is the brokers' matter.
- The byte limit is the brokers' disks. LogFull comes when too much waits in this process's memory.
- Retention, 72 h or more, removes records, processed or not; `truncate` does only where the URL says so.
- Damage takes the batch of records that were sent together.
- `scrub` deletes what was processed at once for readers; its bytes leave the disks with their segments, of an
  hour, some minutes later, and at the latest with retention.

Committed offsets are those of a consumer group without members: who owns which partition is decided
elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import structlog
from kafka import TopicPartition

from footfall.eventlog.kafka_connection import Control, naming
from footfall.eventlog.kafka_members import KafkaMember
from footfall.eventlog.kafka_place import InvalidKafkaUrl, KafkaPlace
from footfall.eventlog.kafka_reader import KafkaReader
from footfall.eventlog.kafka_records import Message
from footfall.eventlog.kafka_tallies import TallyBook
from footfall.eventlog.kafka_topics import lane_topics, prepare_topics, tallies_topic
from footfall.eventlog.kafka_writer import KafkaLogWriter, Producer
from footfall.eventlog.lanes import MAIN
from footfall.eventlog.lanes import place as place_key
from footfall.eventlog.log import (
    LogClosed,
    LogError,
    LogRecord,
    LogWriter,
    Membership,
    Owner,
    Position,
    Tally,
)

if TYPE_CHECKING:
    from footfall.eventlog.kafka_confluent import ConfluentProducer

_log = structlog.get_logger(__name__)

_COMMITTED_AGAIN_SECONDS = 6 * 3600.0
"""A broker forgets offsets of a group without members after days without a commit."""


class KafkaLog:
    """Log on Kafka topics."""

    routes = True

    def __init__(self, where: KafkaPlace) -> None:
        """InvalidKafkaUrl where the topics are not fit. Where no broker answers, they are looked at as soon
        as one does, and every call until then is a LogError.
        """
        self._where = where
        self._control = Control(where)
        self._prepared: int | None = None
        try:
            self._prepared = prepare_topics(where, self._control)
        except LogError as error:
            _log.warning("kafka.away", error=str(error))
        except BaseException:
            self._control.close()
            raise
        self._topics = lane_topics(where)
        self._tallies = TopicPartition(tallies_topic(where), 0)
        topics = [*self._topics.values(), self._tallies.topic]
        self._reader = KafkaReader(where, self._control, topics)
        self._book = TallyBook(self._messages, self._stored_ranges, self._store_range)
        self._ranges_read = 0
        self._lock = threading.Lock()
        self._producer: Producer | ConfluentProducer | None = None
        self._ends: dict[int, int] = {}  # as far as we know
        self._committed: dict[int, int] = {}
        self._committed_at: dict[int, float] = {}
        self._is_closed = False

    def open_writer(self, partition: int) -> LogWriter:
        """Of a lane, where `partition` is its first; of this one partition otherwise."""
        lane, number = self._lane_and_number(partition)
        is_lane = partition == lane
        return KafkaLogWriter(
            self._producing(),
            self._topics[lane],
            partial(place_key, lane=0, numbers=self._numbers()) if is_lane else lambda _key: number,
            routes=is_lane,
            appended=partial(self._note_appended, lane),
        )

    def join(self, owner: Owner, name: str = "") -> Membership:
        return KafkaMember(self._where, self._topics[MAIN], owner, name)

    def partitions(self) -> Sequence[int]:
        return [lane + number for lane in self._topics for number in range(self._numbers())]

    def position(self, partition: int) -> Position:
        return self._positions([partition])[partition]

    def positions(self) -> Mapping[int, Position]:
        return self._positions(self.partitions())

    def read(self, partition: int, first: int, limit_bytes: int) -> Sequence[LogRecord]:
        found = self._reader.read(self._topic_partition(partition), partition, first, limit_bytes)
        if found:
            self._book.remember(partition, found)
            self._ends[partition] = max(self._ends.get(partition, 0), found[-1].offset + 1)
        return [message.record(partition) for message in found]

    def commit(self, partition: int, next_offset: int) -> None:
        key = self._topic_partition(partition)
        committed = self._committed.get(partition)
        if committed is None:
            committed = self._control.committed([key])[key]
        if next_offset <= committed:
            self._committed[partition] = committed
            return
        if next_offset > self._ends.get(partition, 0):
            self._ends[partition] = self._control.ends([key])[key]
            if next_offset > self._ends[partition]:
                raise LogError(
                    f"partition {partition} ends at {self._ends[partition]}: offset {next_offset} cannot be "
                    "committed yet"
                )
        self._book.close_ranges(partition, next_offset)
        self._control.commit({key: next_offset})
        self._committed[partition] = next_offset
        self._committed_at[partition] = time.monotonic()

    def truncate(self, partition: int, before: int) -> int:
        """0 unless the URL says `truncate=yes`: retention does it."""
        return self._delete(partition, before) if self._where.truncate else 0

    def scrub(self, partition: int) -> bool:
        self._delete(partition, self.position(partition).committed)
        return True

    def tallies(self, partition: int) -> Iterator[Tally]:
        return iter(self.tallies_and_end(partition)[0])

    def tallies_and_end(self, partition: int) -> tuple[list[Tally], int]:
        key = self._topic_partition(partition)
        end = self._control.ends([key])[key]
        return self._book.sums(partition, end), end

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
        self._reader.close()
        self._control.close()

    def _numbers(self) -> int:
        """How many partitions a lane has. LogError while no broker has answered."""
        if self._prepared is None:
            try:
                self._prepared = prepare_topics(self._where, self._control)
            except InvalidKafkaUrl as error:
                raise LogError(str(error)) from error
        return self._prepared

    def _positions(self, partitions: Sequence[int]) -> dict[int, Position]:
        keys = {each: self._topic_partition(each) for each in partitions}
        # What is committed first: the end only grows, so lag is never negative.
        committed = self._control.committed([*keys.values()])
        ends = self._control.ends([*keys.values()])
        for each, key in keys.items():
            self._ends[each] = ends[key]
            self._reader.tell(key, ends[key])
        self._keep_committed(keys, committed)
        return {
            each: Position(committed=min(committed[key], ends[key]), end=ends[key])
            for each, key in keys.items()
        }

    def _keep_committed(
        self, keys: Mapping[int, TopicPartition], committed: Mapping[TopicPartition, int]
    ) -> None:
        """Commits once more what we committed long ago."""
        now = time.monotonic()
        old = [
            each
            for each, at in self._committed_at.items()
            if each in keys and now - at > _COMMITTED_AGAIN_SECONDS
        ]
        if old:
            self._control.commit({keys[each]: committed[keys[each]] for each in old})
            self._committed_at |= dict.fromkeys(old, now)

    def _delete(self, partition: int, before: int) -> int:
        key = self._topic_partition(partition)
        before = min(before, self.position(partition).committed)
        start = self._control.starts([key])[key]
        if before <= start:
            return 0
        self._control.delete_records(key, before)
        return before - start

    def _messages(self, partition: int, first: int, end: int) -> Iterator[Message]:
        return self._reader.messages(self._topic_partition(partition), first, end)

    def _stored_ranges(self) -> Iterator[bytes]:
        end = self._control.ends([self._tallies])[self._tallies]
        for message in self._reader.messages(self._tallies, self._ranges_read, end):
            self._ranges_read = message.offset + 1
            yield message.value

    def _store_range(self, key: bytes, value: bytes) -> None:
        stored: Future[int] = Future()

        def done(outcome: int | LogError) -> None:
            if isinstance(outcome, int):
                stored.set_result(outcome)
            else:
                stored.set_exception(outcome)

        self._producing().send(self._tallies.topic, self._tallies.partition, value, [], done=done, key=key)
        stored.result()

    def _producing(self) -> Producer | ConfluentProducer:
        with self._lock:
            if self._is_closed:
                raise LogClosed(f"{self._where} is closed")
            if self._producer is None:
                self._producer = self._made_producer()
            return self._producer

    def _made_producer(self) -> Producer | ConfluentProducer:
        if self._where.client == "confluent":
            from footfall.eventlog.kafka_confluent import ConfluentProducer  # noqa: PLC0415 - an extra

            return ConfluentProducer(self._where)
        with naming(self._where, "cannot write"):
            return Producer(self._where, [*self._topics.values(), self._tallies.topic])

    def _note_appended(self, lane: int, number: int, offset: int) -> None:
        self._reader.tell(TopicPartition(self._topics[lane], number), offset + 1)

    def _topic_partition(self, partition: int) -> TopicPartition:
        lane, number = self._lane_and_number(partition)
        return TopicPartition(self._topics[lane], number)

    def _lane_and_number(self, partition: int) -> tuple[int, int]:
        lane = max((each for each in self._topics if each <= partition), default=0)
        number = partition - lane
        if not 0 <= number < self._numbers():
            raise LogError(f"no partition {partition} in {self._where}: there are {self.partitions()}")
        return lane, number
