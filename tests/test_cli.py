"""The command line, as a user meets it: help, mistakes, and `footfall up` from its start to its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil
import pytest
from typer.testing import CliRunner

from footfall.cli.app import app
from footfall.cli.child import SupervisorLink, footfall_command
from footfall.cli.engine import run_engine
from footfall.settings import read_settings
from query_api.scan import native

FUNNEL = {
    "range": {"last": {"value": 7, "unit": "day"}},
    "steps": [{"event": "register"}],
    "window": {"value": 7, "unit": "day"},
}


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings for an installation of this test's own, for this process and for those that it starts."""
    for name in list(os.environ):
        if name.startswith("FOOTFALL_"):
            monkeypatch.delenv(name)
    collect_port, query_port = free_ports()
    monkeypatch.setenv("FOOTFALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOOTFALL_COLLECT_PORT", str(collect_port))
    monkeypatch.setenv("FOOTFALL_QUERY_PORT", str(query_port))
    return dict(os.environ)


class Up:
    """A running `footfall up`."""

    def __init__(self, environment: dict[str, str], directory: Path, started_in: Path | None = None) -> None:
        self.out, self.err = directory / "up.out", directory / "up.err"
        self.collect_url = f"http://127.0.0.1:{environment['FOOTFALL_COLLECT_PORT']}"
        self.query_url = f"http://127.0.0.1:{environment['FOOTFALL_QUERY_PORT']}"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                footfall_command("up"),
                stdout=out,
                stderr=err,
                env=environment,
                cwd=started_in,
                process_group=0,
            )

    def wait_until_up(self) -> None:
        wait_for(lambda: "Footfall is up" in self.out.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()

    def key(self, name: str) -> str:
        found = re.search(rf"FOOTFALL_{name}_KEY\s+(\S+)", self.out.read_text())
        assert found is not None, self.out.read_text()
        return found[1]

    def children(self) -> dict[str, psutil.Process]:
        """The processes behind the ports, by name."""
        children = psutil.Process(self.process.pid).children()
        return {"engine" if "engine" in child.cmdline() else "collector": child for child in children}

    def send(self, *events: dict[str, Any], key: str) -> None:
        answer = request(f"{self.collect_url}/v1/events", list(events), key)
        assert answer == {"accepted": len(events), "rejected": []}

    def users(self, key: str) -> int:
        """How many users registered."""
        answer = request(f"{self.query_url}/api/v1/query/funnel", FUNNEL, key)
        return int(answer["result"]["steps"][0]["users"])

    def metrics(self) -> str:
        with urlopen(f"{self.collect_url}/metrics", timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def request(url: str, body: Any, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        return json.load(answer)


def wait_for(condition: Any, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (URLError, ConnectionError, psutil.NoSuchProcess):
            pass
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[Up]:
    running = Up(environment, tmp_path)
    try:
        running.wait_until_up()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def test_help_names_the_commands_and_where_to_begin() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    for word in ("demo", "up", "doctor", "migrate", "simulate", "docs/settings.md"):
        assert word in text
    assert "collect-worker" not in text
    assert "--listen-fd" not in text


@pytest.mark.parametrize("command", ["up", "demo", "simulate", "migrate", "doctor"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 200


def test_says_its_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", CliRunner().invoke(app, ["--version"]).output)


def test_a_misspelt_setting_is_an_error(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_QUERYPORT", "1")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "did you mean FOOTFALL_QUERY_PORT?" in result.stderr


def test_the_addresses_it_shows_are_those_to_go_on_from(up: Up) -> None:
    wait_for(lambda: "Ctrl-C" in up.out.read_text())
    shown = dict(re.findall(r"^  (\w[\w ]*\w)  +(http\S+)$", up.out.read_text(), re.MULTILINE))
    assert list(shown) == ["send events", "look", "ask", "OpenAPI"]
    with urlopen(shown["look"], timeout=30) as page:
        assert b"<html" in page.read()
    assert request(shown["send events"], [{"event": "register", "distinct_id": "ann"}], up.key("WRITE"))
    assert "result" in request(shown["ask"], FUNNEL, up.key("SECRET"))
    with urlopen(shown["OpenAPI"], timeout=30) as description:
        assert "/api/v1/query/funnel" in json.load(description)["paths"]


def test_sends_and_answers_from_start_to_end(up: Up) -> None:
    write_key, secret_key = up.key("WRITE"), up.key("SECRET")
    up.send({"event": "register", "distinct_id": "a"}, key=write_key)
    wait_for(lambda: up.users(secret_key) == 1)
    up.children()["engine"].kill()
    up.send(
        {"event": "register", "distinct_id": "b"}, key=write_key
    )  # the collector does not need the engine
    wait_for(lambda: up.users(secret_key) == 2)
    up.children()["collector"].kill()
    wait_for(lambda: "collector" in up.children())
    up.send(
        {"event": "register", "distinct_id": "c"}, key=write_key
    )  # the port outlives the process behind it
    children = list(up.children().values())
    assert up.end() == 0, up.err.read_text()
    assert not any(child.is_running() for child in children)
    last = [json.loads(line) for line in up.err.read_text().splitlines() if '"ended"' in line]
    assert [(line["process"], line["code"]) for line in last[-2:]] == [("collector-0", 0), ("engine", 0)]


def test_what_was_accepted_is_processed_before_the_end(
    up: Up, environment: dict[str, str], tmp_path: Path
) -> None:
    up.send(*({"event": "register", "distinct_id": f"user-{n}"} for n in range(500)), key=up.key("WRITE"))
    secret_key = up.key("SECRET")
    assert up.end(signal.SIGINT) == 0
    looked = CliRunner().invoke(app, ["doctor"])
    assert "partition 0: 1 records, 0 wait" in looked.output
    counts = tmp_path / "home" / "metrics" / "collector-0.json"
    counts.rename(counts.with_name("collector-7.json"))  # as left by a worker that is no more
    again = Up(environment, tmp_path)
    try:
        again.wait_until_up()
        assert 'worker="7"' not in again.metrics()
        assert "KEY" not in again.out.read_text()  # they are shown once
        assert again.users(secret_key) == 500
    finally:
        assert again.end() == 0


def test_a_killed_supervisor_leaves_no_process_and_a_free_home(
    up: Up, environment: dict[str, str], tmp_path: Path
) -> None:
    children = list(up.children().values())
    up.process.kill()
    up.process.wait()
    wait_for(lambda: not any(child.is_running() for child in children))
    again = Up(environment, tmp_path)
    again.wait_until_up()
    assert again.end() == 0


def test_what_lies_in_the_current_directory_is_not_taken_for_what_is_installed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for package in ("footfall", "collector", "query_api"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('not what is installed')")
    running = Up(environment, tmp_path, started_in=tmp_path)
    try:
        running.wait_until_up()
    finally:
        assert running.end() == 0


def test_a_second_up_on_the_same_home_is_refused(up: Up, environment: dict[str, str]) -> None:
    result = run("up", environment)
    assert result.returncode == 1
    assert f"in use by process {up.process.pid}" in result.stderr
    assert "FOOTFALL_HOME" in result.stderr
    assert "in use by process" in run("migrate", environment).stderr
    looked = run("doctor", environment)
    assert looked.returncode == 0, looked.stdout
    assert "collector: running" in looked.stdout
    assert "query API: running" in looked.stdout


def test_a_taken_port_is_named_with_its_setting(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["FOOTFALL_QUERY_PORT"])))
        taken.listen()
        result = run("up", environment)
        assert result.returncode == 1
        assert "set FOOTFALL_QUERY_PORT to a free port" in result.stderr
        looked = run("doctor", environment)
        assert looked.returncode == 1
        assert "set FOOTFALL_QUERY_PORT to a free port" in looked.stdout


def test_a_store_that_cannot_be_opened_stops_the_start(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a store")
    result = run("up", environment | {"FOOTFALL_STORE_URL": f"chdb://{tmp_path}/file"})
    assert result.returncode == 1
    assert "cannot open the store" in result.stderr
    assert "engine ended with code 1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("FOOTFALL_WORKSPACE_URL", "oracle://host/x"),
        ("FOOTFALL_LOG_URL", "nats://x/y"),
        ("FOOTFALL_LOG_URL", "memory://"),
        ("FOOTFALL_STORE_URL", "postgres://host/x"),
    ],
)
def test_a_url_that_means_nothing_stops_the_start(
    environment: dict[str, str], variable: str, url: str
) -> None:
    for command in ("up", "doctor"):
        result = run(command, environment | {variable: url})
        assert result.returncode == 1
        assert f"{variable}: the scheme must be one of" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("FOOTFALL_LOG_URL", "sqlite:///{file}/log"),
        ("FOOTFALL_WORKSPACE_URL", "sqlite:///{file}/workspace.db"),
    ],
)
def test_a_place_that_cannot_be_made_stops_the_start(
    environment: dict[str, str], variable: str, url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    result = run("up", environment | {variable: url.format(file=tmp_path / "file")})
    assert result.returncode == 1
    assert f"{variable}: {tmp_path}/file" in result.stderr
    assert "choose a place that this user can write" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_its_scanner_the_engine_does_not_start(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    native.load_library.cache_clear()
    monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
    monkeypatch.setattr("footfall.cli.engine.set_up_logging", lambda: None)  # this process keeps its own
    with socket.socket() as listener, pytest.raises(native.ScannerMissing, match="pip install"):
        run_engine(read_settings(), listener, SupervisorLink(None, None))
    looked = CliRunner().invoke(app, ["doctor"])
    native.load_library.cache_clear()
    assert looked.exit_code == 1
    assert f"FAIL scanner: {tmp_path}/_scan.so cannot be loaded" in looked.output


@pytest.mark.parametrize("command", ["up", "migrate"])
def test_a_home_that_cannot_be_made_is_an_error(
    environment: dict[str, str], command: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    result = run(command, environment | {"FOOTFALL_HOME": str(tmp_path / "file" / "home")})
    assert result.returncode == 1
    assert "set FOOTFALL_HOME to another directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_workspace_is_an_error(environment: dict[str, str]) -> None:
    home = read_settings().home
    home.mkdir()
    (home / "workspace.db").write_bytes(b"no database" * 1000)
    result = run("up", environment)
    assert result.returncode == 1
    assert "restore it from a backup" in result.stderr
    assert "Traceback" not in result.stderr


def test_migrate_lists_then_applies_then_has_nothing_to_do(environment: dict[str, str]) -> None:
    assert run("migrate", environment, "--dry-run").stdout.startswith("would apply 0001_initial")
    assert run("migrate", environment).stdout.startswith("applied 0001_initial")
    assert run("migrate", environment).stdout == "nothing to apply: the store is up to date\n"


def test_doctor_finds_a_key_that_others_can_read(environment: dict[str, str]) -> None:
    run("doctor", environment)
    home = read_settings().home
    home.mkdir(exist_ok=True)
    key = home / "installation.key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    result = run("doctor", environment)
    assert result.returncode == 1
    assert f"chmod 600 {key}" in result.stdout


def test_doctor_asks_a_footfall_that_runs(up: Up, environment: dict[str, str]) -> None:
    result = run("doctor", environment)
    assert result.returncode == 0, result.stdout
    for check in ("collector", "query API", "version", "processor", "lag", "dead letters", "files"):
        assert f"ok   {check}: " in result.stdout


def test_doctor_leaves_a_home_alone_that_is_not_there_yet(environment: dict[str, str]) -> None:
    result = run("doctor", environment)
    assert result.returncode == 0, result.stdout
    assert "All is well." in result.stdout
    assert not read_settings().home.exists()


def run(command: str, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    line = footfall_command(command, *options)
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environment)
