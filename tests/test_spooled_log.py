"""Every law of footfall/eventlog/spooled_log.py, before a log that refuses, hangs and forgets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from footfall.eventlog.log import LogClosed, LogError, LogFull, RecordRefused, Tally
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.spool import Spool
from footfall.eventlog.spooled_log import NOT_KNOWN, SpooledWriter
from footfall.eventlog.sqlite_log import SqliteLog
from footfall.weather import Weather
from tests.failing_log import FailingLog, Mood

ROOT = Path(__file__).parent.parent
TALLY = Tally("bank", "native", 29_000_000, 2)
PLENTY = 1 << 30
KEYS = [bytes([n]) * 8 for n in range(8)]


class Before:
    """A spooled writer before a log of four numbers."""

    def __init__(self, directory: Path, mood: Mood = "fine", *, max_bytes: int = PLENTY) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.memory = MemoryLog(max_bytes=PLENTY, routes=True, numbers=4)
        self.log = FailingLog(self.memory, mood)
        self.weather = Weather()
        self.start()

    def start(self) -> None:
        self.spool = Spool(self.directory, 0, max_bytes=self.max_bytes)
        self.writer = SpooledWriter(
            lambda: self.log.open_writer(0), self.spool, patience_seconds=0.3, weather=self.weather
        )

    def append(self, *payloads: bytes, key: bytes = KEYS[0]) -> list[int]:
        return [self.writer.append(payload, TALLY, key).result(20) for payload in payloads]

    def in_log(self) -> list[bytes]:
        return [
            record.payload
            for partition in self.memory.partitions()
            for record in self.memory.read(partition, 0, PLENTY)
        ]

    def is_drained(self) -> bool:
        return self.writer.is_direct and not self.weather.since

    def settle(self) -> None:
        until(self.is_drained)


@contextmanager
def before(directory: Path, mood: Mood = "fine", **options: int) -> Iterator[Before]:
    made = Before(directory, mood, **options)
    try:
        yield made
    finally:
        made.writer.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_while_the_log_is_there_nothing_is_spooled(tmp_path: Path) -> None:
    with before(tmp_path) as system:
        system.settle()
        assert NOT_KNOWN not in system.append(b"one", b"two")
        assert system.in_log() == [b"one", b"two"]
        assert system.writer.counts.spooled == 0
        assert sum(tally.count for tally in system.memory.tallies(0)) == 4


@pytest.mark.parametrize("mood", ["refuses", "hangs", "forgets", "unreachable"])
def test_what_the_log_does_not_take_reaches_it_once_it_is_back(tmp_path: Path, mood: Mood) -> None:
    payloads = [str(n).encode() for n in range(40)]
    with before(tmp_path, mood) as system:
        system.append(*payloads[:20])
        until(lambda: "log" in system.weather.since)
        assert system.writer.counts.spooled >= 20
        assert system.writer.waiting_bytes > 0
        until(lambda: system.writer.counts.waiting_since > 0)
        assert system.writer.refusal() is None
        system.log.mood = "fine"
        system.settle()
        system.append(*payloads[20:])
        found = system.in_log()
        assert list(dict.fromkeys(found)) == payloads, "in order"
        assert mood == "forgets" or len(found) == 40, "once"
        assert system.writer.counts.waiting_since == 0


def test_the_log_counts_what_was_spooled_and_the_spool_does_not(tmp_path: Path) -> None:
    with before(tmp_path, "refuses") as system:
        system.append(b"a", b"b", b"c")
        system.log.mood = "fine"
        system.settle()
        assert [tally for each in range(4) for tally in system.memory.tallies(each)] == [
            Tally("bank", "native", 29_000_000, 6)
        ]


def test_an_acknowledged_record_survives_a_restart_and_is_drained_then(tmp_path: Path) -> None:
    with before(tmp_path, "refuses") as system:
        system.append(b"one", b"two")
        system.writer.close()
        assert system.in_log() == []
        system.log.mood = "fine"
        system.start()
        system.settle()
        assert system.in_log() == [b"one", b"two"]


def test_what_comes_goes_behind_what_waits(tmp_path: Path) -> None:
    with before(tmp_path, "refuses") as system:
        payloads = [str(n).encode() for n in range(300)]
        system.append(*payloads[:100])
        system.log.mood = "fine"
        for payload in payloads[100:]:  # while it is drained, and after
            system.append(payload)
        system.settle()
        assert system.in_log() == payloads


def test_each_keys_records_keep_their_order_through_many_outages(tmp_path: Path) -> None:
    random = Random(7)
    sent: dict[bytes, list[bytes]] = {key: [] for key in KEYS}
    with before(tmp_path) as system:
        for n in range(400):
            if n % 25 == 0:
                system.log.mood = random.choice(["fine", "refuses", "fine", "hangs"])
            key = random.choice(KEYS)
            sent[key].append(b"%d of %d" % (n, key[0]))
            system.append(sent[key][-1], key=key)
        system.log.mood = "fine"
        system.settle()
        found = system.in_log()
    assert Counter(found) == Counter(payload for payloads in sent.values() for payload in payloads)
    for payloads in sent.values():
        assert [payload for payload in found if payload in set(payloads)] == payloads


def test_nothing_of_what_was_drained_stays_on_the_disk(tmp_path: Path) -> None:
    secrets = [b"customer %d " % n + Random(n).randbytes(20).hex().encode() * 3 for n in range(200)]
    with before(tmp_path, "refuses") as system:
        system.append(*secrets)
        assert any(secrets[0] in file.read_bytes() for file in tmp_path.iterdir())
        system.log.mood = "fine"
        system.settle()
        until(lambda: not any(b"customer" in file.read_bytes() for file in tmp_path.iterdir()))


def test_when_both_are_full_appends_fail_and_nothing_of_them_is_stored(tmp_path: Path) -> None:
    with before(tmp_path, "refuses", max_bytes=10_000) as system:
        payloads = [Random(n).randbytes(1_000) for n in range(12)]
        outcomes = [system.writer.append(payload, TALLY, KEYS[0]) for payload in payloads]
        failed = [n for n, outcome in enumerate(outcomes) if outcome.exception(20) is not None]
        assert 0 < len(failed) < 12
        assert {type(outcomes[n].exception()) for n in failed} == {LogFull}
        assert system.writer.refusal() == "the log cannot be reached, and the spool is full"
        system.log.mood = "fine"
        system.settle()
        assert system.in_log() == [payload for n, payload in enumerate(payloads) if n not in failed]
        system.append(payloads[failed[0]])
        assert system.writer.refusal() is None


def test_what_the_log_never_takes_is_its_senders_to_know(tmp_path: Path) -> None:
    with before(tmp_path) as system:
        system.settle()
        system.log.refused[b"too large"] = RecordRefused("too large")
        with pytest.raises(RecordRefused):
            system.append(b"too large")
        assert system.writer.counts.spooled == 0
        system.append(b"next")
        assert system.in_log() == [b"next"]


def test_what_the_log_never_takes_does_not_hold_up_what_is_behind_it(tmp_path: Path) -> None:
    with before(tmp_path, "refuses") as system:
        system.append(b"one", b"too large", b"two")
        system.log.refused[b"too large"] = RecordRefused("too large")
        system.log.mood = "fine"
        system.settle()
        assert system.in_log() == [b"one", b"two"]
        (kept,) = (tmp_path / "refused").iterdir()
        assert kept.read_bytes() == b"too large"


def test_a_record_that_the_log_refuses_for_now_is_tried_again_before_those_of_its_key(tmp_path: Path) -> None:
    with before(tmp_path, "refuses") as system:
        system.append(b"one", key=KEYS[0])
        system.append(b"other", key=KEYS[1])
        system.append(b"two", key=KEYS[0])
        system.log.refused[b"one"] = LogError("not now")
        system.log.mood = "fine"
        until(lambda: system.in_log() == [b"other"])
        system.log.refused.clear()
        system.settle()
        found = system.in_log()
        assert sorted(found) == [b"one", b"other", b"two"]
        assert found.index(b"one") < found.index(b"two")


async def test_the_event_loop_is_told_whichever_way_a_record_went(tmp_path: Path) -> None:
    with before(tmp_path) as system:
        await asyncio.to_thread(system.settle)
        assert await system.writer.append_async(b"direct", TALLY, KEYS[0]) >= 0
        moods: list[Mood] = ["refuses", "hangs"]
        for mood in moods:
            system.log.mood = mood
            assert await system.writer.append_async(mood.encode(), TALLY, KEYS[0]) == NOT_KNOWN
        system.log.mood = "fine"
        await asyncio.to_thread(system.settle)
        assert list(dict.fromkeys(system.in_log())) == [b"direct", b"refuses", b"hangs"]


async def test_a_client_that_left_takes_nothing_with_it(tmp_path: Path) -> None:
    with before(tmp_path) as system:
        await asyncio.to_thread(system.settle)
        system.log.mood = "hangs"
        appended = system.writer.append_async(b"one", TALLY, KEYS[0])
        appended.cancel()
        until(lambda: system.writer.counts.spooled == 1)
        system.log.mood = "fine"
        await asyncio.to_thread(system.settle)
        assert system.in_log() == [b"one"]


def test_closing_tells_everybody(tmp_path: Path) -> None:
    with before(tmp_path) as system:
        system.settle()
        system.log.mood = "hangs"
        appended = system.writer.append(b"one", TALLY, KEYS[0])
        system.writer.close()
        assert appended.result(0) == NOT_KNOWN
        with pytest.raises(LogClosed):
            system.append(b"two")
        system.log.mood = "fine"
        system.start()
        system.settle()
        assert system.in_log() == [b"one"]


def test_one_process_has_a_spool(tmp_path: Path) -> None:
    with before(tmp_path), pytest.raises(LogError, match="writer already"):
        Spool(tmp_path, 0, max_bytes=PLENTY)


_COLLECT = """
import sys
from pathlib import Path
from footfall.eventlog.log import Tally
from footfall.eventlog.spool import Spool
from footfall.eventlog.spooled_log import SpooledWriter
from footfall.eventlog.sqlite_log import SqliteLog
from tests.failing_log import FailingLog

