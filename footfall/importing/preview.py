"""A look at an import before it starts: its plan, a few records, and whether anything fits at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from footfall.events.log_record import Refusal
from footfall.events.record import split_array
from footfall.importing.batches import Judged, RowJudge, cut
from footfall.importing.faults import ImportRefused
from footfall.importing.mapping import FileMapping
from footfall.importing.opening import Reading
from footfall.importing.plan import SAMPLE_ROWS, Plan, make_plan
from footfall.importing.records import RecordWriter
from footfall.treatment.policy import Policy

Reasons = Sequence[tuple[str, str, int, int, str]]
"""(reason, field, how many, first line, its message), the most frequent first."""

SHOWN_RECORDS = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """What the first rows tell."""

    plan: Plan | None  # None: rows are records
    records: Sequence[bytes]  # the first good ones
    rows: int
    reasons: Reasons


@dataclass(frozen=True, slots=True)
class Tried:
    """What the whole file would give."""

    accepted: int
    rejected: int
    reasons: Reasons


def preview(reading: Reading, mapping: FileMapping | None, policy: Policy, zone: ZoneInfo) -> Preview:
    """ImportRefused if the file, or the mapping, cannot be what was meant: nothing of the beginning fits."""
    rows = reading.sample(SAMPLE_ROWS)
    plan = None
    if not reading.has_records:
        with reading.opened() as table:
            cells = [row.cells for row in rows if row.cells is not None]
            plan = make_plan(mapping, table.columns, table.kinds, cells, zone)
    judged = _judge(reading, plan, policy).judge(rows, _now())
    reasons = _reasons([judged])
    good = [index for index, record in enumerate(judged.verdicts.records) if record is not None]
    if not good:
        reason, _, _, line, message = reasons[0]
        raise ImportRefused(
            f"{reading.source.path}: none of the first {len(rows)} rows can be imported: "
            f"line {line}: {message} ({reason})"
        )
    elements = split_array(judged.verdicts.events)
    return Preview(plan, [bytes(elements[index]) for index in good[:SHOWN_RECORDS]], len(rows), reasons)


def try_out(
    reading: Reading, plan: Plan | None, policy: Policy, tell: Callable[[int, int, int], None]
) -> Tried:
    """Reads and judges every row, and stores nothing. `tell` hears (done, total, rows)."""
    judge = _judge(reading, plan, policy)
    rows = rejected = 0
    counts: Counter[tuple[str, str]] = Counter()
    firsts: dict[tuple[str, str], tuple[int, str]] = {}
    with reading.opened() as table:
        for batch in cut(table.rows(0)):
            judged = judge.judge(batch, _now())
            rows += len(batch)
            rejected += len(judged.verdicts.refusals)
            _count(judged, counts, firsts)
            tell(*table.progress(), rows)
    return Tried(rows - rejected, rejected, _listed(counts, firsts))


def _judge(reading: Reading, plan: Plan | None, policy: Policy) -> RowJudge:
    writer = None if plan is None else RecordWriter(plan)
    return RowJudge(policy, writer, is_sensors=reading.format == "sensors")


def _reasons(batches: Sequence[Judged]) -> Reasons:
    counts: Counter[tuple[str, str]] = Counter()
    firsts: dict[tuple[str, str], tuple[int, str]] = {}
    for judged in batches:
        _count(judged, counts, firsts)
    return _listed(counts, firsts)


def _count(
    judged: Judged, counts: Counter[tuple[str, str]], firsts: dict[tuple[str, str], tuple[int, str]]
) -> None:
    for refusal in judged.verdicts.refusals:
        key = _key(refusal)
        counts[key] += 1
        firsts.setdefault(key, (judged.lines[refusal.index], refusal.message))


def _key(refusal: Refusal) -> tuple[str, str]:
    return refusal.reason, refusal.field


def _listed(counts: Counter[tuple[str, str]], firsts: dict[tuple[str, str], tuple[int, str]]) -> Reasons:
    return [(*key, count, *firsts[key]) for key, count in counts.most_common()]


def _now() -> int:
    return time.time_ns() // 1_000_000
