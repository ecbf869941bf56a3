"""The broker that other tests run on: it takes records, and keeps those it took over a kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.kafka_broker import Broker

kafka = pytest.importorskip("kafka", reason="the extra `kafka` is not installed")


def test_what_the_broker_took_is_there_after_a_kill_and_a_pause(broker: Broker) -> None:
    from kafka.admin import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})
    with closing(kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        assert producer.send("kept", b"one").get(20).offset == 0
    broker.kill()
    broker.start()
    with closing(kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.partitions_for("kept")
        broker.pause()
        waiting = producer.send("kept", b"two")
        with pytest.raises(kafka.errors.KafkaTimeoutError):
            waiting.get(0.3)
        broker.resume()
        assert waiting.get(20).offset == 1
    assert list(_read(broker, "kept", 2)) == [b"one", b"two"]


def _read(broker: Broker, topic: str, count: int) -> Iterator[bytes]:
    partition = kafka.TopicPartition(topic, 0)
    with closing(kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        for _, message in zip(range(count), consumer, strict=False):
            yield message.value
