"""The log's first law where `kill -9` cannot test it: acknowledged records survive the loss of power.

The disk of tests/power_loss.py goes off at a drawn write, truncation or fsync; what it then holds is opened
as another process would.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from random import Random
from textwrap import dedent

import apsw
import pytest

from footfall.eventlog import sqlite_file, sqlite_log
from footfall.eventlog.log import LogError, Tally
from footfall.eventlog.sqlite_log import SqliteLog
from tests.power_loss import Disk, DiskFile, disk_that_can_lose_power

PLENTY = 1 << 30


def payload_of(number: int) -> bytes:
    return b"%d:" % number + Random(number).randbytes(Random(number).choice([10, 300, 3_000, 30_000]))


class Acknowledged:
    """What the writer promised before the power went, as a client would have noted it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.offsets: dict[int, int] = {}  # number of the record -> its offset
        self.counting = True

    def note(self, number: int, future: Future[int]) -> None:
        with self.lock:
            if self.counting and future.exception() is None:
                self.offsets[number] = future.result()

    def stop(self) -> None:
        with self.lock:
            self.counting = False


def write_until_the_power_goes(disk: Disk, random: Random) -> tuple[Acknowledged, int]:
    """Appends in bursts until the disk is off; returns what was acknowledged and how many were sent."""
    acknowledged = Acknowledged()
    disk.when_off = acknowledged.stop
    log = SqliteLog(disk.directory, max_bytes=PLENTY)
    writer = log.open_writer(0)
    disk.off_at = disk.operations + random.randrange(1, 400)
    number = 0
    while not disk.off:
        futures = []
        for _ in range(random.randrange(1, 12)):
            future = writer.append(payload_of(number), Tally("bank", "native", number % 3, 1))
            future.add_done_callback(partial(acknowledged.note, number))
            futures.append(future)
            number += 1
        futures[-1].exception(30)
    writer.close()
    log.close()
    return acknowledged, number


def assert_kept(directory: Path, acknowledged: Acknowledged, sent: int) -> None:
    log = SqliteLog(directory, max_bytes=PLENTY)
    found: dict[int, bytes] = {}
    while records := log.read(0, len(found), PLENTY):
        found.update({record.offset: record.payload for record in records})
    tallies, end = log.tallies_and_end(0)
    log.close()
    for number, offset in acknowledged.offsets.items():
        assert found.get(offset) == payload_of(number), f"acknowledged record {number} at {offset} is lost"
    assert sorted(found) == list(range(end))
    numbers = [int(payload.partition(b":")[0]) for payload in found.values()]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers), "a record is there twice"
    assert all(number < sent and payload_of(number) == found[offset] for offset, number in enumerate(numbers))
    assert sum(tally.count for tally in tallies) == end


def lose_power_once(directory: Path, seed: int) -> int:
    """A log's life, ended by a power loss drawn by `seed`; returns how many records were acknowledged."""
    random = Random(seed)
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "log").mkdir(parents=True)
    with disk_that_can_lose_power(directory / "log") as disk:
        acknowledged, sent = write_until_the_power_goes(disk, random)
        disk.put_what_is_left(directory / "after", random)
    assert_kept(directory / "after", acknowledged, sent)
    return len(acknowledged.offsets)


def lose_power_often(directory: Path, lives: int) -> int:
    acknowledged = 0
    for seed in range(lives):
        try:
            acknowledged += lose_power_once(directory, seed)
        except (AssertionError, LogError, apsw.Error) as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    return acknowledged


