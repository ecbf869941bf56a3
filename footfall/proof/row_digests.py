"""Compares the digests that blocks wrote down with the rows that the store holds, and names what differs.

One pass over each partition of a table, in the engine: both sides are summed up by bucket, and only buckets
that differ come out. Those few are read row by row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from footfall.proof.findings import Finding
from footfall.proof.horizon import BOUNDS_SQL, Horizon, HorizonReader, read_retired
from footfall.storage.digests import (
    BANDS,
    BUCKET_SQL,
    DIGEST_VERSION,
    MASK,
    PLACE_SQL,
    PROVEN,
    SEQ_BITS,
    WINDOW,
    hash_sql,
)
from footfall.storage.store import Parameter, Query, QueryLimits, Store

MOST_BUCKETS = 200
"""So many differing buckets of a partition are looked into; more are only counted."""

_WITHIN = QueryLimits(seconds=3600.0, memory_bytes=2 << 30)

_BLOCKS = f"""
SELECT log_partition, digests.table, digests.project, digests.part, digests.bucket, digests.rows, digests.sum,
    digests.placed
FROM (
    SELECT * FROM ingest_blocks
    WHERE state = 'done' AND digest_version = {DIGEST_VERSION}
        AND last_offset < transform(
            toUInt64(log_partition), {{partitions:Array(UInt64)}}, {{ends:Array(UInt64)}}, 0)
    LIMIT 1 BY log_partition, first_offset, last_offset
)
ARRAY JOIN digests
WHERE digests.table = {{table:String}}"""

_REMOVED = """
SELECT `table`, part, digests.project AS project, digests.log_partition AS log_partition,
    digests.bucket AS bucket, digests.rows AS n, digests.sum AS s, digests.placed AS p
FROM (SELECT * FROM removals WHERE state = 'planned' LIMIT 1 BY removal, `table`, part)
ARRAY JOIN digests
WHERE `table` = {table:String} AND part = {part:String}"""

_REMOVED_ROWS = """
SELECT part, sum(arraySum(digests.rows)) FROM (
    SELECT * FROM removals WHERE state = 'planned' AND `table` = {table:String} LIMIT 1 BY removal, part
) GROUP BY part"""

_UNDER_WAY = """
SELECT removal, count(), max(state) = 'done' FROM removals
WHERE `table` = {table:String} AND part = {part:String} GROUP BY removal ORDER BY removal"""

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.25

_PARTS = f"SELECT digests.part, sum(digests.rows) FROM ({_BLOCKS}) GROUP BY digests.part"


class Bucket(NamedTuple):
    """A bucket that differs: by how much the store's rows lack what the blocks inserted."""

    project: str
    partition: int
    bucket: int
    lacking: int
    sum: int
    placed: int


class Row(NamedTuple):
    """A row's place within its bucket, and its hash."""

    place: int
    hash: int


