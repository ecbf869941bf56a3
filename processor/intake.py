"""Log records -> accepted records, refusals, and what cannot be read: the first thing done with a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import msgspec

from footfall.eventlog.log import LogRecord
from footfall.events.log_record import Header, MalformedLogRecord, read_log_record
from footfall.events.reasons import Reason
from footfall.events.record import Record, read_records, split_array
from footfall.sealing import Sealer
from footfall.treatment.treatment import unsealed
from processor.blocks import Damaged
from processor.event_block import Request, Rows
from processor.failures import what_failed
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
    sealer: Sealer  # opens what was refused
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
        index = indexes.index(seq) if indexes else seq
        raw = _element(split_array(self.arrays[request]), index)
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


def take_in(records: Sequence[Opened], id_keys: IdKeys, planned_at: int, sealer: Sealer) -> Intake:
    """Reads the events; a log record that cannot be read becomes dead letters and costs only itself."""
    intake = Intake(planned_at, sealer)
    for record in records:
        header = record.header or Header("", "", received_at=planned_at, count=1, event_ids=[""])
        intake.requests.append(Request(header, record.partition, record.offset))
        intake.arrays.append(record.array)
        if record.header is None:
            _note_unreadable(intake, header, record.error)
            continue
        letters = len(intake.dead_letters)
        try:
            found = _accepted(intake, header, id_keys)
        except Exception as error:  # noqa: BLE001 - no log record must stop the others, whatever is wrong
            del intake.dead_letters[letters:]
            _note_refusals(intake, header)
            _note_unreadable(intake, header, what_failed(error))
            continue
        intake.rows.extend(found)
        if header.refusals:
            _note_refusals(intake, header)
    return intake


def _accepted(intake: Intake, header: Header, id_keys: IdKeys) -> Rows:
    """The records of the last request that the door accepted."""
    events = _events(intake, header)
    if not len(events) == header.count == len(header.event_ids):
        raise ValueError(
            f"the header counts {header.count} records and {len(header.event_ids)} ids, "
            f"the array has {len(events)}"
        )
    told = [event is not None for event in events]
    records = [event for event in events if event is not None]
    event_ids = list(map(bytes.fromhex, compress(header.event_ids, told)))
    if any(len(event_id) != 16 for event_id in event_ids):
        raise ValueError("the event id of an accepted record has 32 hex digits")
    return Rows(
        records=records,
        request_of=[len(intake.requests) - 1] * len(records),
        seq=list(compress(_positions(header), told)),
        event_ids=event_ids,
        id_keys=id_keys.carried(header.project, records),
    )


def _events(intake: Intake, header: Header) -> Sequence[Record | None]:
    """All records of the last request; one that cannot be read becomes a dead letter, for itself alone."""
    array = intake.arrays[-1]
    refused = {refusal.index for refusal in header.refusals}
    try:
        return read_records(array, refused)
    except msgspec.ValidationError:
        events: list[Record | None] = []
        for index, element in enumerate(split_array(array)):
            try:
                events += [None] if index in refused else read_records(b"[%b]" % bytes(element))
            except msgspec.ValidationError as error:
                events.append(None)
                seq, raw, told = _positions(header)[index], bytes(element), what_failed(error)
                intake.dead_letters.append(
                    DeadLetter(len(intake.requests) - 1, seq, Reason.UNPROCESSABLE, "", told, raw)
                )
        return events


def _positions(header: Header) -> Sequence[int]:
    """Where each record stood in the client's request."""
    return header.indexes or range(header.count)


def _element(elements: Sequence[bytes | msgspec.Raw], index: int) -> bytes:
    """What lies there."""
    return bytes(elements[index]) if index < len(elements) else b""


def _refused(elements: Sequence[bytes | msgspec.Raw], index: int, header: Header, sealer: Sealer) -> bytes:
    """What the client sent; where no door of ours wrote the array, what lies there."""
    element = _element(elements, index)
    try:
        return unsealed(element, header, sealer) if element else b""
    except ValueError:  # a JSON string that is not base64, or that was sealed elsewhere
        return element


def _note_refusals(intake: Intake, header: Header) -> None:
    try:
        elements = split_array(intake.arrays[-1])
    except msgspec.MsgspecError:
        elements = []
    for refusal in header.refusals:
        seq = header.indexes[refusal.index] if header.indexes else refusal.index
        raw = _refused(elements, refusal.index, header, intake.sealer)
        intake.dead_letters.append(
            DeadLetter(len(intake.requests) - 1, seq, refusal.reason, refusal.field, refusal.message, raw)
        )


def _note_unreadable(intake: Intake, header: Header, message: str) -> None:
    """All records that the door accepted, the raw array with the first of them."""
    refused = {refusal.index for refusal in header.refusals}
    raw = intake.arrays[-1]
    for index in range(header.count):
        if index not in refused:
            intake.dead_letters.append(
                DeadLetter(len(intake.requests) - 1, index, Reason.UNPROCESSABLE, "", message, raw)
            )
            raw = b""
