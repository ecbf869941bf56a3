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

from footfall.eventlog.log import Log
from footfall.eventlog.opening import open_log
from footfall.events.keys import KeyedHash
from footfall.sealing import Sealer
from footfall.settings import Settings, read_installation_key
from footfall.storage.opening import open_store
from footfall.storage.store import Query, Store
from processor.loop import Processor, wall_clock
from processor.restamp import Restamper, RestampOptions
from query_api.sql.events import PERSON
from tests.faults.events import Content

ROOT = Path(__file__).parent.parent.parent

_EVENTS = """
SELECT toInt64OrZero(properties['fault_number']), event, distinct_id, toUnixTimestamp64Milli(time),
       properties['text'], toString(p_amount), door
FROM events WHERE project = 'default' AND door != 'administrator'
"""
_PROFILE_OPERATIONS = """
SELECT distinct_id, operation, property, value FROM profile_operations WHERE project = 'default'
"""
_DEAD_LETTERS = "SELECT count() FROM dead_letters WHERE project = 'default'"
_PERSONS = f"""
SELECT DISTINCT distinct_id, {PERSON} FROM events WHERE project = 'default' AND door != 'administrator'
"""
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
    persons: dict[str, str]  # by distinct_id
    persons_rewritten: dict[str, str]  # the same after a pass of the restamper to its end
    overrides_left: int  # then


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
        persons=found["persons"],
        persons_rewritten=found["persons_rewritten"],
        overrides_left=found["overrides_left"],
    )


def _plain(value: str) -> str:
    """A profile operation's value is JSON: texts without their quotes, numbers as they are."""
    return str(orjson.loads(value)) if value.startswith('"') else value


def _read(home: Path) -> dict[str, Any]:
    store = open_store(f"chdb://{home}/store", scratch=home / "scratch-of-test")
    log = open_log(f"sqlite:///{home}/log", max_bytes=1 << 40)
    partitions = log.partitions()
    key = read_installation_key(Settings(home=home))
    try:
        return {
            "events": store.rows(Query(_EVENTS)).rows,
            "profile_operations": store.rows(Query(_PROFILE_OPERATIONS)).rows,
            "dead_letters": store.rows(Query(_DEAD_LETTERS)).rows[0][0],
            "ledger": dict(store.rows(Query(_LEDGER)).rows),
            "tallies": sum(tally.count for partition in partitions for tally in log.tallies(partition)),
            "lag": sum(log.position(partition).lag for partition in partitions),
            "persons": _persons(store, KeyedHash(key)),
            "overrides_left": _rewrite(store, log, key),
            "persons_rewritten": _persons(store, KeyedHash(key)),
        }
    finally:
        log.close()
        store.close()


def _persons(store: Store, keyed_hash: KeyedHash) -> dict[str, str]:
    rows = store.rows(Query(_PERSONS)).rows
    names = {keyed_hash.id_key("default", distinct_id): distinct_id for distinct_id, _ in rows}
    return {distinct_id: names.get(person, "nobody's") for distinct_id, person in rows}


def _rewrite(store: Store, log: Log, key: bytes) -> int:
    """Gives every row to its person; the overrides that are left."""
    processor = Processor(log, store, KeyedHash(key), Sealer(key), lambda project: None)
    options = RestampOptions(from_overrides=1, longest_query_seconds=0)
    restamper = Restamper(store, processor, clock=wall_clock, options=options)
    restamper.recover()
    while restamper.turn():
        pass
    return int(store.rows(Query("SELECT count() FROM overrides")).rows[0][0])


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(_read(Path(sys.argv[1]))) + b"\n")
