"""Reads partitions: the one who reads on gets what was fetched meanwhile, anybody else one question's answer.

A reader that asks for what comes next of a partition is *followed*: the client's own thread keeps a fetch
open at each broker, with which the broker answers as soon as there is something. So a look at the end of a
quiet partition costs no round trip. What is fetched ahead is bounded."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from footfall.eventlog.kafka_connection import Control, FetchConnection, Fetched
from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.kafka_records import Damage, Message, next_offset, read_messages
from footfall.eventlog.log import DamagedRecord, LogError

_WAIT_MS = 500
_FETCH_BYTES = 8 << 20
_PARTITION_BYTES = 1 << 20
_LEAST_BYTES = 64 << 10
_AHEAD_BYTES = 4 << 20
"""What may lie fetched and unread, of one partition, compressed; of all of them together:"""
_ALL_AHEAD_BYTES = 64 << 20
_LOOK_AROUND_SECONDS = 0.02
_RETRY_SECONDS = 0.2
_PATIENCE_SECONDS = 0.5

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Tail:
    """A partition that is followed."""

    partition: TopicPartition
    asked: int  # offset that the next fetch asks for
    position: int  # offset that the next read asks for
    high: int
    chunks: deque[bytes] = field(default_factory=deque)
    ahead: int = 0  # bytes of them
    parsed: deque[Message | Damage] = field(default_factory=deque)
    is_lost: bool = False  # what it asks for is not there


class KafkaReader:
    """Safe to use from several threads; a partition has one that reads on."""

    def __init__(self, place: KafkaPlace, control: Control, topics: Sequence[str]) -> None:
        self._place = place
        self._control = control
        self._topics = topics
        self._changed = threading.Condition()
        self._tails: dict[TopicPartition, _Tail] = {}
        self._looked_up_to: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._busy: set[int] = set()  # brokers with an open fetch
        self._trouble: LogError | None = None
        self._closed = False
        self._following: FetchConnection | None = None
        self._looking: FetchConnection | None = None

    def tell(self, partition: TopicPartition, end: int) -> None:
        """Records below `end` are there: a read of them waits until they have come."""
        if end > self._told.get(partition, 0):
            self._told[partition] = end

    def read(self, partition: TopicPartition, number: int, first: int, limit_bytes: int) -> list[Message]:
        """As Log.read says, of the log partition `number`."""
        tail = self._tails.get(partition)
        if tail is not None and tail.position == first and not tail.is_lost:
            found, damage = self._read_on(tail, limit_bytes)
        else:
            found, damage = self._look(partition, first, limit_bytes)
            end = found[-1].offset + 1 if found else first
            if limit_bytes >= _LEAST_BYTES and not damage:  # else somebody only looks at a record
                if tail is None or tail.is_lost or self._looked_up_to.get(partition) == first:
                    self._follow(partition, end)
                self._looked_up_to[partition] = end
        if damage and not found:
            raise DamagedRecord(number, first)
        return found

    def messages(self, partition: TopicPartition, first: int, end: int) -> Iterator[Message]:
        """Those from `first` to before `end` that can be read, without following. LogError."""
        while first < end:
            found, damage = self._look(partition, first, _FETCH_BYTES)
            for message in found:
                if message.offset >= end:
                    return
                yield message
            if found:
                first = found[-1].offset + 1
            elif damage:
                first += 1
            else:
                return

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            connections = (self._following, self._looking)
            self._following = self._looking = None
        for connection in connections:
            if connection is not None:
                connection.close()

    def _look(
        self, partition: TopicPartition, first: int, limit_bytes: int
    ) -> tuple[list[Message], Damage | None]:
        """By questions that are answered at once."""
        found: list[Message] = []
        size = 0
        while True:
            answer = self._look_connection().fetch_now(
                partition, first, min(max(limit_bytes, _LEAST_BYTES), _FETCH_BYTES)
            )
            if answer.error is OffsetOutOfRangeError:
                start = self._control.starts([partition])[partition]
                if found or first >= start:
                    return found, None  # beyond the end
                first = start
                continue
            if answer.error is not None:
                raise LogError(f"{self._place}: cannot read: {answer.error.__name__}")
            before = first
            for message in read_messages(answer.raw, first):
                if isinstance(message, Damage):
                    return found, message
                size += len(message.value)
                if found and size > limit_bytes:
                    return found, None
                found.append(message)
                first = message.offset + 1
            if first >= answer.high or first == before or size >= limit_bytes:
                return found, None

    def _read_on(self, tail: _Tail, limit_bytes: int) -> tuple[list[Message], Damage | None]:
        """What was fetched ahead; waits only for what is known to be there."""
        found: list[Message] = []
        size = 0
        end = max(tail.high, self._told.get(tail.partition, 0))
        give_up_at = time.monotonic() + self._place.timeout_seconds
        while True:
            while tail.parsed or self._parse_next(tail):
                message = tail.parsed[0]
                if isinstance(message, Damage):
                    tail.is_lost = True
                    return found, message
                size += len(message.value)
                if found and size > limit_bytes:
                    return found, None
                found.append(message)
                tail.parsed.popleft()
                tail.position = message.offset + 1
            if tail.position >= end or tail.is_lost:
                if not found and self._trouble is not None:
                    raise self._trouble
                return found, None
            with self._changed:
                came = tail.chunks or self._closed or self._changed.wait(_PATIENCE_SECONDS)
            if self._closed or (found and not came):
                return found, None
            if time.monotonic() > give_up_at:
                raise self._trouble or LogError(f"{self._place}: no broker sends records")

    def _parse_next(self, tail: _Tail) -> bool:
        """Unpacks one answer of a broker; whether there was one."""
        with self._changed:
            if not tail.chunks:
                return False
            raw = tail.chunks.popleft()
            tail.ahead -= len(raw)
        tail.parsed.extend(read_messages(raw, tail.position))
        return True

    def _follow(self, partition: TopicPartition, first: int) -> None:
        with self._changed:
            self._tails[partition] = _Tail(partition, first, first, self._told.get(partition, 0))
            if self._following is not None or self._closed:
                return
        connection = FetchConnection(self._place, self._topics)
        with self._changed:
            self._following = connection
        connection.start(self._tend, connection)

    async def _tend(self, connection: FetchConnection) -> None:
        """Sees to it that each broker has a fetch open while somebody wants something of it."""
        while not self._closed:
            for node, offsets in self._wanted(connection).items():
                if node not in self._busy:
                    self._busy.add(node)
                    connection.start(self._keep_fetching, connection, node, offsets)
            await connection.net.sleep(_LOOK_AROUND_SECONDS)

    async def _keep_fetching(
        self, connection: FetchConnection, node: int, offsets: Mapping[TopicPartition, int]
    ) -> None:
        try:
            while offsets and not self._closed:
                answer = await connection.fetch(node, offsets, _WAIT_MS, _FETCH_BYTES, _PARTITION_BYTES)
                if self._take(offsets, answer):
                    await connection.net.sleep(_RETRY_SECONDS)
                offsets = self._wanted(connection).get(node, {})
        except KafkaError as error:
            if not self._closed:
                self._trouble = LogError(f"{self._place}: cannot read: {type(error).__name__}: {error}")
                await connection.net.sleep(_RETRY_SECONDS)
        finally:
            self._busy.discard(node)

    def _wanted(self, connection: FetchConnection) -> dict[int, dict[TopicPartition, int]]:
        """Offsets to ask each broker for: of partitions with room, those that had least first."""
        with self._changed:
            tails = sorted(self._tails.values(), key=lambda tail: tail.ahead)
            room = _ALL_AHEAD_BYTES - sum([tail.ahead for tail in tails])
            wanted = [
                tail for tail in tails if not tail.is_lost and tail.ahead < (_AHEAD_BYTES if room > 0 else 1)
            ]
        found: dict[int, dict[TopicPartition, int]] = {}
        for tail in wanted:
            node = connection.leader(tail.partition)
            if node is not None:
                found.setdefault(node, {})[tail.partition] = tail.asked
        return found

    def _take(self, offsets: Mapping[TopicPartition, int], answer: Mapping[TopicPartition, Fetched]) -> bool:
        """Keeps what came. Whether to wait a little before the next fetch."""
        troubled = False
        with self._changed:
            for partition, fetched in answer.items():
                tail = self._tails.get(partition)
                if tail is None or tail.asked != offsets.get(partition):
                    continue  # it reads elsewhere meanwhile
                if fetched.error is not None:
                    tail.is_lost = fetched.error is OffsetOutOfRangeError
                    troubled = True
                    continue
                tail.high = max(tail.high, fetched.high)
                behind = next_offset(fetched.raw)
                if behind is not None and behind > tail.asked:
                    tail.asked = behind
                    tail.chunks.append(fetched.raw)
                    tail.ahead += len(fetched.raw)
                elif fetched.raw and behind is not None:
                    tail.is_lost = True  # heads that cannot be: a look says what is damaged
            self._trouble = None
            self._changed.notify_all()
        return troubled

    def _look_connection(self) -> FetchConnection:
        with self._changed:
            if self._looking is None:
                if self._closed:
                    raise LogError(f"{self._place} is closed")
                self._looking = FetchConnection(self._place, self._topics)
            return self._looking
