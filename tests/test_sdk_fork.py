"""The Python SDK in programs that fork: parent and child each send what is theirs, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sdk_server import fake_collector

_FORKING_PROGRAM = """
import os, sys
from footfall_sdk import Client

client = Client(sys.argv[1], "ff_wk_test", queue_directory=sys.argv[2])

def track(who, count):
    for number in range(count):
        client.track("transfer", {"who": who, "number": number}, distinct_id=who)

track("before", 100)
children = []
for name in ("child-0", "child-1", "child-2"):
    pid = os.fork()
    if pid == 0:
        track(name, 100)
        flushed = client.flush(20)
        if name == "child-2":
            sys.exit(0 if flushed else 1)  # with exit functions, and without
        os._exit(0 if flushed else 1)
    children.append(pid)
    track("parent", 100)
codes = [os.waitpid(pid, 0)[1] for pid in children]
track("after", 100)
assert client.flush(20)
assert codes == [0, 0, 0], codes
"""


def test_parent_and_children_each_send_their_events_once(tmp_path: Path) -> None:
    with fake_collector() as collector:
        program = [sys.executable, "-c", _FORKING_PROGRAM, collector.url, str(tmp_path / "queue")]
        subprocess.run(program, check=True, timeout=60)
        sent: dict[str, list[int]] = {}
        for record in collector.accepted:
            sent.setdefault(record["distinct_id"], []).append(record["properties"]["number"])
        assert len(set(collector.event_ids())) == len(collector.event_ids())
    assert sent.pop("parent") == [*range(100)] * 3
    assert sent == {name: list(range(100)) for name in ("before", "child-0", "child-1", "child-2", "after")}


_POOL_PROGRAM = """
import multiprocessing, sys, time
from footfall_sdk import Client

client = Client(sys.argv[1], "ff_wk_test", queue_directory=sys.argv[2])
client.track("transfer", distinct_id="parent")

def work(number):
    client.track("transfer", {"number": number}, distinct_id="worker")
    return client.flush(20)

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert all(pool.map(work, range(40)))
"""


def test_a_pool_of_worker_processes_shares_the_client(tmp_path: Path) -> None:
    with fake_collector() as collector:
        program = [sys.executable, "-c", _POOL_PROGRAM, collector.url, str(tmp_path / "queue")]
        subprocess.run(program, check=True, timeout=60)
        assert len(set(collector.event_ids())) == len(collector.event_ids()) == 41
