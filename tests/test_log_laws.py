"""Every law of footfall/eventlog/log.py, on every implementation."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from footfall.eventlog.lanes import BACKFILL, MAIN, OVERFLOW, partitions_of, place
from footfall.eventlog.log import DamagedRecord, Log, LogClosed, LogError, LogFull, LogWriter, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.opening import UnknownLog, open_log
from tests.kafka_broker import Broker
from tests.log_engines import (
    PLENTY,
    TALLY,
    Engine,
    KafkaEngine,
    MemoryEngine,
    SqliteEngine,
    append_all,
    payloads_of,
)


@pytest.fixture(params=["memory", "sqlite", "kafka"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "kafka":
        broker: Broker = request.getfixturevalue("broker")
        return KafkaEngine(broker.bootstrap, getattr(broker, "data", None))
    return MemoryEngine() if request.param == "memory" else SqliteEngine(tmp_path / "log")


@pytest.fixture
def limited(engine: Engine) -> Engine:
    """An engine with a byte limit of ours."""
    if not engine.has_byte_limit:
        pytest.skip("by nature: the byte limit of a log on Kafka is its brokers' disks")
    return engine


@pytest.fixture
def log(engine: Engine) -> Iterator[Log]:
    opened = engine.open()
    yield opened
    opened.close()


def test_an_acknowledged_record_survives_a_restart(engine: Engine) -> None:
    log = engine.open()
    writer = log.open_writer(0)
    append_all(writer, [b"one", b"two"])
    writer.close()
    again = engine.restart(log)
    assert payloads_of(again) == [b"one", b"two"]
    again.close()


def test_reads_back_the_bytes_that_were_appended_in_offset_order(log: Log) -> None:
    payloads = [b"", b"\x00\xff\n", "客户".encode(), b"x" * 100_000, *(f"{n}".encode() for n in range(500))]
    writer = log.open_writer(0)
    assert append_all(writer, payloads) == list(range(len(payloads)))
    records = log.read(0, 0, PLENTY)
    assert [record.offset for record in records] == list(range(len(payloads)))
    assert [record.payload for record in records] == payloads
    assert {record.partition for record in records} == {0}
    writer.close()


def test_reading_in_small_bites_gives_every_record_once(log: Log) -> None:
    payloads = [bytes([n % 251]) * (n % 90) for n in range(300)]
    writer = log.open_writer(0)
    append_all(writer, payloads)
    seen: list[bytes] = []
    while bite := payloads_of(log, first=len(seen), limit_bytes=200):
        assert len(bite) == 1 or sum(map(len, bite)) <= 200
        seen += bite
    assert seen == payloads
    writer.close()


def test_reads_at_least_one_record_however_big_it_is(log: Log) -> None:
    writer = log.open_writer(0)
    append_all(writer, [b"x" * 5_000, b"y"])
    assert payloads_of(log, limit_bytes=10) == [b"x" * 5_000]
    writer.close()


def test_what_a_thread_appended_in_order_has_ascending_offsets(log: Log) -> None:
    writer = log.open_writer(0)
    offsets: dict[int, list[int]] = {}

    def append_many(name: int) -> None:
        futures = [writer.append(f"{name}:{n}".encode(), TALLY) for n in range(200)]
        offsets[name] = [future.result(30) for future in futures]

    threads = [threading.Thread(target=append_many, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen == sorted(seen) for seen in offsets.values())
    assert sorted(offset for seen in offsets.values() for offset in seen) == list(range(800))
    stored = payloads_of(log)
    for name, seen in offsets.items():
        assert [stored[offset] for offset in seen] == [f"{name}:{n}".encode() for n in range(200)]
    writer.close()


def test_commit_is_remembered_and_never_moves_backwards(engine: Engine) -> None:
    log = engine.open()
    writer = log.open_writer(0)
    append_all(writer, [b"x"] * 10)
    assert log.position(0).committed == 0
    log.commit(0, 7)
    log.commit(0, 3)
    writer.close()
    again = engine.restart(log)
    position = again.position(0)
    assert (position.committed, position.end, position.lag) == (7, 10, 3)
    again.close()


def test_refuses_to_commit_what_was_never_appended(log: Log) -> None:
    writer = log.open_writer(0)
    append_all(writer, [b"x"])
    with pytest.raises(LogError, match="ends at 1"):
        log.commit(0, 2)
    writer.close()


def test_truncates_only_what_was_committed_and_keeps_offsets(log: Log) -> None:
    writer = log.open_writer(0)
    append_all(writer, [str(n).encode() for n in range(10)])
    log.commit(0, 6)
    assert log.truncate(0, 4) == 4
    assert log.truncate(0, 100) == 2
    assert log.truncate(0, 100) == 0
    assert [(record.offset, record.payload) for record in log.read(0, 0, PLENTY)] == [
        (6, b"6"),
        (7, b"7"),
        (8, b"8"),
        (9, b"9"),
    ]
    assert append_all(writer, [b"10"]) == [10]
    writer.close()


def test_offsets_go_on_after_everything_was_truncated_and_the_log_restarted(engine: Engine) -> None:
    log = engine.open()
    writer = log.open_writer(0)
    append_all(writer, [b"x"] * 5)
    log.commit(0, 5)
    assert log.truncate(0, 5) == 5
    writer.close()
    again = engine.restart(log)
    writer = again.open_writer(0)
    assert append_all(writer, [b"y"]) == [5]
    assert again.position(0).lag == 1
    writer.close()
    again.close()


def test_a_full_log_refuses_stores_nothing_and_accepts_again_after_truncation(limited: Engine) -> None:
    log = limited.open(max_bytes=10_000)
    writer = log.open_writer(0)
    append_all(writer, [b"x" * 1_000] * 9)
    with pytest.raises(LogFull):
        writer.append(b"y" * 1_000, TALLY).result(10)
    assert log.position(0).end == 9
    assert sum(tally.count for tally in log.tallies(0)) == 9
    log.commit(0, 3)
    log.truncate(0, 3)
    assert append_all(writer, [b"z" * 1_000]) == [9]
    assert payloads_of(log, first=9) == [b"z" * 1_000]
    writer.close()
    log.close()


def test_the_byte_limit_holds_over_a_restart(limited: Engine) -> None:
    log = limited.open(max_bytes=10_000)
    writer = log.open_writer(0)
    append_all(writer, [b"x" * 1_000] * 9)
    writer.close()
    again = limited.restart(log)
    writer = again.open_writer(0)
    with pytest.raises(LogFull):
        writer.append(b"y" * 1_000, TALLY).result(10)
    writer.close()
    again.close()


def test_of_many_waiting_records_a_full_log_takes_those_that_fit(limited: Engine) -> None:
    log = limited.open(max_bytes=10_000)
    writer = log.open_writer(0)
    futures = [writer.append(bytes([n]) * 1_000, TALLY) for n in range(20)]
    outcomes = [future.exception(10) for future in futures]
    stored = [n for n, outcome in enumerate(outcomes) if outcome is None]
    assert len(stored) == 9
    assert [payload[0] for payload in payloads_of(log)] == stored
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {LogFull}
    writer.close()
    log.close()


def test_tallies_sum_what_was_appended_and_outlive_truncation(engine: Engine) -> None:
    log = engine.open()
    writer = log.open_writer(0)
    expected: Counter[tuple[str, str, int]] = Counter()
    futures: list[Future[int]] = []
    for n in range(60):
        tally = Tally(f"project{n % 2}", ("native", "sensors")[n % 3 == 0], 100 + n % 4, n)
        expected[tally.project, tally.door, tally.minute] += n
        futures.append(writer.append(b"x", tally))
    for future in futures:
        future.result(10)
    log.commit(0, 60)
    log.truncate(0, 60)
    writer.close()
    again = engine.restart(log)
    tallies, end = again.tallies_and_end(0)
    assert {(t.project, t.door, t.minute): t.count for t in tallies} == expected
    assert end == 60
    assert len(tallies) == len(expected)
    assert list(again.tallies(0)) == tallies
    again.close()


def test_a_damaged_record_is_named_and_the_others_stay_readable(engine: Engine, log: Log) -> None:
    writer = log.open_writer(0)
    for n in range(6):  # each by itself: on Kafka, damage takes what was sent together
        append_all(writer, [str(n).encode()])
    writer.close()
    engine.damage(log, 0, 3)
    assert payloads_of(log) == [b"0", b"1", b"2"]
    with pytest.raises(DamagedRecord, match="record 3 of partition 0") as caught:
        log.read(0, 3, PLENTY)
    assert (caught.value.partition, caught.value.offset) == (0, 3)
    assert payloads_of(log, first=4) == [b"4", b"5"]


def test_partitions_are_independent_and_listed(engine: Engine, log: Log) -> None:
    writers = [log.open_writer(partition) for partition in (2, 0)]
    listed = [*range(3), *range(BACKFILL, BACKFILL + 3), *range(OVERFLOW, OVERFLOW + 3)]
    assert list(log.partitions()) == (listed if engine.routes else [0, 2])
    append_all(writers[0], [b"two"])
    append_all(writers[1], [b"zero", b"nought"])
    log.commit(2, 1)
    assert (log.position(0).lag, log.position(2).lag) == (2, 0)
    assert payloads_of(log, 2) == [b"two"]
    for writer in writers:
        writer.close()


def test_an_unknown_partition_is_an_error_that_names_the_known_ones(log: Log) -> None:
    writer = log.open_writer(0)
    with pytest.raises(LogError, match=r"no partition 7.*\[0"):
        log.position(7)
    writer.close()


def test_a_partition_has_one_writer(engine: Engine, log: Log) -> None:
    if engine.routes:
        pytest.skip("by nature: a log that routes has any number of writers")
    writer = log.open_writer(0)
    with pytest.raises(LogError, match="writer already"):
        log.open_writer(0)
    writer.close()
    log.open_writer(0).close()


def test_a_closed_writer_kept_everything_and_refuses_more(log: Log) -> None:
    writer = log.open_writer(0)
    futures = [writer.append(b"x", TALLY) for _ in range(100)]
    writer.close()
    writer.close()
    assert [future.result(0) for future in futures] == list(range(100))
    with pytest.raises(LogClosed):
        writer.append(b"y", TALLY).result(0)


async def test_an_event_loop_awaits_appends(log: Log) -> None:
    writer = log.open_writer(0)
    futures = [writer.append_async(str(n).encode(), TALLY) for n in range(100)]
    assert await asyncio.gather(*futures) == list(range(100))
    cancelled = writer.append_async(b"from a client that went away", TALLY)
    cancelled.cancel()
    assert await writer.append_async(b"next", TALLY) == 101
    writer.close()
    with pytest.raises(LogClosed):
        await writer.append_async(b"late", TALLY)


async def test_an_event_loop_is_told_that_the_log_is_full(limited: Engine) -> None:
    log = limited.open(max_bytes=100)
    writer = log.open_writer(0)
    with pytest.raises(LogFull):
        await writer.append_async(b"x" * 200, TALLY)
    writer.close()
    log.close()


class LogModel(RuleBasedStateMachine):
    """Any sequence of calls, against lists and numbers that do the same."""

    engine: Engine
    max_bytes = 3_000

    def __init__(self) -> None:
        super().__init__()
        self.log = self.make_engine().open(self.max_bytes)
        self.writer: LogWriter | None = self.log.open_writer(0)
        self.records: dict[int, bytes] = {}
        self.end = self.committed = self.counted = 0

    def make_engine(self) -> Engine:
        self.engine = MemoryEngine()
        return self.engine

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.log.close()

    @rule(payloads=st.lists(st.binary(max_size=400), max_size=5), count=st.integers(0, 9))
    def append(self, payloads: list[bytes], count: int) -> None:
        if self.writer is None:
            self.writer = self.log.open_writer(0)
        for payload in payloads:
            future = self.writer.append(payload, Tally("bank", "native", 5, count))
            size = sum(len(kept) + 64 for kept in [*self.records.values(), payload])
            if size <= self.max_bytes or not self.engine.has_byte_limit:
                assert future.result(10) == self.end
                self.records[self.end] = payload
                self.end += 1
                self.counted += count
            else:
                assert isinstance(future.exception(10), LogFull)

    @rule(part=st.floats(0, 1))
    def commit(self, part: float) -> None:
        offset = int(self.end * part)
        self.log.commit(0, offset)
        self.committed = max(self.committed, offset)

    @rule(part=st.floats(0, 1))
    def truncate(self, part: float) -> None:
        before = int(self.end * part)
        gone = [offset for offset in self.records if offset < min(before, self.committed)]
        assert self.log.truncate(0, before) == len(gone)
        for offset in gone:
            del self.records[offset]

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close_and_restart(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None
        self.log = self.engine.restart(self.log)

    @rule(first=st.integers(0, 40), limit_bytes=st.integers(1, 900))
    def read(self, first: int, limit_bytes: int) -> None:
        expected: list[tuple[int, bytes]] = []
        for offset in sorted(self.records):
            if offset >= first:
                size = sum(len(payload) for _, payload in expected) + len(self.records[offset])
                if expected and size > limit_bytes:
                    break
                expected.append((offset, self.records[offset]))
        found = self.log.read(0, first, limit_bytes)
        assert [(record.offset, record.payload) for record in found] == expected

    @invariant()
    def stands_where_the_model_stands(self) -> None:
        position = self.log.position(0)
        assert (position.committed, position.end) == (self.committed, self.end)
        tallies, end = self.log.tallies_and_end(0)
        assert (sum(tally.count for tally in tallies), end) == (self.counted, self.end)


class SqliteLogModel(LogModel):
    directory: Path
    number = 0

    def make_engine(self) -> Engine:
        SqliteLogModel.number += 1
        self.engine = SqliteEngine(self.directory / str(self.number))
        return self.engine


class KafkaLogModel(LogModel):
    broker: Broker

    def make_engine(self) -> Engine:
        self.engine = KafkaEngine(self.broker.bootstrap, None)
        return self.engine


def test_any_sequence_of_calls_on_the_log_on_kafka_fits_the_model(broker: Broker) -> None:
    KafkaLogModel.broker = broker
    _run_model(KafkaLogModel, examples=4)


def test_any_sequence_of_calls_on_the_memory_log_fits_the_model() -> None:
    _run_model(LogModel, examples=60)


def test_any_sequence_of_calls_on_the_sqlite_log_fits_the_model(tmp_path: Path) -> None:
    SqliteLogModel.directory = tmp_path
    _run_model(SqliteLogModel, examples=25)


def _run_model(model: type[LogModel], examples: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        model, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )


def test_opens_a_log_by_url(tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path}/log", max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [b"x"])
    writer.close()
    log.close()
    assert (tmp_path / "log" / "partition-0000.db").exists()
    open_log("memory://", max_bytes=PLENTY).close()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://localhost", "one of kafka, memory, sqlite"),
        ("sqlite:/tmp/x", "one of kafka, memory, sqlite"),
        ("sqlite://host/dir", "sqlite:///dir"),
        ("sqlite:///", "sqlite:///dir"),
        ("memory://x", "memory://"),
    ],
)
def test_a_url_that_names_no_log_says_what_to_write(url: str, complaint: str) -> None:
    with pytest.raises(UnknownLog, match=complaint):
        open_log(url, max_bytes=PLENTY)


def test_a_log_that_routes_puts_what_is_of_one_key_into_partitions_of_one_number() -> None:
    log = MemoryLog(max_bytes=PLENTY, routes=True, numbers=4)
    writers = [log.open_writer(lane) for lane in (MAIN, BACKFILL, MAIN)]
    for number in range(40):
        for writer in writers:
            writer.append(b"x", TALLY, key=number.to_bytes(8, "big")).result()
    assert log.partitions() == [*range(MAIN, MAIN + 4), *range(BACKFILL, BACKFILL + 4)]
    assert [log.position(partition).end for partition in log.partitions()] == [20] * 4 + [10] * 4
    assert partitions_of(3, log.partitions()) == [3, BACKFILL + 3]
    assert place((7).to_bytes(8, "big"), OVERFLOW, 4) == OVERFLOW + 3
