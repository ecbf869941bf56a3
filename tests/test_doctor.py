"""`footfall doctor`: each thing that can be wrong is found, and something is said to do about it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from footfall.cli import doctor
from footfall.cli.disk import Room
from footfall.cli.doctor import examine
from footfall.cli.doctor_files import look_at_files
from footfall.cli.doctor_running import ask_running, judge_processor, judge_records, read_samples
from footfall.cli.finding import Finding
from footfall.eventlog.log import Tally
from footfall.eventlog.sqlite_log import SqliteLog
from footfall.settings import Settings, read_installation_key
from footfall.workspace import open_workspace
from tests.test_cli import free_ports

PROCESSOR = """
footfall_processor_failing_seconds {failing}
footfall_processor_lag_records{{partition="0"}} {lag}
footfall_processor_lag_records{{partition="1"}} 1.0
footfall_processor_oldest_unread_seconds{{partition="0"}} {oldest}
footfall_processor_oldest_unread_seconds{{partition="1"}} 1.0
"""


def failed(findings: list[Finding]) -> dict[str, str]:
    """Check -> what was seen and what to do."""
    assert all(finding.remedy for finding in findings if not finding.ok)
    return {finding.check: f"{finding.seen} -> {finding.remedy}" for finding in findings if not finding.ok}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a home with a log and a workspace; nothing runs."""
    collect_port, query_port = free_ports()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, collect_port=collect_port, query_port=query_port)
    read_installation_key(settings)
    open_workspace(settings.workspace_url).close()
    log = SqliteLog(home / "log", max_bytes=1 << 30)
    writer = log.open_writer(0)
    for _ in range(50):
        writer.append(os.urandom(2_000), Tally("bank", "native", 29_000_000, 1)).result(60)
    writer.close()
    log.close()
    return settings


def test_files_that_are_in_order_are_found_so(settings: Settings) -> None:
    assert failed(look_at_files(settings)) == {}


@pytest.mark.parametrize("name", ["log/partition-0000.db", "workspace.db"])
def test_a_damaged_file_is_named(settings: Settings, name: str) -> None:
    file = settings.home / name
    whole = file.read_bytes()
    file.write_bytes(whole[:200] + b"\xff" * (len(whole) - 200))
    assert name in failed(look_at_files(settings))["files"]


def test_a_damaged_log_is_an_answer_and_no_stack_trace(settings: Settings) -> None:
    (settings.home / "log" / "partition-0000.db").write_bytes(b"no database" * 10_000)
    found = failed(examine(settings))
    assert "partition-0000.db" in found["files"]
    assert "partition-0000.db is damaged, or no file of ours" in found["log"]


def test_a_damaged_workspace_is_told_in_one_line(settings: Settings) -> None:
    (settings.home / "workspace.db").write_bytes(b"no database" * 10_000)
    found = failed(examine(settings))
    assert "not a database" in found["workspace"]
    assert "\n" not in found["workspace"]
    assert "SELECT" not in found["workspace"]


def test_a_home_that_others_can_enter_is_found(settings: Settings) -> None:
    settings.home.chmod(0o755)
    assert f"chmod 700 {settings.home}" in failed(look_at_files(settings))["owner"]


def test_a_home_of_another_user_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    assert "you are user 54321" in failed(look_at_files(settings))["owner"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_found(settings: Settings) -> None:
    os.chown(settings.home / "log" / "partition-0000.db", 54_321, 54_321)
    assert "chown -R" in failed(look_at_files(settings))["owner"]


def test_a_clock_that_was_set_back_is_found(settings: Settings) -> None:
    file = settings.home / "log" / "partition-0000.db"
    os.utime(file, (time.time() + 7_200, time.time() + 7_200))
    assert "set it right" in failed(look_at_files(settings))["clock and files"]


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(100 << 30, 200 << 30, 1 << 30), None),
        (Room(3 << 29, 200 << 30, 1 << 30), "soon no more events are taken"),
        (Room(1 << 29, 200 << 30, 1 << 30), "no more events are taken"),
        (Room(100 << 30, 200 << 30, 19 << 30), "soon no more events are taken"),
        (Room(100 << 30, 200 << 30, 21 << 30), "FOOTFALL_DISK_BUDGET_BYTES"),
    ],
)
def test_a_disk_that_is_nearly_full_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, room: Room, words: str | None
) -> None:
    monkeypatch.setattr(doctor, "look", lambda _: room)
    finding = doctor._check_disk(settings.model_copy(update={"disk_budget_bytes": 20 << 30}))
    assert finding.ok is (words is None)
    assert words is None or words in failed([finding])["disk"]


@pytest.mark.parametrize(
    ("before", "after", "checks"),
    [
        ((0, 10, 1), (0, 500, 2), set()),  # a peak
        ((0, 500, 40), (0, 400, 40), set()),  # it catches up
        ((0, 400, 40), (0, 500, 42), {"lag"}),
        ((0, 400, 40), (0, 400, 42), {"lag"}),
        ((3, 400, 1), (5, 410, 3), {"processor"}),
        ((90, 400, 90), (92, 410, 92), {"processor", "lag"}),
    ],
)
def test_a_processor_that_is_stuck_or_falls_behind_is_found(
    before: tuple[int, int, int], after: tuple[int, int, int], checks: set[str]
) -> None:
    looks = [
        read_samples(PROCESSOR.format(failing=failing, lag=lag, oldest=oldest))
        for failing, lag, oldest in (before, after)
    ]
    assert set(failed(judge_processor(*looks))) == checks


@pytest.mark.parametrize(
    ("accepted", "unreadable", "too_old", "words"),
    [(0, 0, 0, None), (10, 9, 0, None), (960, 20, 20, None), (900, 40, 60, "most too_old")],
)
def test_many_dead_letters_are_found_with_their_reason(
    accepted: int, unreadable: int, too_old: int, words: str | None
) -> None:
    metrics = read_samples(
        f"""
footfall_collector_records_total{{door="native",outcome="accepted",worker="0"}} {accepted}
footfall_collector_records_total{{door="sensors",outcome="unreadable",worker="0"}} {unreadable}
footfall_collector_records_total{{door="native",outcome="too_old",worker="0"}} {too_old / 2}
footfall_collector_records_total{{door="native",outcome="too_old",worker="1"}} {too_old / 2}
footfall_collector_log_refusals_total{{worker="0"}} 1000.0
"""
    )
    finding = judge_records(metrics)
    assert finding.ok is (words is None)
    assert words is None or words in failed([finding])["dead letters"]


def test_one_that_runs_and_does_not_answer_is_found(settings: Settings) -> None:
    found = failed(ask_running(settings))
    assert set(found) == {"collector", "query API", "metrics"}
    assert str(settings.collect_port) in found["collector"]


def test_a_home_that_may_not_be_read_is_an_answer_and_no_stack_trace(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "Permission denied -> run this as" in failed(look_at_files(settings))["files"]


def test_whoever_may_not_write_the_home_is_told_so_and_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    assert set(failed(examine(settings))) == {"home"}
