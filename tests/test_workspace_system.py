"""A whole Footfall whose workspace is a PostgreSQL database, which goes away and comes back."""

from __future__ import annotations

import itertools
import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from sdk_server import unused_port
from typer.testing import CliRunner

from footfall.cli import demo_system
from footfall.cli.app import app
from footfall.cli.demo_system import RunningSystem, running_system, wait_until_ready
from footfall.settings import Settings
from tests.postgres import PostgresServer, masked

_numbers = itertools.count()


def send(system: RunningSystem, key: str) -> int:
    event = {"event": "view", "distinct_id": "customer-1", "properties": {"number": next(_numbers)}}
    answer = httpx.post(f"{system.collect_url}/v1/events", json=[event], headers=bearer(key), timeout=30)
    return answer.status_code


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def stored(system: RunningSystem) -> int:
    counts: dict[str, int] = system.ledger()
    return counts["stored"]


def wait_for(system: RunningSystem, count: int) -> None:
    until = time.monotonic() + 60
    while stored(system) < count:
        assert time.monotonic() < until, system.log_tail()
        time.sleep(0.2)


def test_events_are_taken_while_the_workspace_is_away(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, collect_port=unused_port(), query_port=unused_port())
    given = demo_system._environment
    monkeypatch.setattr(
        demo_system, "_environment", lambda *keys: given(*keys) | {"FOOTFALL_WORKSPACE_URL": postgres_url}
    )
    with running_system(settings, tmp_path) as system:
        wait_until_ready(system)
        assert send(system, system.write_key) == 200
        wait_for(system, 1)
        postgres.stop(signal.SIGQUIT)
        try:
            ready = httpx.get(f"{system.collect_url}/readyz", timeout=30)
            for _ in range(3):
                assert send(system, system.write_key) == 200
                time.sleep(0.5)
            assert send(system, "another key") == 503
            metrics = httpx.get(f"{system.collect_url}/metrics", timeout=30).text
            made = httpx.post(
                f"{system.query_url}/api/v1/projects",
                json={"name": "bank"},
                headers=bearer(system.secret_key),
                timeout=30,
            )
        finally:
            postgres.start()
        assert ready.status_code == 200
        assert not re.search(r'retrying_since_seconds\{what="workspace",worker="0"\} 0', metrics), metrics
        assert 'retrying_since_seconds{what="workspace",worker="0"} ' in metrics
        assert (made.status_code, made.json()["code"]) == (503, "unavailable")
        wait_for(system, 4)
        log = system.log_path.read_text()
    assert masked(log)
    assert "Traceback" not in log
    assert '"retried": "workspace"' in log
    assert '"weather.fine"' in log
    assert not (tmp_path / "workspace.db").exists()
    environment = {"FOOTFALL_HOME": str(tmp_path), "FOOTFALL_WORKSPACE_URL": postgres_url}
    looked = CliRunner().invoke(app, ["doctor"], env=environment)
    assert "ok   workspace: PostgreSQL " in looked.output
    assert "tables of version 00" in looked.output
    assert "projects: default" in looked.output
    verified = CliRunner().invoke(app, ["audit", "verify"], env=environment)
    assert verified.exit_code == 0, verified.output
