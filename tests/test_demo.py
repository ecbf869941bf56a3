"""`footfall demo` and `footfall simulate` as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from sdk_server import unused_port

from footfall.cli.child import footfall_command


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`footfall` with these arguments and FOOTFALL_* settings."""
    return subprocess.run(
        footfall_command(*arguments),
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
    left_by_a_killed_one = tmp_path / "demo" / "store"
    left_by_a_killed_one.mkdir(parents=True)
    ended = run("demo", "--exit", "--events", "6000", FOOTFALL_HOME=str(tmp_path), **ports)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []
    assert ended.stdout.count("equal  ") == 7
    assert "DIFFERENT" not in ended.stdout
    for text in (
        "purchase_fund",
        "week 4",
        "Top paths",
        "crash wave drawn",
        "received",
        "99 % region",
        "records/s",
    ):
        assert text in ended.stdout


def test_the_demo_serves_what_it_points_to_until_it_is_told_to_end(
    tmp_path: Path, ports: dict[str, str]
) -> None:
    command = footfall_command("demo", "--events", "1000", "--home", str(tmp_path / "home"))
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(command, env=os.environ | ports, stdout=out, stderr=subprocess.STDOUT)
    try:
        while "Serving until Ctrl-C" not in said.read_text():
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        page = said.read_text()
        (openapi,) = re.findall(r"http\S+/openapi.json", page)
        with urlopen(openapi, timeout=30) as answer:
            assert "/api/v1/query/funnel" in json.load(answer)["paths"]
        assert len(ask_as_shown(page)["result"]["groups"]) == 5
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0, said.read_text()
    assert (tmp_path / "home" / "store").is_dir()


def ask_as_shown(page: str) -> Any:
    """What the query API answers to the curl line that the demo shows."""
    (line,) = (line for line in page.splitlines() if line.startswith("curl "))
    curl, options, url, _, key, _, kind, _, body = shlex.split(line)
    assert (curl, options) == ("curl", "-sS")
    headers = dict(header.split(": ") for header in (key, kind))
    with urlopen(Request(url, body.encode(), headers), timeout=30) as answer:
        return json.load(answer)


def test_the_demo_names_a_port_that_is_taken(ports: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(ports["FOOTFALL_COLLECT_PORT"])))
        other.listen()
        ended = run("demo", "--exit", **ports)
    assert ended.returncode == 1
    assert f"port {ports['FOOTFALL_COLLECT_PORT']} is in use" in ended.stderr
    assert "FOOTFALL_COLLECT_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", [("demo", "--exit", "--home"), ("simulate", "--out")])
def test_a_directory_that_cannot_be_made_is_said_in_one_line(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    ended = run(*command, str(tmp_path / "file" / "new"))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"{tmp_path}/file/new: Not a directory: " in ended.stderr
    assert command[-1] in ended.stderr


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