home = Path(sys.argv[1])
log = FailingLog(SqliteLog(home / "log", max_bytes=1 << 30), "refuses")
writer = SpooledWriter(lambda: log.open_writer(0), Spool(home / "spool", 0, max_bytes=1 << 30))
for number in range(40):
    if number == 20:
        log.mood = "fine"
    writer.append(b"record %d" % number, Tally("bank", "native", 1, 2), b"%08d" % (number % 3)).result()
    print(number, flush=True)
while not writer.is_direct:
    pass
writer.close()
"""


@pytest.mark.parametrize("fault", ["", "P1:3", "P2:5", "P2:19", "S1:1", "S1:4", "S2:1", "S2:3", "P3:1"])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, fault: str) -> None:
    """P1 and P2 are of either file's commits, S1 and S2 between them."""
    done = subprocess.run(
        [sys.executable, "-c", _COLLECT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "FOOTFALL_FAULT": fault},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (137 if fault else 0), done.stderr
    lines = done.stdout.splitlines()
    acknowledged = [b"record %s" % line.encode() for line in lines if line.isdigit()]
    log = FailingLog(SqliteLog(tmp_path / "log", max_bytes=PLENTY))
    with closing(log.log):
        writer = SpooledWriter(lambda: log.open_writer(0), Spool(tmp_path / "spool", 0, max_bytes=PLENTY))
        until(lambda: writer.is_direct)
        writer.close()
        found = [record.payload for record in log.log.read(0, 0, PLENTY)]
        assert set(acknowledged) <= set(found)
        for key in range(3):  # in order, a repeat beside its first
            of_key = [n for n in map(_number, dict.fromkeys(found)) if n % 3 == key]
            assert of_key == sorted(of_key)


def _number(payload: bytes) -> int:
    return int(payload.split()[1])