@dataclass(frozen=True, slots=True)
class TableProof:
    """One table's rows against its digests. `project` None: all."""

    store: Store
    horizon: Horizon
    table: str
    project: str | None = None

    def parts(self) -> dict[str, int]:
        """The partitions that blocks inserted into or that have rows now -> rows inserted."""
        own: dict[str, Parameter] = {"table": self.table, **self._ends()}
        told = self.store.rows(Query(_PARTS, own)).rows
        removed = dict(self.store.rows(Query(_REMOVED_ROWS, {"table": self.table})).rows)
        held = self.store.rows(Query(f"SELECT DISTINCT _partition_id FROM {self.table}")).rows
        return {str(part): 0 for (part,) in held} | {
            str(part): int(rows) - int(removed.get(part, 0)) for part, rows in told
        }

    def findings(self, part: str) -> Iterator[Finding]:
        """What is wrong with the rows of a partition."""
        proof, buckets = self._settled(part)
        if buckets:  # perhaps it was dropped on purpose just now
            retired = read_retired(self.store)
            buckets = [
                bucket
                for bucket in buckets
                if not retired & {(self.table, "", part), (self.table, bucket.project, part)}
            ]
        for bucket in buckets[:MOST_BUCKETS]:
            yield from proof._look_into(part, bucket)
        if len(buckets) > MOST_BUCKETS:
            message = f"rows of more than {MOST_BUCKETS} buckets of partition {part} differ"
            yield Finding(self.table, "damaged", f"partition {part}", message)

    def _settled(self, part: str) -> tuple[TableProof, list[Bucket]]:
        """Buckets that differ, looked at again while rows are being taken out lawfully: rows of blocks that
        came later, too, so the horizon moves along.
        """
        proof, known = self, self._under_way(part)
        buckets = proof._differing(part)
        for _ in range(_ATTEMPTS):
            later = self._under_way(part)
            if not buckets or (proof is not self and later == known and all(done for *_, done in later)):
                break
            if proof is not self:
                time.sleep(_PAUSE_SECONDS)
            known = later
            proof = replace(self, horizon=HorizonReader(self.store).read())
            buckets = proof._differing(part)
        return proof, buckets

    def _under_way(self, part: str) -> list[tuple[str, int, bool]]:
        own: dict[str, Parameter] = {"table": self.table, "part": part}
        rows = self.store.rows(Query(_UNDER_WAY, own)).rows
        return [(str(removal), int(lines), bool(done)) for removal, lines, done in rows]

    def _ends(self) -> dict[str, Parameter]:
        parameters = self.horizon.parameters()
        return {"partitions": parameters["partitions"], "ends": parameters["ends"]}

    def _retired_projects(self, part: str) -> list[str]:
        return sorted(
            project for table, project, of in self.horizon.retired if (table, of) == (self.table, part)
        )

    def _differing(self, part: str) -> list[Bucket]:
        has_project = PROVEN[self.table].has_project
        project = "toString(project)" if has_project else "''"
        filters = ["project NOT IN {retired:Array(String)}"]
        parameters: dict[str, Parameter] = {
            "table": self.table,
            "part": part,
            "retired": self._retired_projects(part),
            **self.horizon.parameters(),
        }
        if self.project is not None and has_project:
            filters.append("project = {project:String}")
            parameters["project"] = self.project
        sql = f"""
SELECT project, log_partition, bucket, -sum(n) AS lacking, 0 - sum(s) AS missing, 0 - sum(p) AS missing_placed
FROM (
    SELECT {project} AS project, log_partition, {BUCKET_SQL} AS bucket,
        toInt64(count()) AS n, sum(h) AS s, sum(h * place) AS p
    FROM (
        SELECT {"project," if has_project else ""} log_partition, log_offset, seq,
            {hash_sql(self.table)} AS h, {PLACE_SQL} AS place
        FROM {self.table} WHERE _partition_id = {{part:String}} AND {BOUNDS_SQL}
    ) GROUP BY project, log_partition, bucket
    UNION ALL
    SELECT toString(digests.project) AS project, log_partition, digests.bucket AS bucket,
        -toInt64(sum(digests.rows)) AS n,
        bitNot(sum(digests.sum)) + 1 AS s, bitNot(sum(digests.placed)) + 1 AS p
    FROM ({_BLOCKS}) WHERE digests.part = {{part:String}}
    GROUP BY project, log_partition, bucket
    UNION ALL
    SELECT toString(project) AS project, log_partition, bucket, toInt64(sum(n)) AS n, sum(s) AS s, sum(p) AS p
    FROM ({_REMOVED})
    GROUP BY project, log_partition, bucket
)
WHERE {" AND ".join(filters)}
GROUP BY project, log_partition, bucket
HAVING lacking != 0 OR missing != 0 OR missing_placed != 0
ORDER BY project, log_partition, bucket LIMIT {MOST_BUCKETS + 1}"""
        found = self.store.rows(Query(sql, parameters), _WITHIN).rows
        return [
            Bucket(row[0], *(int(number) for number in row[1:4]), *(int(n) & MASK for n in row[4:]))
            for row in found
        ]

    def _look_into(self, part: str, bucket: Bucket) -> Iterator[Finding]:
        rows = self._rows(part, bucket)
        yield from name_rows(self, bucket, rows)

    def _rows(self, part: str, bucket: Bucket) -> list[Row]:
        first = bucket.bucket // BANDS * WINDOW
        parameters: dict[str, Parameter] = {
            "part": part,
            "partition": bucket.partition,
            "first": first,
            "behind": first + WINDOW,
            "band": bucket.bucket % BANDS,
            **self.horizon.parameters(),
        }
        own = ""
        if PROVEN[self.table].has_project:
            own = "AND project = {project:String}"
            parameters["project"] = bucket.project
        sql = f"""
SELECT {PLACE_SQL}, {hash_sql(self.table)} FROM {self.table}
WHERE _partition_id = {{part:String}} AND log_partition = {{partition:UInt16}}
    AND log_offset >= {{first:UInt64}} AND log_offset < {{behind:UInt64}} AND seq % {BANDS} = {{band:UInt32}}
    AND {BOUNDS_SQL} {own}"""
        rows: list[Row] = []
        for places, hashes in self.store.stream(Query(sql, parameters), _WITHIN):
            rows += map(Row, places.tolist(), hashes.tolist())
        return rows


