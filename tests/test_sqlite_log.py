"""The log's SQLite files: two processes, space on the disk, files that are lost or damaged, full disks."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

import apsw
import pytest

from footfall.eventlog import group_commit, sqlite_log
from footfall.eventlog.log import DamagedRecord, LogError, LogFull
from footfall.eventlog.sqlite_log import SqliteLog
from tests.log_engines import PLENTY, TALLY, append_all, payloads_of


def test_two_processes_cannot_both_write_a_partition(tmp_path: Path) -> None:
    first, second = (SqliteLog(tmp_path, max_bytes=PLENTY) for _ in range(2))
    writer = first.open_writer(0)
    with pytest.raises(LogError, match="writer already"):
        second.open_writer(0)
    writer.close()
    second.open_writer(0).close()


def test_a_reader_opened_before_the_writer_sees_what_comes(tmp_path: Path) -> None:
    reader, collector = (SqliteLog(tmp_path, max_bytes=PLENTY) for _ in range(2))
    assert list(reader.partitions()) == []
    writer = collector.open_writer(0)
    assert list(reader.partitions()) == [0]
    for n in range(50):
        append_all(writer, [str(n).encode()])
        assert payloads_of(reader, first=n) == [str(n).encode()]
    writer.close()
    reader.close()


def test_truncation_goes_on_beside_a_busy_writer(tmp_path: Path) -> None:
    reader, collector = (SqliteLog(tmp_path, max_bytes=PLENTY) for _ in range(2))
    writer = collector.open_writer(0)
    append_all(writer, [Random(1).randbytes(3_000)] * 2_000)
    reader.commit(0, 2_000)
    stop = threading.Event()
    appended: list[int] = []

    def keep_writing() -> None:
        while not stop.is_set():
            appended.extend(append_all(writer, [b"y" * 3_000] * 20))

    thread = threading.Thread(target=keep_writing)
    thread.start()
    removed = 0
    while removed < 2_000:
        removed += reader.truncate(0, 2_000)
    stop.set()
    thread.join()
    assert appended == list(range(2_000, 2_000 + len(appended)))
    assert len(payloads_of(reader)) == len(appended)
    writer.close()
    reader.close()


def test_the_file_shrinks_after_truncation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "KEPT_FREE_BYTES", 1 << 20)
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    incompressible = Random(1).randbytes(20_000)
    append_all(writer, [incompressible] * 1_000)
    log.commit(0, 1_000)
    log.truncate(0, 990)
    writer.close()
    assert (tmp_path / "partition-0000.db").stat().st_size < 3 << 20
    assert payloads_of(log) == [incompressible] * 10
    log.close()


def test_the_write_ahead_log_stays_bounded(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    biggest = 0
    for _ in range(40):
        append_all(writer, [Random(1).randbytes(50_000)] * 50)
        payloads_of(log, limit_bytes=100_000)
        biggest = max(biggest, (tmp_path / "partition-0000.db-wal").stat().st_size)
    assert biggest < 48 << 20
    writer.close()
    log.close()


def test_offsets_do_not_begin_again_when_a_partition_file_was_lost(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [b"x"] * 5)
    log.commit(0, 5)
    writer.close()
    log.close()
    for file in tmp_path.glob("partition-0000.db*"):
        file.unlink()
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    assert append_all(writer, [b"y"]) == [5]
    assert log.position(0).lag == 1
    writer.close()
    log.close()


def test_a_bit_flip_anywhere_in_the_file_is_never_delivered(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log", max_bytes=PLENTY)
    writer = log.open_writer(0)
    payloads = [Random(n).randbytes(9_000) for n in range(60)]
    append_all(writer, payloads)
    writer.close()
    log.close()
    file = tmp_path / "log" / "partition-0000.db"
    whole = file.read_bytes()
    for position in range(5 * 16384 + 7, len(whole), 16_001):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        for leftover in tmp_path.glob("log/*-wal"):
            leftover.unlink()
        log = SqliteLog(tmp_path / "log", max_bytes=PLENTY)
        delivered, damaged, offset = 0, 0, 0
        while offset < len(payloads):
            try:
                records = log.read(0, offset, 20_000)
            except DamagedRecord as error:
                damaged += 1
                offset = error.offset + 1
                continue
            for record in records:
                assert record.payload == payloads[record.offset]
            delivered += len(records)
            offset = records[-1].offset + 1
        assert delivered + damaged == len(payloads)  # none skipped
        log.close()


def test_a_full_disk_is_a_full_log_and_heals(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [b"x" * 1_000])
    connection = writer._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(
        f"PRAGMA max_page_count = {pages + 2}"
    )  # SQLite then answers as it does on a full disk
    with pytest.raises(LogFull):
        writer.append(Random(1).randbytes(1_000_000), TALLY).result(10)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert append_all(writer, [b"z"]) == [1]
    assert payloads_of(log) == [b"x" * 1_000, b"z"]
    writer.close()
    log.close()


def test_an_error_of_the_disk_reaches_everyone_who_waits(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [b"before"])
    connection = writer._connection  # type: ignore[attr-defined]
    (trigger,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'arrive'").fetchone()
    connection.execute("DROP TRIGGER arrive")
    with pytest.raises(LogError, match="partition-0000 could not be written"):
        writer.append(b"x", TALLY).result(10)
    connection.execute(trigger)
    assert append_all(writer, [b"after"]) == [1]
    writer.close()
    log.close()


def test_a_hanging_disk_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "WAITING_BYTES_LIMIT", 10_000)
    disk_answers = threading.Event()

    def store(group: object) -> list[int]:
        disk_answers.wait(30)
        return list(range(len(group)))  # type: ignore[arg-type]

    groups = group_commit.GroupCommit("slow", store, lambda: None)
    futures = [groups.append(b"x" * 1_000, TALLY) for _ in range(40)]
    refused = [future for future in futures if future.done()]
    assert len(refused) >= 19
    assert isinstance(refused[0].exception(), LogFull)
    disk_answers.set()
    groups.close()
    assert all(future.done() for future in futures)


@pytest.mark.parametrize(
    "contents", [b"", b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 20_000]
)
@pytest.mark.parametrize("name", ["partition-0000.db", "offsets.db", "partition-0000.lock"])
def test_a_file_that_is_none_of_ours_is_named_with_what_to_do(
    tmp_path: Path, name: str, contents: bytes
) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [b"x"] * 5)
    log.commit(0, 5)
    writer.close()
    log.close()
    for leftover in tmp_path.glob(f"{name}-*"):
        leftover.unlink()
    (tmp_path / name).write_bytes(contents)
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    if name.endswith(".lock") and not contents:
        log.open_writer(0).close()
    else:
        with pytest.raises(LogError, match=rf"{name}.*(stop Footfall|delete it)"):
            log.open_writer(0)
    if name.endswith(".db"):
        with pytest.raises(LogError, match=rf"{name}.*stop Footfall"):
            log.position(0)
    log.close()


def test_a_file_that_is_damaged_while_it_is_open_is_named(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    writer = log.open_writer(0)
    append_all(writer, [Random(n).randbytes(9_000) for n in range(60)])
    writer.close()
    log.close()
    file = tmp_path / "partition-0000.db"
    connection = apsw.Connection(str(file))
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tallies'").fetchone()
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * 16384)
        opened.write(b"\xff" * 16384)
    log = SqliteLog(tmp_path, max_bytes=PLENTY)
    with pytest.raises(LogError, match=r"partition-0000\.db is damaged"):
        list(log.tallies(0))
    assert log.position(0).end == 60, "what is not damaged can be read on"
    log.close()
