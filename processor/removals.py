"""Rows taken out of the tables lawfully, and values blanked, so that the proof stays closed (ADR 0018).

First it is written down what goes: a statement of the engine's, and by how much each digest shrinks. Then
the engine does it. A kill in between leaves a plan without its end, which `finish` carries out: a statement
may be repeated, since nothing that comes later fits its condition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from footfall.crash_points import reach
from footfall.storage.digests import (
    BUCKET_SQL,
    DIGEST_VERSION,
    MASK,
    PLACE_SQL,
    PROVEN,
    RemovedDigest,
    hash_sql,
)
from footfall.storage.rows import (
    RemovalPlaceRow,
    RemovalRow,
    build_removal_table,
    build_table,
)
from footfall.storage.store import Query, QueryLimits, Store, StoreError
from processor.mutations import unfinished

_POLL_SECONDS: Final = 0.02
_LONGEST: Final = QueryLimits(seconds=3600.0, memory_bytes=2 << 30)
_PLACES_AT_ONCE: Final = 50_000
_LARGEST: Final = (1 << 64) - 1
_NO_OFFSET: Final = (1 << 62) - 1
_PARTITIONS: Final = "SELECT DISTINCT log_partition FROM ingest_blocks"

_PLANNED = """
SELECT `table`, part, argMin(kind, state), argMin(statement, state), argMin(about, state), max(state) = 'done'
FROM removals WHERE removal = {removal:String} GROUP BY `table`, part ORDER BY `table`, part"""

_OPEN = """
SELECT removal, any(kind) FROM removals GROUP BY removal, `table`, part HAVING max(state) = 'planned'"""

_ROWS = """
SELECT `table`, sum(arraySum(digests.rows)) FROM removals
WHERE removal = {removal:String} AND state = 'planned' GROUP BY `table`"""


_UNPROVEN = f"""
SELECT log_partition, max(last_offset) + 1 FROM ingest_blocks
WHERE state = 'done' AND digest_version != {DIGEST_VERSION} AND stored > 0 GROUP BY log_partition"""  # noqa: S608 - ours


class Stopped(Exception):  # noqa: N818 - reads as what it is
    """It was asked to end: what is planned is carried out later."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to go. `condition` and `values` (SQL by column; none: the rows go) are text of ours: numbers,
    checked names. Rows that are inserted later must not meet the condition.
    """

    name: str
    kind: str  # erasure, retention
    table: str
    condition: str
    values: Mapping[str, str] = field(default_factory=dict)
    about: str = ""

    @property
    def statement(self) -> str:
        """Behind ALTER TABLE; {} is where a partition may be named."""
        if not self.values:
            return f"DELETE {{}}WHERE {self.condition}"
        sets = ", ".join(f"`{column}` = {value}" for column, value in self.values.items())
        return f"UPDATE {sets} {{}}WHERE {self.condition}"


class Removals:
    """Safe to use from several threads: one removal at a time."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`clock` gives epoch ms; within `alone` nobody replaces partitions of `events` by copies."""
        self._store = store
        self._clock = clock
        self._alone = alone
        self._one_at_a_time = threading.RLock()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """No other thread takes anything out within. Whoever stops the processor for a removal enters this
        first: else it would stand for as long as another removal takes, or for ever, if that one waits for
        the restamper, which waits for the processor.
        """
        with self._one_at_a_time:
            yield

    def all_ends(self, next_offsets: Mapping[int, int]) -> dict[int, int]:
        """With the partitions of which the store has blocks and the log knows nothing any more: all of their
        rows. A partition that appears later is in none, so what it brings is not taken out. StoreError.
        """
        known = self._store.rows(Query(_PARTITIONS)).rows
        return {int(partition): _NO_OFFSET for (partition,) in known} | dict(next_offsets)

    def take_out(self, removal: Removal, stop: threading.Event | None = None) -> None:
        """All rows that meet the condition go, or get the new values. StoreError, Stopped."""
        with self._one_at_a_time:
            if not self._is_planned(removal):
                # A row must not be in two plans: what somebody else planned is carried out first.
                for name in self.unfinished():
                    if name != removal.name:
                        self.finish(name, removal.table, stop)
                self._plan(removal)
            self.finish(removal.name, removal.table, stop)

    def finish(self, removal: str, table: str | None = None, stop: threading.Event | None = None) -> None:
        """Carries out what is planned of a removal and not done. StoreError, Stopped."""
        for of, part, kind, statement, about, done in self._plans(removal):
            if done or table not in (None, of):
                continue
            reach("E4")
            partition = "" if part == "" else f"IN PARTITION ID '{part}' "
            with self._alone() if of == "events" else nullcontext():
                self._store.command(
                    f"ALTER TABLE {of} {statement.replace('{}', partition, 1)} SETTINGS mutations_sync = 0"
                )
                self._wait(of, stop)
            reach("E5")
            self._store.insert(
                "removals",
                build_table([RemovalRow(removal, kind, of, part, "done", "", about, self._clock())]),
                f"{removal}:{of}:{part}:done",
            )

    def unfinished(self, kind: str | None = None) -> list[str]:
        """Removals (of a kind) of which something is planned and not done."""
        rows = self._store.rows(Query(_OPEN)).rows
        return sorted({str(removal) for removal, of in rows if kind in (None, of)})

    def rows(self, removal: str) -> dict[str, int]:
        """How many rows a removal takes out, by table."""
        return {
            table: int(count) for table, count in self._store.rows(Query(_ROWS, {"removal": removal})).rows
        }

    def note_places(self, removal: str, table: str, places: Iterable[tuple[int, int, int]]) -> int:
        """Writes down records (partition, offset, seq) for `place_condition`; how many."""
        rows = [RemovalPlaceRow(removal, table, *place) for place in sorted(set(places))]
        for start in range(0, len(rows), _PLACES_AT_ONCE):
            piece = rows[start : start + _PLACES_AT_ONCE]
            self._store.insert(
                "removal_places", build_table(piece), f"{removal}:{table}:{start}:{len(piece)}"
            )
        return len(rows)

    def forget_places(self, removal: str) -> None:
        """They are not needed any more."""
        self._store.command(
            f"ALTER TABLE removal_places DELETE WHERE removal = '{removal}' SETTINGS mutations_sync = 2"
        )

    def _is_planned(self, removal: Removal) -> bool:
        return any(of == removal.table for of, *_ in self._plans(removal.name))

    def _plans(self, removal: str) -> Sequence[tuple[str, str, str, str, str, bool]]:
        rows = self._store.rows(Query(_PLANNED, {"removal": removal})).rows
        return [(of, part, kind, text, about, bool(done)) for of, part, kind, text, about, done in rows]

    def _plan(self, removal: Removal) -> None:
        """All partitions of the table at once. A table without digests is planned as a whole: part ""."""
        is_proven = removal.table in PROVEN
        parts = self._digests(removal) if is_proven else {"": []}
        if not parts:
            return
        reach("E3")
        planned = RemovalRow(
            removal.name, removal.kind, removal.table, "", "planned", removal.statement, removal.about, 0
        )
        rows = [
            build_removal_table(planned._replace(part=part, removed_at=self._clock()), found)
            for part, found in parts.items()
        ]
        self._store.insert(
            "removals", pa.concat_tables(rows).combine_chunks(), f"{removal.name}:{removal.table}:planned"
        )

    def _wait(self, table: str, stop: threading.Event | None) -> None:
        stop = stop or threading.Event()
        while reasons := unfinished(self._store, table):
            if any(reasons):
                raise StoreError(f"rows of {table} cannot be taken out: {next(filter(None, reasons))}")
            if stop.wait(_POLL_SECONDS):
                raise Stopped

    def _is_proven(self) -> str:
        """Of rows whose blocks have digests."""
        starts = {int(partition): int(end) for partition, end in self._store.rows(Query(_UNPROVEN)).rows}
        if not starts:
            return "1"
        listed, ends = ", ".join(map(str, starts)), ", ".join(f"toUInt64({end})" for end in starts.values())
        return f"(log_offset >= transform(log_partition, [{listed}], [{ends}], toUInt64(0)))"

    def _digests(self, removal: Removal) -> dict[str, list[RemovedDigest]]:
        """By partition of the table: what goes out of each bucket."""
        table = removal.table
        condition = f"({removal.condition}) AND {self._is_proven()}"
        project = "toString(project)" if PROVEN[table].has_project else "''"
        sides = [("*", hash_sql(table), 1)]
        if removal.values:
            replaced = ", ".join(f"{value} AS `{column}`" for column, value in removal.values.items())
            sides.append((f"* REPLACE ({replaced})", f"bitNot({hash_sql(table)}) + 1", -1))
        # The innermost query looks at columns as they are: beside REPLACE it would see their new values.
        both = " UNION ALL ".join(
            f"SELECT part, {project} AS of, log_partition, {BUCKET_SQL} AS bucket, "  # noqa: S608 - ours
            f"{PLACE_SQL} AS place, {hash_} AS h, toInt64({sign}) AS n "
            f"FROM (SELECT {columns} FROM (SELECT *, _partition_id AS part FROM {table} WHERE {condition}))"
            for columns, hash_, sign in sides
        )
        sql = (
            f"SELECT part, of, log_partition, bucket, sum(n), sum(h), sum(h * place) FROM ({both}) "  # noqa: S608
            "GROUP BY part, of, log_partition, bucket ORDER BY part, of, log_partition, bucket"
        )
        found: dict[str, list[RemovedDigest]] = {}
        for part, of, *numbers, sum_, placed in self._store.rows(Query(sql), _LONGEST).rows:
            partition, bucket, rows = map(int, numbers)
            digest = RemovedDigest(str(of), partition, bucket, rows, int(sum_) & MASK, int(placed) & MASK)
            if digest.rows or digest.sum or digest.placed:
                found.setdefault(str(part), []).append(digest)
        return found


def stored_before(next_offsets: Mapping[int, int], *, others: bool = True) -> str:
    """Of rows of the blocks before these offsets. `others`: and of log partitions that are not named (any
    more), which is right where nothing is added to those, or what comes is compared afterwards.
    """
    partitions = sorted(next_offsets)
    rest = _LARGEST if others else 0
    if not partitions:
        return f"({int(others)})"
    listed = ", ".join(str(int(partition)) for partition in partitions)
    ends = ", ".join(f"toUInt64({int(next_offsets[partition])})" for partition in partitions)
    return f"(log_offset < transform(log_partition, [{listed}], [{ends}], toUInt64({rest})))"


def place_condition(removal: str, table: str) -> str:
    """Of the records that `note_places` wrote down."""
    return (
        "(log_partition, log_offset, seq) IN (SELECT log_partition, log_offset, seq FROM removal_places "  # noqa: S608
        f"WHERE removal = '{removal}' AND `table` = '{table}')"
    )
