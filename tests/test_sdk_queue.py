"""Where the Python SDK keeps what is not delivered: over exits, kills, full and damaged disks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from footfall_sdk import Client
from footfall_sdk.disk_queue import DiskQueue
from sdk_clients import FAST, numbers, open_client, stored_rows, track_many, wait_for, written
from sdk_server import (
    FakeCollector,
    fake_collector,
    once,
    status,
    unused_port,
)


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with fake_collector() as fake:
        yield fake


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def test_drops_are_counted_and_reported_to_the_server(collector: FakeCollector, queue: Path) -> None:
    collector.script = [status(503)] * 3
    client = open_client(collector.url, queue, max_queue_bytes=2000)
    track_many(client, 100)
    assert client.flush(10)
    dropped = client.counters().dropped["queue_full"]
    assert 0 < dropped < 100
    track_many(client, 1)
    assert client.close(10)
    reports = [record for record in collector.accepted if record["event"] == "$SDKReport"]
    assert [report["properties"] for report in reports] == [{"dropped_queue_full": dropped}]
    assert reports[0]["distinct_id"] == "none"
    assert len(numbers(collector.accepted)) == 101 - dropped


def test_drops_survive_the_process_until_they_are_reported(queue: Path) -> None:
    port = unused_port()
    first = open_client(f"http://127.0.0.1:{port}", queue, max_queue_bytes=2000)
    track_many(first, 100)
    wait_for(lambda: written(first) + first.counters().dropped.get("queue_full", 0) == 100)
    first.close(0.2)
    dropped = first.counters().dropped["queue_full"]
    with fake_collector(port) as collector:
        second = open_client(collector.url, queue, report_seconds=0)
        second.track("register", distinct_id="c")
        second.close(10)
        reports = [record for record in collector.accepted if record["event"] == "$SDKReport"]
    assert [report["properties"]["dropped_queue_full"] for report in reports] == [dropped]


def test_what_a_killed_process_tracked_is_delivered_by_the_next(queue: Path) -> None:
    port = unused_port()
    program = (
        "import os, sys, time\n"
        "from footfall_sdk import Client\n"
        "client = Client(sys.argv[1], 'ff_wk_test', queue_directory=sys.argv[2])\n"
        "for number in range(20): client.track('view_fund', {'number': number}, distinct_id='c')\n"
        "client.flush(0)\n"
        "while client._delivery.queue.count < 20: time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    url = f"http://127.0.0.1:{port}"
    assert subprocess.run([sys.executable, "-c", program, url, str(queue)], check=False).returncode == -9
    with fake_collector(port) as collector:
        client = open_client(collector.url, queue)
        client.track("view_fund", {"number": 20}, distinct_id="c")
        assert client.close(10)
        assert numbers(collector.accepted) == list(range(21))


def test_the_programs_exit_delivers_what_it_tracked(collector: FakeCollector, queue: Path) -> None:
    program = (
        "import sys\n"
        "from footfall_sdk import Client\n"
        "client = Client(sys.argv[1], 'ff_wk_test', queue_directory=sys.argv[2])\n"
        "client.track('view_fund', {'number': 0}, distinct_id='c')\n"
    )
    subprocess.run([sys.executable, "-c", program, collector.url, str(queue)], check=True, timeout=30)
    assert numbers(collector.accepted) == [0]


def test_the_programs_exit_is_bounded_when_the_server_hangs(collector: FakeCollector, queue: Path) -> None:
    end_of_test = threading.Event()
    collector.always = once(end_of_test, status(500))
    program = (
        "import sys\n"
        "from footfall_sdk import Client\n"
        "client = Client(sys.argv[1], 'ff_wk_test', queue_directory=sys.argv[2], exit_seconds=0.2,"
        " timeout_seconds=300)\n"
        "client.track('view_fund', {'number': 0}, distinct_id='c')\n"
    )
    subprocess.run([sys.executable, "-c", program, collector.url, str(queue)], check=True, timeout=60)
    assert stored_rows(queue) == 1
    end_of_test.set()


def test_two_clients_on_one_directory_do_not_touch_each_others_files(
    collector: FakeCollector, queue: Path
) -> None:
    one, two = open_client(collector.url, queue), open_client(collector.url, queue)
    track_many(one, 10)
    track_many(two, 10)
    assert one.flush(10)
    assert two.flush(10)
    assert len(list(queue.glob("queue-*.db"))) == 2
    assert one.close()
    assert two.close()
    assert len(set(collector.event_ids())) == len(collector.event_ids()) == 20


def test_files_left_by_other_processes_are_taken_over(collector: FakeCollector, queue: Path) -> None:
    down = f"http://127.0.0.1:{unused_port()}"
    one, two = open_client(down, queue), open_client(down, queue)
    for client in (one, two):
        track_many(client, 10)
    wait_for(lambda: written(one) == written(two) == 10)
    for client in (one, two):
        client.close(0.2)
    assert stored_rows(queue) == 20
    with open_client(collector.url, queue) as client:
        client.track("register", distinct_id="c")
        assert client.flush(10)
    assert len(set(collector.event_ids())) == 21
    assert stored_rows(queue) == 0


def test_a_damaged_queue_file_is_put_aside(collector: FakeCollector, queue: Path) -> None:
    queue.mkdir()
    (queue / "queue-0.db").write_bytes(b"not a database, by far" * 500)
    with open_client(collector.url, queue) as client:
        track_many(client, 5)
        assert client.flush(10)
        assert client.counters().dropped == {"queue_damaged": 1}
    assert numbers(collector.accepted) == [0, 1, 2, 3, 4]
    assert list(queue.glob("queue-0.db.damaged-*"))


def test_a_queue_file_with_damaged_pages_is_put_aside(collector: FakeCollector, queue: Path) -> None:
    down = open_client(f"http://127.0.0.1:{unused_port()}", queue)
    track_many(down, 1000)
    wait_for(lambda: written(down) == 1000)
    down.close(0.2)
    path = queue / "queue-0.db"
    pages = bytearray(path.read_bytes())
    pages[4096 * 4 :] = b"\xff" * (len(pages) - 4096 * 4)
    path.write_bytes(pages)
    with open_client(collector.url, queue) as client:
        track_many(client, 5)
        assert client.flush(10)
        assert client.counters().dropped == {"queue_damaged": 1}
    assert numbers(collector.accepted) == [0, 1, 2, 3, 4]


def test_without_a_usable_directory_the_queue_is_in_memory(collector: FakeCollector, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with open_client(collector.url, blocked / "queue") as client:
        client.track("register")
        assert client.flush(10)
    assert len(collector.accepted) == 1


def test_a_buffer_that_is_full_drops_and_counts(collector: FakeCollector, queue: Path) -> None:
    with open_client(collector.url, queue, max_buffer_records=10, group_seconds=0.5) as client:
        track_many(client, 30)
        assert client.flush(10)
        counters = client.counters()
    assert counters.dropped["buffer_full"] == 30 - counters.delivered


def test_track_does_not_wait_while_the_writer_waits_for_the_disk(
    collector: FakeCollector, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_is_busy, disk_is_free = threading.Event(), threading.Event()
    append = DiskQueue.append

    def append_in_the_end(*arguments: Any) -> int:
        disk_is_busy.set()
        assert disk_is_free.wait(60)
        return append(*arguments)

    monkeypatch.setattr(DiskQueue, "append", append_in_the_end)
    with open_client(collector.url, queue) as client:
        track_many(client, 1)
        assert disk_is_busy.wait(20)
        track_many(client, 500)
        assert client.counters().tracked == 501  # whoever waits for the disk never comes here
        assert collector.accepted == []
        disk_is_free.set()
        assert client.flush(10)
    assert len(collector.accepted) == 501


def test_a_full_disk_costs_nothing_once_it_is_emptied(
    collector: FakeCollector, queue: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter(range(3))
    append = DiskQueue.append

    def append_after_failures(*arguments: Any) -> int:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database or disk is full")
        return append(*arguments)

    monkeypatch.setattr(DiskQueue, "append", append_after_failures)
    with open_client(collector.url, queue) as client:
        track_many(client, 10)
        assert client.flush(10)
        assert client.counters().dropped == {}
    assert numbers(collector.accepted) == list(range(10))
    assert sum("disk is full" in message for message in caplog.messages) == 1


def test_a_user_without_a_home_gets_a_queue_in_memory(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FOOTFALL_SDK_QUEUE", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    wrong: Any = 7
    with Client(collector.url, "ff_wk_test", properties=wrong, **FAST) as client:
        client.track("a")
        assert client.flush(10)
    assert [record["event"] for record in collector.accepted] == ["a"]
    (told,) = [message for message in caplog.messages if "in memory" in message]
    assert "Could not determine home directory" in told
