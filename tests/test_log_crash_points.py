"""A process that dies within the log leaves it whole: what was acknowledged is there, and the log goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from footfall.eventlog.log import LogFull, Tally
from footfall.eventlog.sqlite_log import SqliteLog

ROOT = Path(__file__).parent.parent
TALLY = Tally("bank", "native", 1, 2)

APPEND = """
import sys
from pathlib import Path
from footfall.eventlog.log import Tally
from footfall.eventlog.sqlite_log import SqliteLog

writer = SqliteLog(Path(sys.argv[1]), max_bytes=1 << 30).open_writer(0)
for number in range(20):
    writer.append(b"record %d" % number, Tally("bank", "native", 1, 2)).result()
    print(number, flush=True)
"""

TRUNCATE = """
import sys
from pathlib import Path
from footfall.eventlog.sqlite_log import SqliteLog

SqliteLog(Path(sys.argv[1]), max_bytes=1 << 30).truncate(0, 10**9)
"""


def run_until_death(program: str, directory: Path, fault: str) -> list[str]:
    """What it had printed when it died at the crash point."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        cwd=ROOT,
        env={**os.environ, "FOOTFALL_FAULT": fault},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 137, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("hit", [1, 2, 7])
def test_dying_before_the_commit_loses_only_what_was_not_acknowledged(tmp_path: Path, hit: int) -> None:
    acknowledged = run_until_death(APPEND, tmp_path, f"P1:{hit}")
    assert_goes_on(tmp_path, kept=hit - 1, acknowledged=len(acknowledged))


@pytest.mark.parametrize("hit", [1, 2, 7])
def test_dying_before_the_acknowledgement_keeps_the_record(tmp_path: Path, hit: int) -> None:
    acknowledged = run_until_death(APPEND, tmp_path, f"P2:{hit}")
    assert_goes_on(tmp_path, kept=hit, acknowledged=len(acknowledged))


def assert_goes_on(directory: Path, kept: int, acknowledged: int) -> None:
    log = SqliteLog(directory, max_bytes=1 << 30)
    writer = log.open_writer(0)
    assert acknowledged <= kept
    assert [record.payload for record in log.read(0, 0, 10**6)] == [b"record %d" % n for n in range(kept)]
    assert sum(tally.count for tally in log.tallies(0)) == 2 * kept
    assert writer.append(b"next", TALLY).result(10) == kept
    writer.close()
    log.close()


def test_dying_between_two_truncations_keeps_offsets_counts_and_the_byte_limit(tmp_path: Path) -> None:
    payloads = [Random(n).randbytes(900) for n in range(2_000)]
    log = SqliteLog(tmp_path, max_bytes=2_000 * 964)
    writer = log.open_writer(0)
    for future in [writer.append(payload, TALLY) for payload in payloads]:
        future.result(10)
    log.commit(0, 1_900)
    writer.close()
    log.close()
    run_until_death(TRUNCATE, tmp_path, "P3:2")
    log = SqliteLog(tmp_path, max_bytes=2_000 * 964)
    first = log.read(0, 0, 1)[0].offset
    assert 0 < first < 1_900
    assert [record.payload for record in log.read(0, 0, 10**8)] == payloads[first:]
    assert sum(tally.count for tally in log.tallies(0)) == 4_000
    writer = log.open_writer(0)
    futures = [writer.append(b"x" * 900, TALLY) for _ in range(first)]
    assert [future.result(10) for future in futures] == list(range(2_000, 2_000 + first))
    with pytest.raises(LogFull):
        writer.append(b"x" * 900, TALLY).result(10)
    assert log.truncate(0, 10**9) == 1_900 - first
    assert log.read(0, 0, 1)[0].offset == 1_900
    writer.close()
    log.close()