def name_rows(proof: TableProof, bucket: Bucket, rows: Sequence[Row]) -> Iterator[Finding]:
    """The findings of a bucket, from its rows."""
    lacking, sum_, placed = bucket.lacking, bucket.sum, bucket.placed
    for row, count in Counter(rows).items():
        if count > 1:
            lacking += count - 1
            sum_ = (sum_ + (count - 1) * row.hash) & MASK
            placed = (placed + (count - 1) * row.hash * row.place) & MASK
            yield _finding(proof, bucket, row.place, "doubled", f"the row is there {count} times")
    if not (lacking or sum_ or placed):
        return
    places = {row.place for row in rows}
    place = solve_place(sum_, placed)  # also of several rows, if they are of one record
    if place is not None and lacking > 0:
        what = "the row was" if lacking == 1 else f"{lacking} rows of the record were"
        yield _finding(proof, bucket, place, "lost", f"{what} inserted, and not there any more")
        return
    if place is not None and place in places:
        if lacking:
            yield _finding(proof, bucket, place, "invented", "no block inserted this row")
        else:
            yield _finding(proof, bucket, place, "altered", "the row is not as it was inserted")
        return
    yield from _name_several(proof, bucket, places, lacking)


def _name_several(proof: TableProof, bucket: Bucket, places: set[int], lacking: int) -> Iterator[Finding]:
    """More than one row of the bucket differs. What `event_ids` still knows tells which are lost."""
    known = _places_of_ids(proof, bucket) if proof.table == "events" else set()
    lost = sorted(known - places)
    if _is_touched(proof, bucket) and len(lost) != lacking:
        lost = []  # event ids of what was taken out lawfully are among them
    for place in lost:
        yield _finding(proof, bucket, place, "lost", "the row was inserted and is not there any more")
    if lacking > 0 and len(lost) == lacking:
        return
    first = bucket.bucket // BANDS * WINDOW
    where = f"{bucket.partition}:{first}..{first + WINDOW - 1}"
    message = (
        f"several rows of log offsets {first} to {first + WINDOW - 1} with seq % {BANDS} = "
        f"{bucket.bucket % BANDS} are not as they were inserted ({len(places)} are there, "
        f"{'none' if not lacking else abs(lacking)} {'too many' if lacking < 0 else 'missing'})"
    )
    yield Finding(proof.table, "damaged", where, message, bucket.project)


_TOUCHED = """
SELECT count() FROM (SELECT * FROM removals WHERE state = 'planned') ARRAY JOIN digests
WHERE `table` = {table:String} AND digests.project = {project:String} AND digests.bucket = {bucket:UInt64}
    AND digests.log_partition = {partition:UInt16}"""


def _is_touched(proof: TableProof, bucket: Bucket) -> bool:
    """Whether rows of the bucket were taken out lawfully."""
    own: dict[str, Parameter] = {
        "table": proof.table,
        "project": bucket.project,
        "bucket": bucket.bucket,
        "partition": bucket.partition,
    }
    return bool(proof.store.rows(Query(_TOUCHED, own)).rows[0][0])


