"""`footfall up` with its log on Kafka: what was accepted is counted and stored once, over a broker's kill."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from sdk_server import unused_port

from footfall.cli.child import footfall_command
from footfall.cli.demo_system import RunningSystem, wait_until_ready
from tests.kafka_broker import Broker

WRITE_KEY, SECRET_KEY = "ff_wk_kafka_0123456789", "ff_sk_kafka_0123456789"


@contextmanager
def up(broker: Broker, home: Path, topic: str) -> Iterator[RunningSystem]:
    ports = unused_port(), unused_port()
    environment = os.environ | {
        "FOOTFALL_HOME": str(home),
        "FOOTFALL_LOG_URL": f"kafka://{broker.bootstrap}/{topic}?partitions=2",
        "FOOTFALL_COLLECT_PORT": str(ports[0]),
        "FOOTFALL_QUERY_PORT": str(ports[1]),
        "FOOTFALL_WRITE_KEY": WRITE_KEY,
        "FOOTFALL_SECRET_KEY": SECRET_KEY,
    }
    log_path = home / "footfall.log"
    with log_path.open("ab") as said:
        process = subprocess.Popen(
            footfall_command("up"), env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        system = RunningSystem(
            "127.0.0.1", *ports, WRITE_KEY, SECRET_KEY, home, log_path, time.monotonic(), process
        )
        wait_until_ready(system)
        yield system
    finally:
        process.terminate()
        process.wait(60)


def send(system: RunningSystem, name: str, count: int) -> int:
    """The status of one request of so many events of one user."""
    events = [
        {"event": "paid", "distinct_id": name, "time": int(time.time() * 1000), "properties": {"n": n}}
        for n in range(count)
    ]
    connection = http.client.HTTPConnection(system.host, system.collect_port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {WRITE_KEY}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/events", orjson.dumps(events), headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def wait_until_stored(system: RunningSystem, count: int) -> None:
    give_up_at = time.monotonic() + 60
    while (ledger := system.ledger())["stored"] < count:
        assert time.monotonic() < give_up_at, f"{ledger} {system.log_tail()}"
        time.sleep(0.1)
    # What waited too long for the broker came by the spool, too: a repeat.
    assert (ledger["received"] - ledger["duplicate"], ledger["stored"]) == (count, count), ledger


@pytest.mark.timeout(240)
def test_what_was_accepted_is_stored_once_over_a_kill_of_the_broker(broker: Broker, tmp_path: Path) -> None:
    with up(broker, tmp_path, "up") as system:
        assert [send(system, f"user-{n}", 3) for n in range(20)] == [200] * 20
        wait_until_stored(system, 60)
        broker.kill()
        broker.start()
        refused = 0
        while send(system, "after", 5) != 200:
            refused += 1
            assert refused < 20, system.log_tail()
        wait_until_stored(system, 65)
    with up(broker, tmp_path, "up") as system:
        wait_until_stored(system, 65)
