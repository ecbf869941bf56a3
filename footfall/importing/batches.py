"""Rows become log records: written as records, judged as at a door, with the ids that make repeats known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Final

from footfall.events.event_ids import event_ids
from footfall.events.keys import KeyedHash
from footfall.events.log_record import Header, Refusal, write_log_record
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.record import Record, raw_bytes, split_array
from footfall.events.verdicts import IMPORT, SENSORS_EXPORT, Judge, Verdicts, wrap_raw
from footfall.importing.journal import Effects, Journal, RejectedRow
from footfall.importing.records import RecordWriter
from footfall.importing.rows import Row
from footfall.tracking_plan.batches import Judgement
from footfall.treatment.policy import Policy
from footfall.treatment.treatment import at_rest, judge, treat

BATCH_ROWS: Final = 2_000
BATCH_BYTES: Final = 1 << 20
"""What goes into the log at once, give or take a row."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch of rows and what is to be said of them."""

    lines: Sequence[int]
    verdicts: Verdicts
    judgement: Judgement  # of the project's tracking plan


@dataclass(frozen=True, slots=True)
class Batch:
    """A log record and what it leaves behind."""

    payload: bytes
    received_at: int  # epoch ms
    effects: Effects


def cut(rows: Iterator[Row], first: int = 0) -> Iterator[list[Row]]:
    """Batches of rows; the first one of exactly `first` rows, if that is not 0."""
    if first:
        yield list(islice(rows, first))
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.raw) or _weight(row)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _weight(row: Row) -> int:
    """Of a row that has no bytes of its own: its texts, roughly."""
    return sum([len(cell) for cell in (row.cells or {}).values() if isinstance(cell, str | list)])


class RowJudge:
    """Judges the rows of one file."""

    def __init__(self, policy: Policy, writer: RecordWriter | None, *, is_sensors: bool) -> None:
        """`writer` None: rows are records as they stand."""
        self._policy = policy
        self._project = policy.project
        self._writer = writer
        self._is_sensors = is_sensors
        self._judge = Judge(SENSORS_EXPORT if is_sensors else IMPORT, KnownNames())

    def judge(self, rows: Sequence[Row], received_at: int) -> Judged:
        """`received_at` is epoch ms."""
        elements: list[bytes] = []
        refused: list[Refusal] = []
        for index, row in enumerate(rows):
            if row.refusal is not None:
                refused.append(_at(index, row.refusal))
            elif row.cells is None or self._writer is None:
                elements.append(row.raw)
            else:
                elements.append(self._writer.write(row.cells))
        verdicts = self._judge_elements(elements, received_at)
        if refused:
            verdicts = _with_broken(verdicts, rows, refused)
        self._refuse_other_projects(verdicts)
        judgement = judge(verdicts, self._policy)
        _refuse(verdicts, judgement.refusals)
        if self._writer is not None:
            verdicts.refusals[:] = [self._writer.explain(refusal) for refusal in verdicts.refusals]
        return Judged([row.line for row in rows], verdicts, judgement)

    def _judge_elements(self, elements: Sequence[bytes], received_at: int) -> Verdicts:
        verdicts = self._judge.judge_array(b"[" + b",".join(elements) + b"]", received_at)
        if verdicts is None or len(verdicts.records) != len(elements):
            return self._judge.judge_elements(elements, received_at)
        return verdicts

    def _refuse_other_projects(self, verdicts: Verdicts) -> None:
        """A record that names another project does not belong here; Sensors' projects are not ours."""
        if self._is_sensors:
            return
        refused = []
        for index, claim in verdicts.claims.items():
            if claim.project is not None and claim.project != self._project:
                message = (
                    f"the record names the project {claim.project!r}, the import is into {self._project!r}"
                )
                refused.append(Refusal(index, Reason.WRONG_PROJECT.value, "project", message))
        _refuse(verdicts, refused)