_WITHIN_WINDOW = (
    "log_partition = {partition:UInt16} AND log_offset >= {first:UInt64} AND log_offset < {behind:UInt64}"
)
_PLACES_OF_IDS = f"""
SELECT {PLACE_SQL} AS place FROM event_ids
WHERE {_WITHIN_WINDOW}
    AND seq % {BANDS} = {{band:UInt32}}
    AND (log_offset, seq) NOT IN (
        SELECT log_offset, seq FROM profile_operations
        WHERE {_WITHIN_WINDOW}
        UNION ALL SELECT log_offset, seq FROM item_operations
        WHERE {_WITHIN_WINDOW}
        UNION ALL SELECT log_offset, seq FROM events
        WHERE {_WITHIN_WINDOW}
    )"""


def _places_of_ids(proof: TableProof, bucket: Bucket) -> set[int]:
    first = bucket.bucket // BANDS * WINDOW
    own: dict[str, Parameter] = {
        "partition": bucket.partition,
        "first": first,
        "behind": first + WINDOW,
        "band": bucket.bucket % BANDS,
    }
    found: list[int] = []
    for (places,) in proof.store.stream(Query(_PLACES_OF_IDS, own)):
        found += places.tolist()
    return set(found)


def solve_place(sum_: int, placed: int) -> int | None:
    """The place x with x * sum = placed modulo 2^64, if there is one that a place can be.

    >>> solve_place(12345678901234567, 12345678901234567 * 99 % 2**64)
    99
    """
    if sum_ == 0:
        return None
    twos = (sum_ & -sum_).bit_length() - 1
    if placed % (1 << twos):
        return None
    modulus = 1 << (64 - twos)
    place = (placed >> twos) * pow(sum_ >> twos, -1, modulus) % modulus
    return place if place < WINDOW << SEQ_BITS else None


_NAMES = {
    "events": "concat(event, ' of ', distinct_id)",
    "profile_operations": "concat(operation, ' of ', property, ' of ', distinct_id)",
    "item_operations": "concat(operation, ' of ', property, ' of ', item_type, ' ', item_id)",
    "bindings": "concat(anonymous_id, ' bound to ', login_id)",
    "rulings": "concat(kind, ' of ', subject_id, ' and ', login_id)",
    "identity_links": "concat(kind, ' of ', one_id, ' and ', other_id)",
    "dead_letters": "concat(reason, ' ', field)",
    "event_ids": "''",
    "replays": "concat('of ', letter_partition::String, ':', letter_offset::String, ':', letter_seq::String)",
}


def _finding(proof: TableProof, bucket: Bucket, place: int, problem: str, message: str) -> Finding:
    """A finding of one record, with what is known of it."""
    offset = bucket.bucket // BANDS * WINDOW + (place >> SEQ_BITS)
    seq = place % (1 << SEQ_BITS)
    own: dict[str, Parameter] = {"partition": bucket.partition, "offset": offset, "seq": seq}
    where = "log_partition = {partition:UInt16} AND log_offset = {offset:UInt64} AND seq = {seq:UInt32}"
    named = f"SELECT {_NAMES[proof.table]} FROM {proof.table} WHERE {where} LIMIT 1"
    names = [str(name) for (name,) in proof.store.rows(Query(named, own)).rows if name]
    ids = proof.store.rows(Query(f"SELECT hex(event_id) FROM event_ids WHERE {where} LIMIT 1", own)).rows
    event_id = str(ids[0][0]).lower() if ids else ""
    shown = f"{message} ({names[0][:200]})" if names else message
    record = f"{bucket.partition}:{offset}:{seq}"
    return Finding(proof.table, problem, record, shown, bucket.project, event_id)  # type: ignore[arg-type]


def merge_moved(findings: Sequence[Finding]) -> list[Finding]:
    """A row that is lost in one bucket and invented in another under the same record was altered: its project
    or time.
    """
    by_record: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by_record.setdefault((finding.table, finding.record), []).append(finding)
    merged: list[Finding] = []
    for same in by_record.values():
        if {finding.problem for finding in same} == {"lost", "invented"}:
            told = max(same, key=lambda finding: len(finding.message))
            what = told.message.partition(" (")[2][:-1]
            message = f"the row is not as it was inserted, and lies elsewhere: {what}"
            merged.append(Finding(told.table, "altered", told.record, message, told.project, told.event_id))
        else:
            merged += same
    return merged
