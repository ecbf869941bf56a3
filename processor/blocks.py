"""Planned blocks: which log records are inserted at once, under which token.

A plan is written to `ingest_blocks` before anything of the block. After a crash the block is redone from its
plan: same boundaries, same tokens, so inserts that were done are dropped by the engine, and the same version,
so that what is derived comes out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from footfall.eventlog.log import DamagedRecord, Log, LogRecord
from footfall.storage.rows import BlockRow
from footfall.storage.store import Query, Store

READ_BYTES = 8 << 20


class LogReplacedError(Exception):
    """The store has processed offsets that this log does not have: they do not belong together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A range of offsets of one partition, both ends included."""

    partition: int
    first: int
    last: int
    version: int
    """Epoch ms when planned; grows from block to block, so that later derivations replace earlier ones."""

    derivation: int = 0
    """Where several processors derive: the version of what is derived, which grows from each block that
    derives to the next; 0: as `version`.
    """

    @property
    def derived(self) -> int:
        """The version of what the block derives from other blocks, too: persons, profiles, items."""
        return self.derivation or self.version

    @property
    def token(self) -> str:
        """What makes a repeated insert of this block a no-op."""
        return f"{self.partition}:{self.first}:{self.last}"

    def row(self, state: str, stored: int = 0, checksum: int = 0, received_until: int = 0) -> BlockRow:
        """The plan, or the outcome, as `ingest_blocks` keeps it."""
        return BlockRow(
            log_partition=self.partition,
            first_offset=self.first,
            last_offset=self.last,
            state=state,
            stored=stored,
            checksum=checksum,
            received_until=received_until,
            written_at=self.version,
        )

    @property
    def own(self) -> dict[str, int]:
        """Parameters by which look-ups leave out what an earlier try of this very block stored."""
        return {"own_partition": self.partition, "own_first": self.first, "own_last": self.last}


class Damaged(NamedTuple):
    """A record that the log can no longer read."""

    partition: int
    offset: int


def read_offsets(log: Log, partition: int, first: int, last: int) -> list[LogRecord | Damaged]:
    """Every record from `first` to `last`, damaged ones in their place."""
    records: list[LogRecord | Damaged] = []
    while first <= last:
        found = read_some(log, partition, first, READ_BYTES)
        if not found:
            raise LogReplacedError(
                f"partition {partition} of the log ends before offset {first}, but a block up to {last} was "
                "planned: put back the log that belongs to this store"
            )
        records += found
        first = records[-1].offset + 1
    return [record for record in records if record.offset <= last]


def read_some(log: Log, partition: int, first: int, limit_bytes: int) -> list[LogRecord | Damaged]:
    """As Log.read; a damaged record comes as such instead of an error."""
    try:
        return list(log.read(partition, first, limit_bytes))
    except DamagedRecord as damage:
        return [Damaged(partition, damage.offset)]


class Unfinished(NamedTuple):
    """What `ingest_blocks` says about a partition from its committed offset on."""

    plan: Plan | None  # planned, not done
    next_offset: int  # to commit: behind blocks that were done but not committed


_BLOCKS_FROM = """
SELECT first_offset, last_offset, min(toUnixTimestamp64Milli(written_at)), max(state = 'done')
FROM ingest_blocks WHERE log_partition = {partition:UInt16} AND first_offset >= {committed:UInt64}
GROUP BY first_offset, last_offset ORDER BY first_offset, last_offset"""


def find_unfinished(store: Store, partition: int, committed: int, end: int) -> Unfinished:
    """Blocks are done one after the other: from the commit on there are done ones, then perhaps a planned
    one.

    LogReplacedError if it looks otherwise: then this is not the log whose records the store holds.
    """
    next_offset = committed
    rows = store.rows(Query(_BLOCKS_FROM, {"partition": partition, "committed": committed})).rows
    for number, (first, last, version, done) in enumerate(rows, start=1):
        if first != next_offset or last >= end or not (done or number == len(rows)):
            raise LogReplacedError(
                f"the store has a block {first}..{last} of log partition {partition} that does not follow "
                f"offset {next_offset}, to which this log (which ends at {end}) was processed: it is not the "
                "log that was written into this store. Put back the log that belongs to it, or start with an "
                "empty store"
            )
        if not done:
            return Unfinished(Plan(partition, first, last, version), next_offset)
        next_offset = last + 1
    return Unfinished(None, next_offset)


def newest_version(store: Store) -> int:
    """The version of the newest plan, 0 if there is none."""
    rows: Sequence[tuple[int]] = store.rows(
        Query("SELECT max(toUnixTimestamp64Milli(written_at)) FROM ingest_blocks")
    ).rows
    return int(rows[0][0]) if rows else 0
