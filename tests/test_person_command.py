"""A person is exported and erased by commands, killed at every step; a restored backup erases them again."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.machine import SECRET_KEY, WRITE_KEY, Machine
from tests.test_backup import footfall, wait_until_settled

STEPS = ("E1", "E2", "E3", "E3:2", "E4:3", "E5:2", "E6", "E7", "E8", "E9")
if "FAULT_ROUNDS" not in os.environ:  # each costs a start of the engine: `make faults` dies at all
    STEPS = ("E2", "E3:2", "E5:2", "E7")
ANN = "ann-4711-raw"
CARD = "card-of-ann-0815"


def send(machine: Machine, *records: dict[str, Any]) -> None:
    answer = httpx.post(
        f"{machine.collect_url}/v1/events",
        json=list(records),
        headers={"Authorization": f"Bearer {WRITE_KEY}"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def status_of(machine: Machine, who: str) -> int:
    return httpx.get(
        f"{machine.query_url}/api/v1/users/{who}",
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        trust_env=False,
        timeout=30,
    ).status_code


def files_with(home: Path, text: str) -> list[str]:
    command = ["grep", "-rlaF", text, str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def history(machine: Machine) -> None:
    send(
        machine,
        {"event": "view", "distinct_id": "phone-of-ann-raw", "properties": {"card": CARD}},
        {"event": "buy", "distinct_id": ANN, "login_id": ANN, "anonymous_id": "phone-of-ann-raw"},
        {"type": "profile_set", "distinct_id": ANN, "properties": {"home": CARD}},
        {"event": "9 bad", "distinct_id": ANN, "properties": {"card": CARD}},
        {"event": "buy", "distinct_id": "bob", "login_id": "bob", "anonymous_id": "phone-of-bob"},
        {"event": "9 bad", "distinct_id": "bob"},
    )
    send(machine, *[{"event": "view", "distinct_id": f"u{n}"} for n in range(50)])


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a home whose person was erased afterwards, amid a kill at each step."""
    directory: Path = tmp_path_factory.mktemp("person")
    with Machine(directory, faults=[step if ":" in step else f"{step}:1" for step in STEPS]) as machine:
        machine.start()
        history(machine)
        wait_until_settled(machine)
        footfall(machine.home, "backup", directory / "backup")
        exported = footfall(machine.home, "person", "export", "phone-of-ann-raw", "--reason", "ticket 7")
        kinds = [json.loads(line)["kind"] for line in exported.splitlines()]
        assert sorted(set(kinds)) == [
            "about", "binding", "dead_letter", "decision", "end", "event", "profile", "profile_operation",
        ]  # fmt: skip
        assert kinds.count("event") == 2
        asked = footfall(machine.home, "person", "erase", ANN, "--reason", "ticket 7", "--no-wait")
        id_ = asked.split()[1]
        job = _finished(machine, id_)
        assert machine.faults_happened
        assert job["removed"]["events"] == 2
        (held,) = job["backups"]
        assert held["path"] == str(directory / "backup")
        assert held["expires_at"] > held["taken_at"]
        assert "backup  taken" in footfall(machine.home, "backups")
        for text in (ANN, "phone-of-ann-raw", CARD):
            assert files_with(machine.home, text) == []
        assert files_with(machine.home, "bob"), "the search finds what there is"
        assert "Nothing is lost" in footfall(machine.home, "verify")
        assert status_of(machine, ANN) == 404
        assert status_of(machine, "bob") == 200
        footfall(machine.home, "person", "erase", ANN, "--reason", "again", code=1)
        machine.stop()
    return directory / "backup"


def _finished(machine: Machine, id_: str) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            job: dict[str, Any] = machine.ask(f"/api/v1/projects/default/erasures/{id_}")
        except (httpx.HTTPError, AssertionError):
            time.sleep(0.3)
            continue
        if job["state"] == "finished":
            return job
        time.sleep(0.2)
    raise AssertionError(f"not erased in time:\n{machine.last_words()}")


def test_a_restored_backup_erases_whom_was_erased_since_before_it_answers(
    backup: Path, tmp_path: Path
) -> None:
    with Machine(tmp_path) as machine:
        assert "1 erased since" in footfall(machine.home, "restore", backup)
        machine.start()
        assert status_of(machine, ANN) == 404
        assert status_of(machine, "bob") == 200
        for text in (ANN, CARD):
            assert files_with(machine.home, text) == []
        assert "Nothing is lost" in footfall(machine.home, "verify")
        machine.stop()
