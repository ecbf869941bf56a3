"""Log records -> accepted records, refusals, and what cannot be read: the first thing done with a block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import msgspec

from footfall.eventlog.log import LogRecord
from footfall.events.log_record import Header, MalformedLogRecord, Refusal, read_log_record
from footfall.events.reasons import Reason
from footfall.events.record import Record, carried_id, raw_bytes, read_records, split_array
from processor.blocks import Damaged
from processor.event_block import Request, Rows
from processor.id_keys import IdKeys


class DeadLetter(NamedTuple):
    """A record that is turned away: its place, why, and what came."""

    request: int  # number of its request in the intake
    seq: int
    reason: str
    field: str
    message: str
    raw: bytes


@dataclass(slots=True)
class Intake:
    """What a block's log records hold."""

    planned_at: int  # epoch ms; stands for the arrival of what lost its header
    requests: list[Request] = field(default_factory=list)
    arrays: list[bytes] = field(default_factory=list)  # of each request: its events' JSON
    rows: Rows = field(default_factory=lambda: Rows([], [], [], [], []))
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def received_until(self) -> int:
        """The latest arrival, epoch ms."""
        return max((request.header.received_at for request in self.requests), default=0)

    def give_up(self, rows: Rows, row: int, message: str) -> None:
        """Notes a dead letter for an accepted row that cannot be processed."""
        request = rows.request_of[row]
        indexes = self.requests[request].header.indexes
        seq = rows.seq[row]
        raw = _raw(split_array(self.arrays[request]), indexes.index(seq) if indexes else seq)
        self.dead_letters.append(DeadLetter(request, seq, Reason.UNPROCESSABLE, "", message, raw))


class Opened(NamedTuple):
    """A log record with its header read; `error` says why that was impossible, then `array` is what there
    is.
    """

    partition: int
    offset: int
    header: Header | None
    array: bytes
    error: str = ""

    @property
    def events(self) -> int:
        """How many it holds."""
        return 1 if self.header is None else self.header.count


def open_record(record: LogRecord | Damaged) -> Opened:
    """Reads the header; never fails."""
    if isinstance(record, Damaged):
        return Opened(*record, None, b"", "the log cannot read this record any more")
    try:
        header, array = read_log_record(record.payload)
    except MalformedLogRecord as error:
        return Opened(record.partition, record.offset, None, record.payload, str(error))
    return Opened(record.partition, record.offset, header, array)


def take_in(records: Sequence[Opened], id_keys: IdKeys, planned_at: int) -> Intake:
    """Reads the events; a log record that cannot be read becomes dead letters and costs only itself."""
    records_of: list[Record] = []
    request_of: list[int] = []
    seq: list[int] = []
    event_ids: list[bytes] = []
    keys: list[int] = []
    intake = Intake(planned_at, rows=Rows(records_of, request_of, seq, event_ids, keys))
    for record in records:
        header, events = _read(record, intake)
        if not events:
            continue
        accepted = [event is not None for event in events]
        kept = [event for event in events if event is not None]
        records_of += kept
        request_of += [len(intake.requests) - 1] * len(kept)
        seq += compress(header.indexes or range(len(events)), accepted)
        event_ids += map(bytes.fromhex, compress(header.event_ids, accepted))
        keys += [id_keys.key(header.project, carried_id(event)) for event in kept]
    return intake


def _read(record: Opened, intake: Intake) -> tuple[Header, Sequence[Record | None]]:
    """The header and the events; what is dead on arrival is noted in the intake."""
    header = record.header or Header("", "", received_at=intake.planned_at, count=1, event_ids=[""])
    intake.requests.append(Request(header, record.partition, record.offset))
    intake.arrays.append(record.array)
    if record.header is None:
        _note_unreadable(intake, header, record.array, record.error)
        return header, ()
    try:
        events = _events(header, record.array)
    except (ValueError, LookupError) as error:  # MsgspecError is a ValueError
        _note_refusals(intake, header, lambda _: record.array)
        _note_unreadable(intake, header, record.array, str(error))
        return header, ()
    if header.refusals:
        elements = split_array(record.array)
        _note_refusals(intake, header, lambda refusal: _raw(elements, refusal.index))
    return header, events


def _events(header: Header, array: bytes) -> Sequence[Record | None]:
    events = read_records(array, {refusal.index for refusal in header.refusals})
    if not len(events) == header.count == len(header.event_ids):
        raise ValueError(
            f"the header counts {header.count} records and {len(header.event_ids)} ids, "
            f"the array has {len(events)}"
        )
    if header.indexes and len(header.indexes) != header.count:
        raise ValueError(f"the header has {len(header.indexes)} positions for {header.count} records")
    bad = [id_ for id_, event in zip(header.event_ids, events, strict=True) if event and len(id_) != 32]
    if bad:
        raise ValueError(f"an accepted record has the event id {bad[0]!r}, 32 hex digits are expected")
    return events


def _raw(elements: Sequence[bytes | msgspec.Raw], index: int) -> bytes:
    """What the client sent; where no collector of ours wrote the array, what lies there."""
    if index >= len(elements):
        return b""
    try:
        return raw_bytes(elements[index])
    except ValueError:  # a JSON string that is not base64
        return bytes(elements[index])


def _note_refusals(intake: Intake, header: Header, raw_of: Callable[[Refusal], bytes]) -> None:
    request = len(intake.requests) - 1
    for refusal in header.refusals:
        seq = header.indexes[refusal.index] if header.indexes else refusal.index
        intake.dead_letters.append(
            DeadLetter(request, seq, refusal.reason, refusal.field, refusal.message, raw_of(refusal))
        )


def _note_unreadable(intake: Intake, header: Header, array: bytes, message: str) -> None:
    """All records that the door accepted, the raw array with the first of them."""
    refused = {refusal.index for refusal in header.refusals}
    raw = array
    for index in range(header.count):
        if index not in refused:
            intake.dead_letters.append(
                DeadLetter(len(intake.requests) - 1, index, Reason.UNPROCESSABLE, "", message, raw)
            )
            raw = b""
