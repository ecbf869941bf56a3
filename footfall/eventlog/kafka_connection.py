"""Connections to a Kafka cluster: for questions and orders, and for fetching records.

Every failure of the client comes out as LogError. kafka-python's own lines below ERROR are not logged: at
DEBUG they hold its whole configuration, password and all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    RetriableError,
    for_code,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest, OffsetSpec
from kafka.structs import OffsetAndMetadata

from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.log import LogError

T = TypeVar("T")

_AGAIN_SECONDS = 0.1
_TOLD_SECONDS = 1.0
_COORDINATOR_STARTS = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError)

logging.getLogger("kafka").setLevel(logging.ERROR)


@contextmanager
def naming(place: KafkaPlace, what: str) -> Iterator[None]:
    """Failures within are LogErrors that say what could not be done, and where."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise LogError(f"{place}: {what}: {type(error).__name__}: {error}") from error


def make_client(kind: Callable[..., T], config: Mapping[str, Any]) -> T:
    """A client of kafka-python. One that fails while it is made would leave its thread and sockets behind."""
    made: list[KafkaNetClient] = []

    def make(**given: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**given))
        return made[-1]

    try:
        return kind(**config, kafka_client=make)
    except BaseException:
        for each in made:
            each.close()
        raise


class Control:
    """Asks and orders. Safe to use from several threads."""

    def __init__(self, place: KafkaPlace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._trouble: tuple[float, LogError] | None = None  # when, what

    def ask(self, what: str, question: Callable[[KafkaAdminClient], T]) -> T:
        """The answer; `what` says in an error what could not be done. LogError.

        What may pass is asked again for some time, of a new client: what the old one remembers (where a
        group's coordinator is) may be out of date. After that, nobody waits as long for a while: what went
        wrong is told at once.
        """
        trouble = self._trouble
        if trouble is not None and time.monotonic() - trouble[0] < _TOLD_SECONDS:
            raise trouble[1]
        try:
            with naming(self._place, what):
                answer = self._insist(question)
        except LogError as error:
            self._trouble = (time.monotonic(), error)
            raise
        self._trouble = None
        return answer

    def _insist(self, question: Callable[[KafkaAdminClient], T]) -> T:
        give_up_at = time.monotonic() + self._place.timeout_seconds
        while True:
            admin = None
            try:
                admin = self._connected()
                return question(admin)
            except _COORDINATOR_STARTS:
                if time.monotonic() > give_up_at:
                    raise
            except RetriableError:
                if admin is not None:
                    self._drop(admin)
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(_AGAIN_SECONDS)

    def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset that the next record of each gets, read now."""
        return self._offsets(partitions, OffsetSpec.LATEST, "cannot read end offsets")

    def starts(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset of the first record that is kept of each."""
        return self._offsets(partitions, OffsetSpec.EARLIEST, "cannot read start offsets")

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The group's next offsets; 0 where nothing was committed."""
        group = self._place.group
        found = self.ask(
            "cannot read committed offsets", lambda admin: admin.list_group_offsets({group: list(partitions)})
        )[group]
        return {each: max(0, found[each].offset) if each in found else 0 for each in partitions}

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        asked = {each: OffsetAndMetadata(offset, "", -1) for each, offset in offsets.items()}

        def order(admin: KafkaAdminClient) -> None:
            for error in admin.alter_group_offsets(self._place.group, asked).values():
                if error is not None and error.errno != 0:
                    raise error

        self.ask("cannot commit offsets", order)

    def delete_records(self, partition: TopicPartition, before: int) -> None:
        self.ask("cannot delete records", lambda admin: admin.delete_records({partition: before}))

    def close(self) -> None:
        with self._lock:
            admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _offsets(
        self, partitions: Sequence[TopicPartition], spec: OffsetSpec, what: str
    ) -> Mapping[TopicPartition, int]:
        asked = dict.fromkeys(partitions, spec)
        found = self.ask(what, lambda admin: admin.list_partition_offsets(asked))
        return {each: found[each].offset for each in partitions}

    def _connected(self) -> KafkaAdminClient:
        with self._lock:
            if self._admin is None:
                self._admin = make_client(KafkaAdminClient, self._place.client_config())
            return self._admin

    def _drop(self, admin: KafkaAdminClient) -> None:
        with self._lock:
            if self._admin is admin:
                self._admin = None
        admin.close()


class Fetched(NamedTuple):
    """What a broker answered for a partition."""

    error: type[KafkaError] | None
    raw: bytes
    """Record batches; the last may be cut off, the first may begin before what was asked for."""
    high: int
    """The offset that the next durable record gets."""


class FetchConnection:
    """Connections for fetching alone: a fetch that waits for records keeps what comes behind it waiting."""

    def __init__(self, place: KafkaPlace, topics: Sequence[str]) -> None:
        """LogError when no broker answers."""
        self._place = place
        config = place.client_config()
        self.net = NetworkSelector(**config)
        self._manager = KafkaConnectionManager(self.net, **config)
        self.net.start()
        try:
            with naming(place, "no broker answers"):
                self._manager.bootstrap(config["bootstrap_timeout_ms"])
                for topic in topics:
                    self._manager.cluster.add_topic(topic)
                self._manager.run(self._refreshed)
        except BaseException:
            self.close()
            raise

    async def _refreshed(self) -> None:
        await self._manager.cluster.request_update()

    def leader(self, partition: TopicPartition) -> int | None:
        """The broker to ask; None: not known now, but asked for."""
        node = self._manager.cluster.leader_for_partition(partition)
        if node is None or node == -1:
            self._manager.cluster.request_update()
            return None
        return int(node)

    def start(self, coroutine: Callable[..., Any], *args: object) -> None:
        """Runs it beside, in the client's thread."""
        self._manager.call_soon(coroutine, *args)

    def fetch_now(self, partition: TopicPartition, offset: int, max_bytes: int) -> Fetched:
        """One question, answered at once with what there is. LogError."""
        with naming(self._place, f"cannot read partition {partition.partition} of {partition.topic}"):
            answer = self._manager.run(self._fetch_now, partition, offset, max_bytes)
            found: Fetched = answer[partition]
            return found

    async def _fetch_now(
        self, partition: TopicPartition, offset: int, max_bytes: int
    ) -> Mapping[TopicPartition, Fetched]:
        node = self.leader(partition)
        if node is None:
            await self._manager.cluster.request_update()
            node = self.leader(partition)
        return await self.fetch(node, {partition: offset}, 0, max_bytes, max_bytes)

    async def fetch(
        self,
        node: int | None,
        offsets: Mapping[TopicPartition, int],
        wait_ms: int,
        max_bytes: int,
        partition_bytes: int,
    ) -> Mapping[TopicPartition, Fetched]:
        """What is there from those offsets on; waits for something so long. KafkaError."""
        topics: dict[str, list[Any]] = {}
        for (topic, number), offset in offsets.items():
            topics.setdefault(topic, []).append(
                FetchRequest.FetchTopic.FetchPartition(
                    partition=number,
                    current_leader_epoch=-1,
                    fetch_offset=offset,
                    last_fetched_epoch=-1,
                    partition_max_bytes=partition_bytes,
                )
            )
        request = FetchRequest(
            max_wait_ms=wait_ms,
            min_bytes=1,
            max_bytes=max_bytes,
            isolation_level=0,
            session_id=0,
            session_epoch=-1,
            topics=[FetchRequest.FetchTopic(topic=name, partitions=each) for name, each in topics.items()],
            forgotten_topics_data=[],
            rack_id="",
            min_version=4,
            max_version=12,
        )
        response = await self._manager.send(request, node_id=node)
        found: dict[TopicPartition, Fetched] = {}
        for topic in response.responses:
            for part in topic.partitions:
                error = None if part.error_code == 0 else for_code(part.error_code)
                if error is not None and getattr(error, "invalid_metadata", False):
                    self._manager.cluster.request_update()
                raw = bytes(part.records or b"")
                found[TopicPartition(topic.topic, part.partition_index)] = Fetched(
                    error, raw, part.high_watermark
                )
        return found

    def close(self) -> None:
        self._manager.close()
        self.net.close()
