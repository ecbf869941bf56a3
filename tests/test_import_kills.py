"""An import that is killed, wherever that is, goes on where it was: every row is in the log exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from footfall.eventlog.opening import open_log
from footfall.eventlog.partitions import IMPORTS
from footfall.events.log_record import read_log_record
from footfall.events.record import read_records
from footfall.settings import Settings
from footfall.workspace import open_workspace

ROWS = 7_000  # four batches
KILLED = 137


def write_file(path: Path) -> None:
    """Every tenth row is the one before once more; every hundredth is broken."""
    lines = ["customer,time,event,number"]
    for number in range(ROWS):
        told = number - 1 if number % 10 == 9 else number
        time = "never" if number % 100 == 50 else "2026-01-05T10:00:00+08:00"
        lines.append(f"c{told % 7},{time},buy,{told}")
    path.write_text("\n".join(lines) + "\n")


def run(home: Path, path: Path, fault: str = "", *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FOOTFALL_HOME": str(home)}
    if fault:
        environment["FOOTFALL_FAULT"] = fault
    mapping = path.with_suffix(".toml")
    mapping.write_text('event_column = "event"\ndistinct_id = "customer"\ntime = "time"\n')
    command = [sys.executable, "-m", "footfall.cli", "import", str(path), "--yes", "--mapping", str(mapping)]
    return subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def in_log(home: Path) -> tuple[Counter[str], Counter[int], int]:
    """Of all that the log has: the event ids, the numbers of the good rows, how many were refused."""
    ids: Counter[str] = Counter()
    numbers: Counter[int] = Counter()
    refused = 0
    with closing(open_log(Settings(home=home).log_url, max_bytes=1 << 30)) as log:
        for record in log.read(IMPORTS, 0, 1 << 30):
            header, events = read_log_record(record.payload)
            refused += len(header.refusals)
            bad = {refusal.index for refusal in header.refusals}
            for event_id, event in zip(header.event_ids, read_records(events, bad), strict=True):
                if event is not None:
                    ids[event_id] += 1
                    numbers[event.properties["number"]] += 1
        tallied = sum(tally.count for tally in log.tallies(IMPORTS))
    assert tallied == sum(ids.values()) + refused
    return ids, numbers, refused


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    with closing(open_workspace(settings.workspace_url)) as workspace:
        workspace.bootstrap(None, None)
    return settings.home


def expected() -> Counter[int]:
    good = [n for n in range(ROWS) if n % 100 != 50]
    return Counter(n - 1 if n % 10 == 9 else n for n in good)


@pytest.mark.parametrize(
    "fault",
    [
        "I1:3",  # announced, not in the log
        "P1:2",  # the log is about to commit
        "P2:2",  # the log has it, nobody knows
        "I2:1",  # the log has it, the journal does not know
        "I3:1",  # all but the end
    ],
)
def test_every_row_is_there_once_after_a_kill(home: Path, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "history.csv"
    write_file(path)
    killed = run(home, path, fault)
    assert killed.returncode == KILLED, killed.stderr
    resumed = run(home, path)
    assert resumed.returncode == 0, resumed.stderr
    ids, numbers, refused = in_log(home)
    assert set(ids.values()) == {1}
    assert numbers == expected()
    assert refused == ROWS // 100
    assert (tmp_path / "history.csv.rejected.jsonl").read_text().count("\n") == ROWS // 100


def test_another_import_in_between_confuses_nothing(home: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_file(first)
    second.write_text("customer,time,event,number\nc1,2026-01-05T10:00:00+08:00,buy,-1\n")
    assert run(home, first, "I1:2").returncode == KILLED
    assert run(home, second).returncode == 0
    assert run(home, first).returncode == 0
    ids, numbers, _ = in_log(home)
    assert set(ids.values()) == {1}
    assert numbers == expected() + Counter({-1: 1})
    again = run(home, first)
    assert "imported before" in again.stdout
    assert in_log(home)[0] == ids


def test_a_dry_run_stores_nothing(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_file(path)
    tried = run(home, path, "", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "6,930 rows would be imported, 70 rejected" in tried.stdout
    assert not (home / "imports").exists()
    assert not list((home / "log").glob("partition-9*"))
