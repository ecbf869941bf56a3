"""The broker that other tests run on: it takes records, and keeps those it took over a kill."""

from __future__ import annotations

from contextlib import closing

from tests.kafka_broker import Broker, kafka_or_skip


def test_what_the_broker_took_is_there_after_a_kill_and_a_pause(broker: Broker) -> None:
    kafka = kafka_or_skip()
    with closing(kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})
    with closing(kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        assert producer.send("kept", b"one").get(20).offset == 0
    broker.kill()
    broker.start()
    with closing(kafka.KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        producer.partitions_for("kept")
        broker.pause()
        waiting = producer.send("kept", b"two")
        broker.resume()
        assert waiting.get(20).offset == 1
