"""What a stopped Footfall holds, read in a process of its own: chDB opens one store a process.

python -m tests.faults.stored HOME    prints it as JSON
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.faults.events import Content

ROOT = Path(__file__).parent.parent.parent

_EVENTS = """
SELECT toInt64OrZero(properties['fault_number']), event, distinct_id, toUnixTimestamp64Milli(time),
       properties['text'], toString(p_amount), door
FROM events WHERE project = 'default'
"""
_PROFILE_OPERATIONS = """
SELECT distinct_id, operation, property, value FROM profile_operations WHERE project = 'default'
"""
_DEAD_LETTERS = "SELECT count() FROM dead_letters WHERE project = 'default'"
_LEDGER = "SELECT outcome, sum(count) FROM ledger WHERE project = 'default' GROUP BY outcome"


@dataclass(frozen=True, slots=True)
class Stored:
    """The contents of the store and the log's own counts."""

    events: list[tuple[int, Content, str]]  # number, content, door
    profile_operations: list[tuple[str, str, str, str]]  # distinct_id, operation, property, value
    dead_letters: int
    ledger: dict[str, int]  # by outcome
    tallies: int  # records that the collectors counted into the log
    lag: int  # log records that still wait


def read_stored(home: Path) -> Stored:
    """Reads a home whose Footfall was stopped."""
    output = subprocess.run(
        [sys.executable, "-m", "tests.faults.stored", str(home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert output.returncode == 0, f"the store cannot be read:\n{output.stderr.decode()[-4000:]}"
    found = orjson.loads(output.stdout.splitlines()[-1])
    return Stored(
        events=[(row[0], Content(*row[1:6]), row[6]) for row in found["events"]],
        profile_operations=[(*row[:3], _plain(row[3])) for row in found["profile_operations"]],
        dead_letters=found["dead_letters"],
        ledger=found["ledger"],
        tallies=found["tallies"],
        lag=found["lag"],
    )


def _plain(value: str) -> str:
    """A profile operation's value is JSON: texts without their quotes, numbers as they are."""
    return str(orjson.loads(value)) if value.startswith('"') else value


def _read(home: Path) -> dict[str, Any]:
    from footfall.eventlog.opening import open_log
    from footfall.storage.opening import open_store
    from footfall.storage.store import Query

    store = open_store(f"chdb://{home}/store", scratch=home / "scratch-of-test")
    log = open_log(f"sqlite:///{home}/log", max_bytes=1 << 40)
    partitions = log.partitions()
    try:
        return {
            "events": store.rows(Query(_EVENTS)).rows,
            "profile_operations": store.rows(Query(_PROFILE_OPERATIONS)).rows,
            "dead_letters": store.rows(Query(_DEAD_LETTERS)).rows[0][0],
            "ledger": dict(store.rows(Query(_LEDGER)).rows),
            "tallies": sum(tally.count for partition in partitions for tally in log.tallies(partition)),
            "lag": sum(log.position(partition).lag for partition in partitions),
        }
    finally:
        log.close()
        store.close()


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(_read(Path(sys.argv[1]))) + b"\n")
