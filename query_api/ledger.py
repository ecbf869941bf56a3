"""The ledger of a project: what was received, and what became of it.

`received` is the collectors' own count, from the log. What became of it is the processor's word, from the
store, and what still waits is counted from the log records that lie there. So received = stored + duplicate
+ rejected + queued is a check of one part by others.

The store is read first and only up to the offsets that it had then; the rest of the log is what waits. Read
the other way round, records processed in between would be counted twice or not at all. Records that were
processed and also truncated in between are missed: then all is read again.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from footfall.eventlog.log import Log
from footfall.eventlog.waiting import Truncated, waiting_headers
from footfall.storage.store import Parameter, Query, Store
from query_api.answers import instant

MINUTE_MS = 60_000
MAX_MINUTES = 20_000
_ATTEMPTS = 10

_PROCESSED = """
SELECT log_partition, max(last_offset) + 1 FROM ingest_blocks WHERE state = 'done' GROUP BY log_partition
"""

_OUTCOMES = """
SELECT door, toUnixTimestamp(minute), outcome, reason, sum(count)
FROM ledger
WHERE project = {project:String} AND outcome != 'received'
    AND last_offset < transform(toUInt64(log_partition), {partitions:Array(UInt64)}, {ends:Array(UInt64)}, 0)
GROUP BY door, minute, outcome, reason
"""


@dataclass(slots=True)
class Account:
    """The counts of a minute and door, or of all."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    queued: int = 0

    def add(self, outcome: str, reason: str, count: int) -> None:
        """Books an outcome: stored, duplicate or rejected."""
        match outcome:
            case "stored":
                self.stored += count
            case "duplicate":
                self.duplicate += count
            case _:
                self.rejected[reason] += count

    def as_json(self) -> dict[str, Any]:
        return {
            "received": self.received,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "rejected": dict(sorted(self.rejected.items())),
            "queued": self.queued,
        }


def read_ledger(store: Store, log: Log, project: str, data_until: int) -> dict[str, Any]:
    """`{"total", "minutes": [{"minute", "door", ...}], "data_until"}`: the newest MAX_MINUTES, ascending."""
    for _ in range(_ATTEMPTS):
        with suppress(Truncated):
            return _read_ledger(store, log, project, data_until)
    # What is truncated but never processed is lost: the ledger stays open by as much.
    return _read_ledger(store, log, project, data_until, may_miss=True)


def _read_ledger(
    store: Store, log: Log, project: str, data_until: int, *, may_miss: bool = False
) -> dict[str, Any]:
    accounts: dict[tuple[int, str], Account] = defaultdict(Account)  # by epoch minute and door
    processed = {int(partition): int(end) for partition, end in store.rows(Query(_PROCESSED)).rows}
    parameters: dict[str, Parameter] = {
        "project": project,
        "partitions": list(processed),
        "ends": list(processed.values()),
    }
    for door, seconds, outcome, reason, count in store.rows(Query(_OUTCOMES, parameters)).rows:
        accounts[seconds // 60, door].add(outcome, reason, int(count))
    for partition in log.partitions():
        tallies, end = log.tallies_and_end(partition)
        for tally in tallies:
            if tally.project == project:
                accounts[tally.minute, tally.door].received += tally.count
        for header in waiting_headers(log, partition, processed.get(partition, 0), end, may_miss=may_miss):
            if header.project == project:
                accounts[header.received_at // MINUTE_MS, header.door].queued += header.count
    return {
        "total": _total(accounts.values()).as_json(),
        "minutes": [
            {"minute": instant(minute * MINUTE_MS), "door": door} | account.as_json()
            for (minute, door), account in sorted(accounts.items())[-MAX_MINUTES:]
        ],
        "data_until": instant(data_until),
    }


def _total(accounts: Any) -> Account:
    total = Account()
    for account in accounts:
        total.received += account.received
        total.stored += account.stored
        total.duplicate += account.duplicate
        total.queued += account.queued
        for reason, count in account.rejected.items():
            total.rejected[reason] += count
    return total
