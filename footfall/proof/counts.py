"""Counts of the same things by different parts: the collectors' tallies, the ledger, the blocks' outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from footfall.eventlog.log import Log
from footfall.eventlog.waiting import Truncated, waiting_headers
from footfall.proof.findings import Finding
from footfall.proof.horizon import Horizon, HorizonReader
from footfall.storage.digests import DIGEST_VERSION
from footfall.storage.store import Parameter, Query, Store

_MOST = 1_000
_ATTEMPTS = 10
_ENDS = "transform(toUInt64(log_partition), {partitions:Array(UInt64)}, {ends:Array(UInt64)}, 0)"

_RECEIVED = f"""
SELECT log_partition, project, door, toUnixTimestamp(minute), sum(count) FROM ledger
WHERE outcome = 'received' AND last_offset < {_ENDS} GROUP BY ALL"""

_OPEN_LINES = f"""
SELECT log_partition, first_offset, last_offset, project,
    sumIf(count, outcome = 'received') AS received, sumIf(count, outcome != 'received') AS told
FROM ledger WHERE last_offset < {_ENDS}
GROUP BY log_partition, first_offset, last_offset, project, door, minute
HAVING received != told ORDER BY ALL LIMIT {_MOST}"""

_OUTCOMES = f"""
SELECT log_partition, first_offset, last_offset, sum(s) AS stored, sum(r) AS rejected, sum(i) AS ids
FROM (
    SELECT log_partition, first_offset, last_offset,
        toInt64(sumIf(count, outcome = 'stored')) AS s, toInt64(sumIf(count, outcome = 'rejected')) AS r,
        toInt64(0) AS i
    FROM ledger WHERE last_offset < {_ENDS} GROUP BY ALL
    UNION ALL
    SELECT log_partition, first_offset, last_offset, -toInt64(stored) AS s,
        -toInt64(arraySum((n, t) -> if(t = 'dead_letters', n, 0), digests.rows, digests.table)) AS r,
        toInt64(arraySum((n, t) -> if(t = 'event_ids', n, 0), digests.rows, digests.table))
            - toInt64(stored) AS i
    FROM (
        SELECT * FROM ingest_blocks
        WHERE state = 'done' AND last_offset < {_ENDS} AND digest_version = {DIGEST_VERSION}
        LIMIT 1 BY log_partition, first_offset, last_offset
    )
)
WHERE first_offset >= transform(
    toUInt64(log_partition), {{partitions:Array(UInt64)}}, {{starts:Array(UInt64)}}, 0)
GROUP BY log_partition, first_offset, last_offset
HAVING stored != 0 OR rejected != 0 OR ids != 0 ORDER BY ALL LIMIT {_MOST}"""

Place = tuple[int, str, str, int]
"""Log partition, project, door, epoch minute."""


def compare_counts(store: Store, log: Log, horizon: Horizon, project: str | None) -> Iterator[Finding]:
    """Findings of all three comparisons. `project` None: all."""
    yield from _compare_settled_arrivals(store, log, horizon, project)
    ends = _ends(horizon)
    for partition, first, last, of, received, told in store.rows(Query(_OPEN_LINES, ends)).rows:
        if project is None or of == project:
            message = f"of {received} received records {told} have an outcome"
            yield Finding("ledger", "count", f"{partition}:{first}..{last}", message, of)
    if project is not None:
        return  # a block's outcome is of all its projects
    for partition, first, last, stored, rejected, ids in store.rows(
        Query(_OUTCOMES, horizon.parameters())
    ).rows:
        differences = [
            f"{what} differ by {number}"
            for what, number in (
                ("the ledger's and the block's stored records", stored),
                ("the ledger's rejected records and the block's dead letters", rejected),
                ("the block's event ids and its stored records", ids),
            )
            if number
        ]
        yield Finding("ledger", "count", f"{partition}:{first}..{last}", "; ".join(differences))


def _ends(horizon: Horizon) -> dict[str, Parameter]:
    parameters = horizon.parameters()
    return {"partitions": parameters["partitions"], "ends": parameters["ends"]}


def _compare_settled_arrivals(
    store: Store, log: Log, horizon: Horizon, project: str | None
) -> Iterator[Finding]:
    """Again where records were processed and also truncated meanwhile: they would be in neither book."""
    for _ in range(_ATTEMPTS):
        with suppress(Truncated):
            return iter(list(_compare_arrivals(store, log, horizon, project, may_miss=False)))
        horizon = HorizonReader(store).read()
    return _compare_arrivals(store, log, horizon, project, may_miss=True)


def _compare_arrivals(
    store: Store, log: Log, horizon: Horizon, project: str | None, *, may_miss: bool
) -> Iterator[Finding]:
    """What the collectors counted into the log, against the ledger's received and what waits in the log."""
    booked: Counter[Place] = Counter()
    for partition, of, door, seconds, count in store.rows(Query(_RECEIVED, _ends(horizon))).rows:
        booked[partition, of, door, seconds // 60] += int(count)
    counted: Counter[Place] = Counter()
    partitions = log.partitions()
    for partition in partitions:
        tallies, end = log.tallies_and_end(partition)
        for tally in tallies:
            counted[partition, tally.project, tally.door, tally.minute] += tally.count
        for header in waiting_headers(log, partition, horizon.ends.get(partition, 0), end, may_miss=may_miss):
            booked[partition, header.project, header.door, header.received_at // 60_000] += header.count
    for partition in sorted(horizon.ends.keys() - set(partitions)):
        yield Finding(
            "log", "lost", f"partition {partition}", "the log has no such partition, the store has its rows"
        )
    for place in sorted(booked.keys() | counted.keys()):
        partition, of, door, minute = place
        if counted[place] != booked[place] and partition in partitions and project in (None, of):
            when = datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%MZ")
            message = (
                f"door {door or '?'}, minute {when}: the collectors counted {counted[place]} records, "
                f"the ledger and what waits have {booked[place]}"
            )
            yield Finding("ledger", "count", f"partition {partition}", message, of)
