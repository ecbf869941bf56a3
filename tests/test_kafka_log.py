"""The log on Kafka beyond the laws: brokers that hang, topics that are refused, TLS, passwords, tallies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from footfall.eventlog import opening
from footfall.eventlog.kafka_place import InvalidKafkaUrl, KafkaAccess, parse_kafka_url
from footfall.eventlog.lanes import MAIN, place
from footfall.eventlog.log import Log, LogError, LogFull, RecordRefused, Tally
from footfall.eventlog.opening import UnknownLog, open_log
from tests.kafka_broker import Broker, JarBroker, kafka_or_skip, unused_ports
from tests.kafka_jars import KafkaMissing, distribution
from tests.log_engines import PLENTY, TALLY, KafkaEngine, append_all, payloads_of

HOUR_MS = 3_600_000


def open_on(broker: Broker, topic: str, query: str = "partitions=2") -> Log:
    return open_log(f"kafka://{broker.bootstrap}/{topic}?{query}", max_bytes=PLENTY)


@pytest.fixture
def topic(new_name: Callable[[str], str]) -> str:
    return f"{new_name('topic')}-{time.time_ns()}"


def make_topic(broker: Broker, name: str, partitions: int = 2, **configs: str) -> None:
    config = {
        "retention.ms": str(72 * HOUR_MS),
        "max.message.bytes": str(64 << 20),
        "segment.ms": str(HOUR_MS),
    }
    config |= {key.replace("_", "."): value for key, value in configs.items()}
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": config}
    with closing(kafka_or_skip().KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.create_topics({name: options})


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_broker_that_hangs_costs_bounded_time_and_memory_and_nothing_that_was_acknowledged(
    client: str, broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footfall.eventlog.kafka_writer.WAITING_BYTES_LIMIT", 100_000)
    with closing(open_on(broker, topic, f"partitions=1&timeout_seconds=1&client={client}")) as log:
        writer = log.open_writer(MAIN)
        append_all(writer, [b"before"])
        assert payloads_of(log) == [b"before"]
        broker.pause()
        try:
            hanging = [writer.append(b"x" * 1_000, TALLY) for _ in range(150)]
            outcomes = [future.exception(10) for future in hanging]
            assert [type(outcome) for outcome in outcomes] == [LogError] * 94 + [LogFull] * 56
            with pytest.raises(LogError, match=topic):
                writer.append(b"y", TALLY).result(10)
            with pytest.raises(LogError, match=topic):
                log.positions()
        finally:
            broker.resume()
        give_up_at = time.monotonic() + 30
        while True:
            try:
                end = writer.append(b"after", TALLY).result(10)
                break
            except LogError:
                assert time.monotonic() < give_up_at
                time.sleep(0.1)
        assert payloads_of(log, first=end) == [b"after"]
        time.sleep(1.1)  # so long the last failure is told
        assert sum(tally.count for tally in log.tallies(0)) == end + 1
        writer.close()


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_what_is_too_large_for_the_topic_is_refused_for_good(client: str, broker: Broker, topic: str) -> None:
    with closing(open_on(broker, topic, f"partitions=1&client={client}")) as log:
        writer = log.open_writer(MAIN)
        with pytest.raises(RecordRefused, match=topic):
            writer.append(bytes(49 << 20), TALLY).result(20)
        assert append_all(writer, [b"next"]) == [0]
        writer.close()


def test_a_look_at_a_quiet_partition_asks_no_broker(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_on(broker, topic)) as log:
        writer = log.open_writer(MAIN)
        append_all(writer, [b"one"])
        assert payloads_of(log) == [b"one"]
        assert payloads_of(log, first=1) == []

        def asked(*_: object) -> None:
            raise AssertionError("a broker was asked")

        monkeypatch.setattr("footfall.eventlog.kafka_connection.FetchConnection.fetch_now", asked)
        monkeypatch.setattr("footfall.eventlog.kafka_connection.Control.ask", asked)
        assert [payloads_of(log, first=1) for _ in range(100)] == [[]] * 100
        assert append_all(writer, [b"two"]) == [1]
        assert payloads_of(log, first=1) == [b"two"]
        writer.close()


def test_records_of_a_key_lie_where_the_log_in_memory_puts_them(broker: Broker, topic: str) -> None:
    with closing(open_on(broker, topic, "partitions=3")) as log:
        writers = [log.open_writer(MAIN), log.open_writer(MAIN)]
        keys = [number.to_bytes(8, "big") for number in range(12)]
        for writer in writers:
            for future in [writer.append(key, TALLY, key) for key in keys]:
                future.result(10)
        for partition in range(3):
            expected = [key for key in keys if place(key, MAIN, 3) == partition]
            assert sorted(payloads_of(log, partition)) == sorted(expected * 2)
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    ("configs", "complaint"),
    [
        ({"retention_ms": str(HOUR_MS)}, r"kept for 1 hours, 72 are needed.*retention.ms=259200000"),
        ({"cleanup_policy": "compact"}, "compaction would drop records.*cleanup.policy=delete"),
        ({"max_message_bytes": "1000000"}, "the topic takes 1000000.*max.message.bytes="),
    ],
)
def test_a_topic_that_could_lose_records_is_refused_with_what_to_change(
    broker: Broker, topic: str, configs: dict[str, str], complaint: str
) -> None:
    make_topic(broker, topic, **configs)
    with pytest.raises(UnknownLog, match=f"topic {topic}: .*{complaint}"):
        open_on(broker, topic)


def test_lanes_of_different_numbers_of_partitions_are_refused(broker: Broker, topic: str) -> None:
    make_topic(broker, topic, partitions=2)
    make_topic(broker, f"{topic}.overflow", partitions=3)
    with pytest.raises(UnknownLog, match=rf"{topic}.overflow has 3 partitions, but another lane has 2"):
        open_on(broker, topic, "")
    with pytest.raises(UnknownLog, match=f"{topic} has 2 partitions, but the URL says 3"):
        open_on(broker, topic, "partitions=3")


def test_what_may_lose_records_when_brokers_fail_is_warned_of() -> None:
    kafka_or_skip()
    from footfall.eventlog.kafka_topics import _warn

    values = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true", "retention.bytes": "1000"}
    with capture_logs() as said:
        _warn("events", values, replicas=3)
    assert [line["problem"].split()[0] for line in said] == ["min.insync.replicas", "an", "retention.bytes"]


def test_a_broker_that_is_away_at_the_start_is_waited_for(topic: str) -> None:
    kafka_or_skip()
    (port,) = unused_ports(1)
    url = f"kafka://127.0.0.1:{port}/{topic}?timeout_seconds=1"
    with capture_logs() as said, closing(open_log(url, max_bytes=PLENTY)) as log:
        for call in (log.partitions, log.positions, lambda: log.open_writer(MAIN)):
            with pytest.raises(LogError, match=topic):
                call()
    assert "kafka.away" in [line["event"] for line in said]


@pytest.mark.parametrize("module", ["kafka", "crc32c"])
def test_without_its_modules_the_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == module else object())
    with pytest.raises(UnknownLog, match=rf"module {module}, .* pip install 'footfall\[kafka\]'"):
        open_log("kafka://localhost/events", max_bytes=PLENTY)


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("/events", "no host is named"),
        ("host", "'' is no topic"),
        ("host/a/b", "'a/b' is no topic"),
        ("host/events?partition=3", "did you mean partitions"),
        ("host/events?partitions=0", "a number from 1 to 999"),
        ("host/events?retention_hours=24", "a number from 72"),
        ("host/events?acks=1", "only all is possible"),
        ("host/events?tls=maybe", "one of no, yes"),
        ("host/events?sasl=plain", "FOOTFALL_KAFKA_PASSWORD"),
        ("user@host/events", "FOOTFALL_KAFKA_PASSWORD"),
    ],
)
def test_a_url_says_what_to_write(rest: str, complaint: str) -> None:
    with pytest.raises(InvalidKafkaUrl, match=complaint):
        parse_kafka_url(rest)


def test_a_url_names_servers_topic_and_who_we_are() -> None:
    found = parse_kafka_url("me:s%40crt@one,two:9093/events?partitions=6&tls=yes&sasl=plain&truncate=yes")
    assert (found.servers, found.topic, found.partitions) == (("one:9092", "two:9093"), "events", 6)
    config = found.client_config()
    assert (config["security_protocol"], config["sasl_mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("me", "s@crt")
    assert "s@crt" not in f"{found} {found!r}"
    assert parse_kafka_url("one/events", KafkaAccess("me", "secret")).sasl == "scram-sha-512"


@pytest.fixture(scope="module")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A broker with TLS and passwords: where it listens, and the certificate that it is known by."""
    directory = tmp_path_factory.mktemp("secure")
    try:
        kafka = distribution()
    except KafkaMissing as error:
        pytest.skip(f"a broker with TLS is made from the jars: {error}")
    pem = _certificate()
    (directory / "broker.pem").write_bytes(pem)
    (directory / "ca.pem").write_bytes(pem[pem.index(b"-----BEGIN CERT") :])
    (port,) = unused_ports(1)
    secure = "listener.name.secure"
    running = JarBroker(kafka, directory, {
        f"{secure}.ssl.keystore.type": "PEM",
        f"{secure}.ssl.keystore.location": str(directory / "broker.pem"),
        f"{secure}.sasl.enabled.mechanisms": "PLAIN",
        f"{secure}.plain.sasl.jaas.config":
            'org.apache.kafka.common.security.plain.PlainLoginModule required user_footfall="s3cret";',
    })  # fmt: skip
    plain = running.bootstrap
    controller = running.properties["listeners"].split(",")[1]
    running.properties |= {
        "listeners": f"PLAINTEXT://{plain},{controller},SECURE://127.0.0.1:{port}",
        "advertised.listeners": f"PLAINTEXT://{plain},SECURE://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    running.start()
    with closing(running):
        yield f"127.0.0.1:{port}", directory / "ca.pem"


def test_tls_and_a_password_are_kept_to(secure_broker: tuple[str, Path]) -> None:
    kafka_or_skip()
    server, ca = secure_broker
    url = f"kafka://{server}/secure?partitions=1&sasl=plain&timeout_seconds=3"
    for offset, client in enumerate(("kafka-python", "confluent")):
        right = KafkaAccess("footfall", "s3cret", str(ca))
        with closing(open_log(f"{url}&client={client}", max_bytes=1, kafka=right)) as log:
            writer = log.open_writer(MAIN)
            assert append_all(writer, [b"sealed"]) == [offset]
            assert payloads_of(log, first=offset) == [b"sealed"]
            writer.close()
    for access in (KafkaAccess("footfall", "wr0ng", str(ca)), KafkaAccess("footfall", "s3cret")):
        with (
            capture_logs() as said,
            closing(open_log(url, max_bytes=1, kafka=access)) as log,
            pytest.raises(LogError) as caught,
        ):
            log.positions()
        assert not {"wr0ng", "s3cret"} & set(f"{caught.value} {said}".replace("'", " ").split())


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker.bank.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def test_what_was_read_is_not_read_again_to_be_counted() -> None:
    kafka_or_skip()
    from footfall.eventlog.kafka_records import Message
    from footfall.eventlog.kafka_tallies import TallyBook

    stored: dict[bytes, bytes] = {}
    read_again: list[tuple[int, int]] = []

    def messages(partition: int, first: int, end: int) -> list[Message]:
        read_again.append((first, end))
        return [Message(offset, b"", b"", TALLY) for offset in range(first, end)]

    book = TallyBook(messages, list, stored.__setitem__)
    book.remember(3, messages(3, 0, 6))
    book.remember(3, messages(3, 2, 3))  # a query asks when the oldest unread record came
    book.remember(3, messages(3, 6, 10))
    read_again.clear()
    book.close_ranges(3, 4)
    book.close_ranges(3, 9)
    assert book.sums(3, 9) == [Tally("bank", "native", 29_000_000, 9)]
    assert (read_again, [*stored]) == ([], [b"3:0"])
    book.remember(3, messages(3, 20, 30))  # another had it meanwhile
    read_again.clear()
    book.close_ranges(3, 25)
    assert (read_again, book.sums(3, 25)[0].count) == ([(9, 25)], 25)


def test_the_longer_of_two_ranges_counts_and_is_stored_last() -> None:
    kafka_or_skip()
    from footfall.eventlog.kafka_tallies import TallyBook

    def stored_range(behind: int) -> bytes:
        sums = f'[["bank","native",7,{behind}]]'
        return f'{{"partition":0,"from":0,"to":{behind},"sums":{sums}}}'.encode()

    told = [[stored_range(8), stored_range(6)], [], []]  # the shorter one came from who lost the partition
    stored: dict[bytes, bytes] = {}
    book = TallyBook(lambda *_: [], told.pop, stored.__setitem__)
    told.reverse()
    assert book.sums(0, 8) == [Tally("bank", "native", 7, 8)]
    book.close_ranges(0, 8)
    assert stored == {b"0:0": stored_range(8)}
    stored.clear()
    book.close_ranges(0, 8)
    assert stored == {}


def test_ranges_of_tallies_survive_the_records_and_a_writer_that_lost_the_partition(broker: Broker) -> None:
    engine = KafkaEngine(broker.bootstrap, None)
    late, owner = engine.open(), engine.open()
    writer = owner.open_writer(0)
    append_all(writer, [b"x"] * 10, Tally("bank", "native", 7, 2))
    late.commit(0, 4)  # then it stalls, and another takes over
    assert payloads_of(owner, first=4) == [b"x"] * 6
    owner.commit(0, 8)
    late._committed[0] = 4  # type: ignore[attr-defined]
    late.commit(0, 6)  # its range is shorter than what is known
    owner.commit(0, 9)
    writer.close()
    late.close()
    again = engine.restart(owner)
    again.truncate(0, 9)
    assert payloads_of(again) == [b"x"]
    assert again.tallies_and_end(0) == ([Tally("bank", "native", 7, 20)], 10)
    again.close()
