"""What `footfall import` takes: a CSV file into a running Footfall, killed in the middle and resumed.

The limit beside it is the same file read and judged without storing anything (`--dry-run`). What the store
holds in the end is compared with the file: every row once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from bench.installation import free_port
from bench.results import Row, Section
from footfall.cli.demo_system import RunningSystem, running_system, wait_until_ready
from footfall.settings import Settings

_MAPPING = """
event_column = "event"
distinct_id = "customer_no"
time = {column = "time", format = "%Y-%m-%d %H:%M:%S", zone = "Asia/Shanghai"}
event_id = "serial_no"
"""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many rows."""

    rows: int = 1_000_000

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(rows=20_000) if quick else cls()


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the command."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    said: str


class WrongRows(Exception):  # noqa: N818 - reads as what it is
    """The store does not hold every row once."""


def measure(home: Path, effort: Effort) -> Section:
    path = home / "history.csv"
    _write_file(path, effort.rows)
    settings = Settings(home=home / "footfall", collect_port=free_port(), query_port=free_port())
    settings.home.mkdir()
    with running_system(settings, settings.home) as system:
        wait_until_ready(system)
        tried = _import(system, path, "--dry-run")
        killed = _import(system, path, kill_after=_half(tried.seconds))
        resumed = _import(system, path)
        _check(system, effort.rows)
    was_killed = killed.code == -signal.SIGKILL
    judged = effort.rows / tried.cpu_seconds
    taken = effort.rows / (killed.cpu_seconds + resumed.cpu_seconds)
    rows = [
        Row("read and judged only (--dry-run)", f"{judged:,.0f} rows/cpu-s"),
        Row(
            "import, killed in the middle, resumed",
            f"{taken:,.0f} rows/cpu-s",
            f"{judged:,.0f} rows/cpu-s",
            taken / judged,
        ),
        Row(
            "the same until all was processed",
            f"{effort.rows / (killed.seconds + resumed.seconds):,.0f} rows/s",
        ),
        Row("peak memory of the import", f"{max(killed.peak_mib, resumed.peak_mib):,.0f} MiB"),
    ]
    notes = [
        f"{effort.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB; "
        + (f"killed after {killed.seconds:.1f} s" if was_killed else "it had ended before the kill")
        + f", resumed for {resumed.seconds:.1f} s, until all was processed; every row is in the store once",
    ]
    return Section("Import", rows, notes)


def _write_file(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("serial_no,customer_no,time,event,channel,amount,product,risk_level\n")
        for number in range(rows):
            day, second = 1 + number % 28, number % 86_400
            clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            file.write(
                f"S{number:09d},C{number * 7919 % 50_021},2026-09-{day:02d} {clock},"
                f"{('buy', 'view', 'transfer')[number % 3]},{('app', 'branch', '手机银行')[number % 7 % 3]},"
                f"{number % 100_000}.{number % 100:02d},基金{number % 97},R{number % 5 + 1}\n"
            )


def _import(system: RunningSystem, path: Path, *options: str, kill_after: float | None = None) -> Ran:
    mapping = path.with_suffix(".toml")
    mapping.write_text(_MAPPING)
    began = time.monotonic()
    command = [sys.executable, "-m", "footfall.cli", "import", str(path), "--yes", "--mapping", str(mapping)]
    process = subprocess.Popen(
        [*command, *options],
        env={**os.environ, "FOOTFALL_HOME": str(system.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    timer = None if kill_after is None else Timer(kill_after, process.kill)
    if timer is not None:
        timer.start()
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if timer is not None:
        timer.cancel()
        timer.join()
    if process.returncode not in (0, -signal.SIGKILL):
        raise WrongRows(f"the import ended with {process.returncode}: {said}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Ran(process.returncode, time.monotonic() - began, cpu_seconds, usage.ru_maxrss / 1024, said)


def _half(seconds: float) -> float:
    """Of a run that stores too: amid it, whatever the machine."""
    return max(1.0, seconds / 2)


def _check(system: RunningSystem, rows: int) -> None:
    body = {
        "range": {"from": "2026-09-01", "to": "2026-09-28"},
        "series": [{"event": None, "measure": "events"}],
        "interval": "total",
    }
    found = system.ask("trends", body)["series"][0]["total"]
    ledger = system.ledger()
    if found != rows or ledger["stored"] != rows or ledger["duplicate"]:
        raise WrongRows(f"{rows} rows were imported, the store counts {found}, the ledger {ledger}")