@pytest.fixture
def small_write_ahead_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the few hundred operations of a life hold several checkpoints."""
    monkeypatch.setattr(sqlite_log, "CHECKPOINT_BYTES", 300_000)


@pytest.mark.usefixtures("small_write_ahead_log")
def test_acknowledged_records_survive_a_loss_of_power(tmp_path: Path) -> None:
    assert lose_power_often(tmp_path / "life", 100) > 3_000


@pytest.mark.usefixtures("small_write_ahead_log")
@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_a_log_that_fsyncs_less_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    """The test above can fail."""
    monkeypatch.setattr(sqlite_file, "SYNCHRONOUS", synchronous)
    with pytest.raises(AssertionError, match="seed"):
        lose_power_often(tmp_path / "life", 40)


@pytest.mark.parametrize(("synchronous", "waits"), [("FULL", True), ("NORMAL", False)])
def test_a_future_is_done_only_after_the_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str, waits: bool
) -> None:
    monkeypatch.setattr(sqlite_file, "SYNCHRONOUS", synchronous)
    unsynced_when_done: list[int] = []
    with disk_that_can_lose_power(tmp_path) as disk:
        writer = SqliteLog(tmp_path, max_bytes=PLENTY).open_writer(0)
        for number in range(50):
            future = writer.append(payload_of(number), Tally("bank", "native", 1, 1))
            future.add_done_callback(lambda _: unsynced_when_done.append(disk.unsynced("-wal")))
            if number % 3 == 0:
                future.result(10)
        writer.close()
    assert len(unsynced_when_done) == 50
    assert (max(unsynced_when_done) == 0) is waits


@pytest.mark.parametrize("fsyncs", [True, False])
def test_what_a_killed_writer_left_unsynced_is_made_durable_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsyncs: bool
) -> None:
    """A commit whose fsync never ended may be seen after a kill: what was seen has to stay."""
    tally = Tally("bank", "native", 1, 1)
    with disk_that_can_lose_power(tmp_path / "log") as disk:
        writer = SqliteLog(tmp_path / "log", max_bytes=PLENTY).open_writer(0)
        writer.append(b"first", tally).result(10)
        before = disk.operations
        writer.append(b"second", tally).result(10)
        commit = disk.operations - before
        # Killed right before the fsync that ends the third commit.
        disk.off_at = disk.operations + commit
        disk.when_off = lambda: shutil.copytree(tmp_path / "log", tmp_path / "killed")
        writer.append(b"third", tally).result(10)
        writer.close()
    if not fsyncs:
        monkeypatch.setattr(sqlite_file, "checkpoint", lambda connection: None)
    with disk_that_can_lose_power(tmp_path / "killed") as disk:
        wal = tmp_path / "killed" / "partition-0000.db-wal"
        disk.files[wal] = DiskFile(b"", wal.stat().st_size, [(0, wal.read_bytes())])
        log = SqliteLog(tmp_path / "killed", max_bytes=PLENTY)
        seen = [record.payload for record in log.read(0, 0, PLENTY)]
        assert seen == [b"first", b"second", b"third"]
        disk.off = True
        log.close()
        disk.put_what_is_left(tmp_path / "after", Random(1))
    log = SqliteLog(tmp_path / "after", max_bytes=PLENTY)
    assert ([record.payload for record in log.read(0, 0, PLENTY)] == seen) is fsyncs
    log.close()


WRITER = dedent("""
    import sys
    from pathlib import Path
    from random import Random
    from footfall.eventlog.log import Tally
    from footfall.eventlog.sqlite_log import SqliteLog

    name, directory = sys.argv[1], Path(sys.argv[2])
    writer = SqliteLog(directory, max_bytes=1 << 30).open_writer(0)
    number = 0
    while True:
        futures = []
        for _ in range(50):
            payload = b"%s:%d:" % (name.encode(), number) + Random(number).randbytes(number % 5000)
            futures.append(writer.append(payload, Tally("bank", "native", 1, 1)))
            number += 1
        offsets = [future.result() for future in futures]
        sys.stdout.write("".join(f"{number - 50 + i} {offset}\\n" for i, offset in enumerate(offsets)))
        sys.stdout.flush()
""")


@pytest.mark.faults
def test_acknowledged_records_survive_a_killed_writer(tmp_path: Path) -> None:
    random = Random(11)
    acknowledged: dict[int, bytes] = {}
    for life in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(life), str(tmp_path)], stdout=subprocess.PIPE, bufsize=0
        )
        assert process.stdout is not None
        lines: list[bytes] = []
        wanted = random.randrange(300, 1_500)
        while len(lines) < wanted:
            lines += process.stdout.readline().splitlines()
        process.kill()
        lines += process.stdout.read().splitlines()[:-1]
        process.wait(10)
        process.stdout.close()
        for line in lines:
            number, offset = map(int, line.split())
            acknowledged[offset] = b"%d:%d:" % (life, number) + Random(number).randbytes(number % 5000)
        log = SqliteLog(tmp_path, max_bytes=PLENTY)
        found = {record.offset: record.payload for record in log.read(0, 0, PLENTY)}
        log.close()
        assert {offset: found.get(offset) for offset in acknowledged} == acknowledged
        assert sorted(found) == list(range(len(found)))
    assert len(acknowledged) > 1_500