def _refuse(verdicts: Verdicts, refused: Sequence[Refusal]) -> None:
    """Turns away records that were accepted before, in place."""
    for refusal in refused:
        verdicts.records[refusal.index] = None
    verdicts.refusals.extend(refused)
    verdicts.refusals.sort(key=lambda refusal: refusal.index)


def _at(index: int, refusal: Refusal) -> Refusal:
    return Refusal(index, refusal.reason, refusal.field, refusal.message)


def _with_broken(verdicts: Verdicts, rows: Sequence[Row], broken: Sequence[Refusal]) -> Verdicts:
    """The verdicts on all rows: those on the readable ones are in `verdicts`."""
    readable = [index for index, row in enumerate(rows) if row.refusal is None]
    elements = [wrap_raw(row.raw) for row in rows]
    records: list[Record | None] = [None] * len(rows)
    for index, record, element in zip(readable, verdicts.records, split_array(verdicts.events), strict=True):
        records[index], elements[index] = record, bytes(element)
    refusals = [_at(readable[refusal.index], refusal) for refusal in verdicts.refusals]
    return Verdicts(
        events=b"[" + b",".join(elements) + b"]",
        records=records,
        refusals=sorted([*refusals, *broken], key=lambda refusal: refusal.index),
        claims={readable[index]: claim for index, claim in verdicts.claims.items()},
        ignored_fields=verdicts.ignored_fields,
    )


class BatchWriter:
    """Makes log records of judged rows."""

    def __init__(
        self, policy: Policy, keyed_hash: KeyedHash, journal: Journal, writer: RecordWriter | None
    ) -> None:
        self._policy = policy
        self._keyed_hash = keyed_hash
        self._journal = journal
        self._writer = writer

    def write(self, judged: Judged, before: Effects | None, received_at: int) -> Batch:
        """`before` are the effects of the last batch, which the journal does not know yet."""
        verdicts = judged.verdicts
        ordinals: dict[int, int] = {}
        ids = event_ids(
            self._policy.project,
            verdicts.records,
            lambda: split_array(verdicts.events),
            self._keyed_hash,
            self._counter(ordinals, before),
        )
        header = Header(
            project=self._policy.project,
            door=IMPORT.name,
            received_at=received_at,
            count=len(verdicts.records),
            event_ids=ids,
            refusals=verdicts.refusals,
            trusted=True,  # whoever may write into the log holds every key there is
            plan=judged.judgement.version,
            violations=list(judged.judgement.violations),
        )
        rejected = rejected_rows(judged, self._policy)
        effects = Effects(
            rows=len(verdicts.records),
            accepted=len(verdicts.records) - len(rejected),
            rejected=rejected,
            ordinals=ordinals,
            kept_as_text=self._take_kept(),
        )
        payload = write_log_record(*treat(header, verdicts.events, self._policy))
        return Batch(payload, received_at, effects)

    def _counter(self, ordinals: dict[int, int], before: Effects | None) -> Callable[[bytes], int]:
        """Counts equal records of the whole file, by 63 bits of their hash."""
        earlier = before.ordinals if before is not None else {}
        stored = self._journal.ordinal

        def ordinal_of(text: bytes) -> int:
            record = int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 1
            count = ordinals.get(record)
            if count is None:
                count = earlier.get(record)
            if count is None:
                count = stored(record)
            ordinals[record] = count + 1
            return count

        return ordinal_of

    def _take_kept(self) -> dict[str, int]:
        if self._writer is None:
            return {}
        kept = dict(self._writer.kept_as_text)
        self._writer.kept_as_text.clear()
        return kept


def rejected_rows(judged: Judged, policy: Policy) -> list[RejectedRow]:
    """The rows of a batch that are turned away, with what lies in the file, or the record made of it."""
    if not judged.verdicts.refusals:
        return []
    elements = split_array(judged.verdicts.events)
    rows = []
    for refusal in judged.verdicts.refusals:
        told = refusal if policy.privacy is None else at_rest(refusal, policy.privacy)
        raw = raw_bytes(elements[refusal.index])[:4096]
        rows.append(RejectedRow(judged.lines[refusal.index], told.reason, told.field, told.message, raw))
    return rows
