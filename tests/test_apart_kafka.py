"""What docker-compose.yml starts, as local processes: each service with a home of its own, on a real Kafka,
a PostgreSQL and a ClickHouse over HTTP. The broker is killed, the collector's spool takes what comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apart import Apart
from tests.clickhouse_servers import ClickHouseHttp
from tests.kafka_broker import Broker
from tests.postgres import PostgresServer

EVENT = {"event": "register"}


@pytest.fixture
def apart(broker: Broker, postgres: PostgresServer, tmp_path: Path) -> Iterator[Apart]:
    server = ClickHouseHttp(tmp_path / "clickhouse")
    server.start()
    services = Apart(
        tmp_path,
        FOOTFALL_LOG_URL=f"kafka://{broker.bootstrap}/apart?partitions=3&replication=1&timeout_seconds=3",
        FOOTFALL_STORE_URL=server.url("apart"),
        FOOTFALL_WORKSPACE_URL=postgres.url(postgres.new_database()),
        FOOTFALL_SPOOL_AFTER_SECONDS="0.5",
    )
    try:
        yield services
    finally:
        services.close()
        server.stop()


def spooled(apart: Apart) -> float:
    lines = apart.get("collect", "metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("footfall_collector_spooled_rec"))


def send(apart: Apart, *names: str) -> None:
    answer = apart.post("collect", "v1/events", [EVENT | {"distinct_id": name} for name in names])
    assert answer == {"accepted": len(names), "rejected": []}


@pytest.mark.timeout(300)
def test_a_broker_that_is_killed_costs_nothing(apart: Apart, broker: Broker, tmp_path: Path) -> None:
    for service in ("collect", "process", "query"):
        apart.start(service, FOOTFALL_HOME=str(tmp_path / service))
    apart.wait_until_ready("collect", "process", "query")
    apart.environment["FOOTFALL_HOME"] = str(tmp_path / "query")
    send(apart, "a", "b", "c")
    apart.until(lambda: apart.ledger()["stored"] == 3)
    broker.kill()
    send(apart, "d", "e")
    apart.until(lambda: spooled(apart) >= 2)
    assert apart.status("collect") == 200, "the spool takes what comes"
    apart.until(lambda: apart.status("process") == 503 and apart.status("query") == 503)
    send(apart, "f")
    broker.start()
    apart.wait_until_ready("process", "query")
    apart.until(lambda: apart.ledger()["stored"] == 6)
    verified = apart.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "footfall_collector_spool_waiting_bytes" in apart.get("collect", "metrics").text
    assert [apart.end(service) for service in ("collect", "process", "query")] == [0, 0, 0]
