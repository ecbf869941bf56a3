"""What can be compared: which blocks are done, which of them have digests, what was dropped on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from footfall.proof.findings import Finding
from footfall.storage.digests import DIGEST_VERSION
from footfall.storage.store import Parameter, Query, Store

_BLOCKS = f"""
SELECT toUInt64(log_partition) AS partition, first_offset, last_offset,
    toUInt64(countIf(state = 'planned')) AS planned, toUInt64(countIf(state = 'done')) AS done,
    toUInt64(maxIf(digest_version, state = 'done') = {DIGEST_VERSION} OR maxIf(stored, state = 'done') = 0)
FROM ingest_blocks
GROUP BY partition, first_offset, last_offset
ORDER BY partition, first_offset, last_offset"""

_RETIRED = "SELECT DISTINCT `table`, project, part FROM retirements"


@dataclass(frozen=True, slots=True)
class Horizon:
    """Rows from `starts` to before `ends` of each log partition were inserted with digests."""

    starts: Mapping[int, int]
    ends: Mapping[int, int]
    retired: frozenset[tuple[str, str, str]]  # table, project ("" is all), part
    blocks: int = 0

    @property
    def unproven(self) -> int:
        """Log offsets whose blocks come from a version that kept no digests."""
        return sum(self.starts.values())

    def parameters(self) -> dict[str, Parameter]:
        """For BOUNDS_SQL."""
        partitions = sorted(self.ends)
        return {
            "partitions": partitions,
            "starts": [self.starts[partition] for partition in partitions],
            "ends": [self.ends[partition] for partition in partitions],
        }


_TRANSFORM = "transform(toUInt64(log_partition), {{partitions:Array(UInt64)}}, {{{name}:Array(UInt64)}}, 0)"
BOUNDS_SQL = (
    f"log_offset >= {_TRANSFORM.format(name='starts')} AND log_offset < {_TRANSFORM.format(name='ends')}"
)
"""Whether a row lies within a horizon; takes its parameters."""


def read_retired(store: Store) -> frozenset[tuple[str, str, str]]:
    """What was dropped on purpose: table, project ("" is all), part."""
    return frozenset((table, project, part) for table, project, part in store.rows(Query(_RETIRED)).rows)


@dataclass(slots=True)
class _Partition:
    start: int = 0
    end: int = 0
    is_done: bool = True  # up to here


@dataclass(slots=True)
class HorizonReader:
    """Walks the blocks once; `findings` holds what is wrong with them afterwards."""

    store: Store
    findings: list[Finding] = field(default_factory=list)

    def read(self) -> Horizon:
        partitions: dict[int, _Partition] = {}
        count = 0
        for partition, first, last, planned, done, proven in self._blocks():
            count += 1
            known = partitions.setdefault(partition, _Partition())
            self._check(known, f"{partition}:{first}..{last}", first, planned=planned, done=done)
            if not done:
                known.is_done = False
            elif known.is_done:
                known.end = last + 1
                if not proven:
                    known.start = last + 1
        retired = read_retired(self.store)
        return Horizon(
            {partition: known.start for partition, known in partitions.items()},
            {partition: known.end for partition, known in partitions.items()},
            retired,
            count,
        )

    def _blocks(self) -> Iterator[tuple[int, ...]]:
        for columns in self.store.stream(Query(_BLOCKS)):
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _check(self, known: _Partition, record: str, first: int, *, planned: int, done: int) -> None:
        if planned > 1 or done > 1:
            self._find("doubled", record, f"{planned} plans and {done} outcomes; a block has one of each")
        if done and not planned:
            self._find("block", record, "its plan is missing")
        if not known.is_done:
            self._find("block", record, "an earlier block of the partition has no outcome")
        expected = known.end
        if known.is_done and first != expected:
            what = f"follows offset {expected}: the record of a block between them is missing or altered"
            self._find("lost", record, what)

    def _find(self, problem: str, record: str, message: str) -> None:
        self.findings.append(Finding("ingest_blocks", problem, record, message))  # type: ignore[arg-type]
