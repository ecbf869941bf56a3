"""A backup taken under load restores to a store that verifies and goes on: nothing lost, nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.machine import WRITE_KEY, Machine

ROOT = Path(__file__).parent.parent


def environment_of(home: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTFALL_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "sdk/python")])
    return environment | {"FOOTFALL_HOME": str(home), "PYTHONPATH": path}


def footfall(home: Path, *arguments: object, code: int = 0) -> str:
    """Runs a command on a home; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "footfall.cli", *map(str, arguments)],
        env=environment_of(home),
        cwd=home.parent,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


_LOSE_ONE = """
import sys
from pathlib import Path
from footfall.storage.opening import open_store
store = open_store(f"chdb://{sys.argv[1]}/store", scratch=Path(sys.argv[1]) / "scratch")
store.command("ALTER TABLE events DELETE WHERE log_offset = 5 AND seq = 3 SETTINGS mutations_sync = 2")
store.close()
"""


class Load:
    """Sends numbered events, one request after the other, and knows which were accepted."""

    def __init__(self, machine: Machine) -> None:
        self._url = f"{machine.collect_url}/v1/events"
        self.accepted = 0
        self._stop = threading.Event()

    def send(self, requests: int) -> None:
        with httpx.Client(
            trust_env=False, timeout=30, headers={"Authorization": f"Bearer {WRITE_KEY}"}
        ) as http:
            for _ in range(requests):
                if self._stop.is_set():
                    return
                batch = [
                    {"event": "view", "event_id": f"n{number}", "distinct_id": f"c{number % 50}"}
                    for number in range(self.accepted, self.accepted + 20)
                ]
                batch.append({"type": "profile_set", "distinct_id": "c1", "properties": {"n": self.accepted}})
                answer = http.post(self._url, json=batch)
                assert answer.json()["accepted"] == 21, answer.text
                self.accepted += 20

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.send, args=(100_000,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def wait_until_settled(machine: Machine) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        ledger: dict[str, Any] = machine.ask("/api/v1/projects/default/ledger")["total"]
        if not ledger["queued"]:
            return ledger
        assert time.monotonic() < deadline, ledger
        time.sleep(0.2)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `backup`, taken under load, of a home from which processed records go at once."""
    directory: Path = tmp_path_factory.mktemp("backup")
    with Machine(directory, kept_bytes=0) as machine:
        machine.start()
        load = Load(machine)
        load.send(30)
        wait_until_settled(machine)
        with load.running():
            time.sleep(1.0)
            before = load.accepted
            footfall(machine.home, "backup", directory / "backup")
            after = load.accepted
        (directory / "bounds").write_text(f"{before} {after}")
        wait_until_settled(machine)
        assert "Nothing is lost" in footfall(machine.home, "verify")
        machine.stop()
        footfall(machine.home, "backup", directory / "again")  # while stopped
    return directory


def test_a_restored_home_verifies_and_goes_on(taken: Path, tmp_path: Path) -> None:
    before, after = map(int, (taken / "bounds").read_text().split())
    with Machine(tmp_path, kept_bytes=0) as machine:
        footfall(machine.home, "restore", taken / "backup")
        assert "Nothing is lost" in footfall(machine.home, "verify")
        machine.start()
        restored = wait_until_settled(machine)
        events = restored["stored"] * 20 // 21
        assert before <= events <= after + 20
        assert restored["received"] == restored["stored"]
        load = Load(machine)
        load.send(events // 20 + 5)  # all once more, and some new ones
        ledger = wait_until_settled(machine)
        assert ledger["received"] == ledger["stored"] + ledger["duplicate"]
        body = {
            "range": {"last": {"value": 3, "unit": "day"}},
            "series": [{"event": "view", "measure": "events"}],
        }
        answer = machine.ask("/api/v1/query/trends", body)
        assert answer["result"]["series"][0]["total"] == load.accepted
        assert "Nothing is lost" in footfall(machine.home, "verify")
        machine.stop()


def test_a_backup_of_a_stopped_home_restores(taken: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    footfall(home, "restore", taken / "again")
    assert "Nothing is lost" in footfall(home, "verify")
    subprocess.run([sys.executable, "-c", _LOSE_ONE, str(home)], env=environment_of(home), check=True)
    said = footfall(home, "verify", code=1)
    assert "LOST events 0:5:3 " in said
    assert "1 finding:" in said


def test_it_does_not_restore_over_data(taken: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "workspace.db").write_text("precious")
    assert "is not empty (workspace.db)" in footfall(home, "restore", taken / "backup", code=1)
    assert sorted(path.name for path in home.iterdir()) == ["lock", "workspace.db"]


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_it_names_a_file_that_is_not_whole(taken: Path, tmp_path: Path, harm: str) -> None:
    import shutil

    copy, home = tmp_path / "copy", tmp_path / "home"
    shutil.copytree(taken / "backup", copy)
    file = max((copy / "store" / "events").rglob("data.bin"), key=lambda each: each.stat().st_size)
    if harm == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    said = footfall(home, "restore", copy, code=1)
    assert f"{file} is {harm}" in said
    assert sorted(path.name for path in home.iterdir()) == ["lock"]


def test_a_backup_does_not_replace_another(taken: Path) -> None:
    assert "is there already" in footfall(taken / "home", "backup", taken / "backup", code=1)


def test_a_killed_backup_leaves_no_backup_and_harms_nothing(taken: Path, tmp_path: Path) -> None:
    home, target = taken / "home", tmp_path / "killed"
    backup = subprocess.Popen(
        [sys.executable, "-m", "footfall.cli", "backup", str(target)],
        env=environment_of(home),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (home / "snapshot" / "store").exists():
        assert backup.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    backup.kill()
    backup.wait()
    assert not target.exists()
    assert "Nothing is lost" in footfall(home, "verify")
    footfall(home, "backup", target)
    assert "Nothing is lost" in footfall(home, "verify")


def replay_all(machine: Machine) -> dict[str, Any]:
    body = {"all": True, "fix": 'set /event = "good"'}
    answer: dict[str, Any] = machine.ask("/api/v1/projects/default/dead-letters/replay", body)
    return answer


def try_to_replay_all(machine: Machine) -> None:
    with suppress(httpx.TransportError):
        replay_all(machine)


def test_a_machine_that_dies_in_a_backup_and_in_a_replay_loses_and_repeats_nothing(tmp_path: Path) -> None:
    letters = [{"event": "1 bad", "distinct_id": f"c{n}", "event_id": f"bad{n}"} for n in range(100)]
    with Machine(tmp_path) as machine:
        machine.start()
        load = Load(machine)
        load.send(10)
        headers = {"Authorization": f"Bearer {WRITE_KEY}"}
        for _ in range(10):
            httpx.post(f"{machine.collect_url}/v1/events", json=letters, headers=headers, trust_env=False)
        wait_until_settled(machine)
        command = [sys.executable, "-m", "footfall.cli", "backup", str(tmp_path / "killed")]
        with load.running():
            backup = subprocess.Popen(command, env=environment_of(machine.home), stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 120
            while not (machine.home / "snapshot" / "store").exists():
                assert backup.poll() is None, "it ended before the engine could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.005)
            machine.kill("engine")
        assert backup.wait() != 0
        assert not (tmp_path / "killed").exists()
        machine.wait_until_ready()
        dying = threading.Thread(target=try_to_replay_all, args=(machine,))
        dying.start()
        while not (machine.home / "log" / "partition-9200.db").exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        machine.kill("engine")
        dying.join()
        machine.wait_until_ready()
        wait_until_settled(machine)
        replay_all(machine)  # what had not gone yet
        ledger = wait_until_settled(machine)
        again = replay_all(machine)
        assert (again["replayed"], again["refused"]) == (0, {})
        assert "Nothing is lost" in footfall(machine.home, "verify")
        footfall(machine.home, "backup", tmp_path / "whole")
        machine.stop()
    assert ledger["rejected"] == {"invalid_name": 1_000}
    assert ledger["stored"] == load.accepted // 20 * 21 + 100
