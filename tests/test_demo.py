"""`footfall demo` and `footfall simulate` as a newcomer runs them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sdk_server import unused_port


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`footfall` with these arguments and FOOTFALL_* settings."""
    return subprocess.run(
        [sys.executable, "-m", "footfall.cli", *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def ports() -> dict[str, str]:
    return {"FOOTFALL_COLLECT_PORT": str(unused_port()), "FOOTFALL_QUERY_PORT": str(unused_port())}


def test_the_demo_shows_answers_equal_to_the_reference(tmp_path: Path, ports: dict[str, str]) -> None:
    ended = run("demo", "--exit", "--events", "6000", "--home", str(tmp_path / "home"), **ports)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("equal  ") == 5
    assert "DIFFERENT" not in ended.stdout
    for text in ("purchase_fund", "crash wave drawn", "received", "99 % region", "records/s"):
        assert text in ended.stdout


def test_the_demo_names_a_port_that_is_taken(ports: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(ports["FOOTFALL_COLLECT_PORT"])))
        other.listen()
        ended = run("demo", "--exit", **ports)
    assert ended.returncode == 1
    assert f"port {ports['FOOTFALL_COLLECT_PORT']} is in use" in ended.stderr
    assert "FOOTFALL_COLLECT_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_demo_does_not_touch_a_home_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    ended = run("demo", "--exit", "--home", str(tmp_path))
    assert ended.returncode == 1
    assert "is not an empty directory" in ended.stderr


def test_simulate_writes_a_bank(tmp_path: Path) -> None:
    ended = run("simulate", "--customers", "30", "--seed", "5", "--out", str(tmp_path / "bank"))
    assert ended.returncode == 0, ended.stderr
    truth = json.loads((tmp_path / "bank" / "truth.json").read_text())
    assert truth["plan"]["seed"] == 5
    assert (tmp_path / "bank" / "emitted.jsonl").stat().st_size > 0
