"""Which processor owns which numbers of a log on Kafka: a consumer group whose members consume nothing.

Its topic is that of the main lane; whoever is given partition n of it owns the number n in all lanes. A group
of its own, so that what is committed (footfall/eventlog/kafka_log.py) does not hang on membership.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError

from footfall.eventlog.kafka_place import KafkaPlace
from footfall.eventlog.log import Owner

_log = structlog.get_logger(__name__)

SESSION_SECONDS: Final = 20
"""After so long without a word from a member its numbers are given to others."""

_LET_GO_SECONDS: Final = 2.0  # the group's heartbeats wait meanwhile
_POLL_MS: Final = 200
_AGAIN_SECONDS: Final = 1.0


class KafkaMember:
    """A member of the group, from now until `close`. Tries again for ever."""

    def __init__(self, place: KafkaPlace, topic: str, owner: Owner, name: str = "") -> None:
        """`owner` hears what it is given and what is taken. With a `name`, which no other member has at the
        same time, one that ends and starts again within SESSION_SECONDS keeps its numbers.
        """
        self._place = place
        self._topic = topic
        self._owner = owner
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-member", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leaves; without a name, at once for others, too."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            listener = _Listener(self._owner)
            try:
                with self._consumer() as consumer:
                    consumer.subscribe([self._topic], listener=listener)
                    while not self._stop.is_set():
                        consumer.poll(timeout_ms=_POLL_MS, max_records=1)
                        consumer.pause(*(consumer.assignment() - consumer.paused()))
            except (KafkaError, OSError) as error:
                _log.warning("kafka.member_away", error=f"{type(error).__name__}: {error}")
                self._stop.wait(_AGAIN_SECONDS)
            finally:
                listener.let_go_of_all()

    @contextmanager
    def _consumer(self) -> Iterator[Any]:
        config = self._place.client_config()
        # A member says nothing for as long as it waits for the group.
        config["request_timeout_ms"] = max(config["request_timeout_ms"], (SESSION_SECONDS + 10) * 1000)
        consumer = KafkaConsumer(
            **config,
            group_id=f"{self._place.group}.members",
            group_instance_id=self._name or None,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=SESSION_SECONDS * 1000 // 5,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_bytes=1,
            max_partition_fetch_bytes=1,
        )
        with closing(consumer):
            yield consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the owner, on the client's own thread."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._given: set[int] = set()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        numbers = _numbers(assigned)
        _log.info("kafka.member_given", numbers=sorted(numbers))
        self._given |= numbers
        self._owner.assign(numbers)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._let_go(_numbers(revoked), _LET_GO_SECONDS)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        self._let_go(_numbers(lost), 0.0)

    def let_go_of_all(self) -> None:
        """What the client did not tell before it ended."""
        self._let_go(self._given, 0.0)

    def _let_go(self, numbers: Collection[int], seconds: float) -> None:
        if numbers:
            _log.info("kafka.member_lets_go", numbers=sorted(numbers))
            self._owner.revoke(numbers, seconds)
            self._given = self._given.difference(numbers)


def _numbers(partitions: Iterable[TopicPartition]) -> set[int]:
    return {each.partition for each in partitions}
