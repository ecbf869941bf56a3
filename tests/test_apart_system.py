"""The services apart, before a ClickHouse over HTTP: the main job, health, and how each ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apart import Apart
from tests.clickhouse_servers import ClickHouseHttp

FUNNEL = {
    "range": {"last": {"value": 7, "unit": "day"}},
    "steps": [{"event": "register"}, {"event": "bind_card"}],
    "window": {"value": 7, "unit": "day"},
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseHttp]:
    server = ClickHouseHttp(tmp_path / "clickhouse")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def apart(tmp_path: Path, server: ClickHouseHttp) -> Iterator[Apart]:
    services = Apart(tmp_path, FOOTFALL_STORE_URL=server.url("apart"))
    try:
        yield services
    finally:
        services.close()


def users(apart: Apart) -> list[int]:
    result = apart.post("query", "api/v1/query/funnel", FUNNEL)["result"]
    return [step["users"] for step in result["steps"]]


def test_the_main_job_and_the_end_of_each(apart: Apart, server: ClickHouseHttp) -> None:
    assert apart.run("ready", "collect").returncode == 1
    for service in ("query", "collect"):  # the query API waits for the migrations, which the processor does
        apart.start(service)
    apart.wait_until_ready("collect")
    events = [{"event": "register", "distinct_id": name} for name in ("a", "b")]
    assert apart.post("collect", "v1/events", [*events, {"event": "bind_card", "distinct_id": "b"}]) == {
        "accepted": 3,
        "rejected": [],
    }
    assert apart.status("query") == 0
    apart.start("process")
    apart.wait_until_ready("process", "query")
    apart.until(lambda: apart.ledger()["stored"] == 3)
    assert users(apart) == [2, 1]
    assert [apart.run("ready", service).stdout for service in apart.ports] == ["ready\n"] * 3
    verified = apart.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    refused = apart.run("process")
    assert refused.returncode == 1
    assert "is in use by process" in refused.stderr
    assert "services of its own" in apart.run("up").stderr

    # An erasure is asked of one service, and done by the other.
    asked = {"id": "a", "reason": "asked to"}
    job = apart.post("query", "api/v1/projects/default/persons/erase", asked)
    apart.until(
        lambda: (
            apart.get("query", f"api/v1/projects/default/erasures/{job['id']}").json()["state"] == "finished"
        )
    )
    assert users(apart) == [1, 1]

    # The store away: both say so, what comes is taken, and all goes on by itself.
    server.kill()
    apart.until(lambda: apart.status("query") == 503 and apart.status("process") == 503)
    assert apart.status("process", "healthz") == apart.status("query", "healthz") == 200
    assert apart.status("collect") == 200
    apart.post("collect", "v1/events", [{"event": "register", "distinct_id": "c"}])
    apart.until(lambda: "block" in retrying(apart))
    server.start()
    apart.wait_until_ready("process", "query")
    apart.until(lambda: apart.ledger()["stored"] == 4)
    apart.until(lambda: not retrying(apart))
    assert {"weather.bad", "weather.fine"} <= {entry["event"] for entry in apart.entries("process")}

    assert [apart.end(service) for service in ("collect", "process", "query")] == [0, 0, 0]
    for service in apart.ports:
        assert {"event", "level", "logger", "timestamp"} <= apart.entries(service)[0].keys()


def retrying(apart: Apart) -> set[str]:
    """What the processor says that it tries again."""
    metrics = apart.get("process", "metrics").text
    lines = [line for line in metrics.splitlines() if line.startswith("footfall_retrying_since_seconds{")]
    return {line.split('"')[1] for line in lines if not line.endswith(" 0.0")}


def test_a_second_signal_ends_a_processor_at_once(apart: Apart) -> None:
    apart.start("process")
    apart.wait_until_ready("process")
    assert apart.end("process", signal.SIGINT) == 1
    assert "done again" in apart.entries("process")[-1]["event"]
