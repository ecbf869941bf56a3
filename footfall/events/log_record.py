"""What a log record looks like: one line of header, then the events as a JSON array in the client's order.

The collector writes it, the processor reads it. A log record holds events of one project that came in one
request. The array keeps refused records too, at their place, so that a dead letter can show what came.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from footfall.events.times import END_MS

MOST_RECORDS: Final = 100_000
"""Of one log record: more than any writer puts into one."""


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """Why the record at `index` of the array was turned away at the door."""

    index: Annotated[int, Meta(ge=0)]
    reason: str  # one of events.reasons.Reason
    field: str  # "properties.amount", or "" when it is the record as a whole
    message: str


class PlanViolation(msgspec.Struct, frozen=True, array_like=True):
    """One way in which records of a request do not keep to their project's tracking plan."""

    event: str  # "" of users and items
    property: str  # "" where the event itself is unknown
    kind: str  # one of footfall.tracking_plan.judging.KINDS
    lib: str
    app_version: str
    indexes: list[int]  # of the records, as in `Refusal`; refused ones, too


class MaskedCount(msgspec.Struct, frozen=True, array_like=True):
    """How often privacy did one thing to the records of a request."""

    event: str  # "" of users and items
    property: str  # or the field: distinct_id, lib.$app_version, user_agent
    kind: str  # what was found there, or who asked for it: a kind of detection, "rule", "grade", "ip"
    action: str  # drop, mask, hash, tokenise, truncate
    count: int


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the collector knows of a request, and its word on each record."""

    project: str  # "" where no project could be told (a bad key on the Sensors door)
    door: str  # "native" | "sensors" | "import"
    received_at: Annotated[int, Meta(ge=0, lt=END_MS)]  # epoch milliseconds, monotone per log partition
    count: Annotated[
        int, Meta(ge=0, le=MOST_RECORDS)
    ]  # records in the array = len(event_ids): what the ledger calls received
    event_ids: list[str]  # 32 hex digits each; "" for refused records
    refusals: list[Refusal] = []
    ip: str = ""  # as the project's privacy rule allows; whole, where `treated` is 0
    user_agent: str = ""
    trusted: bool = False  # came with a secret key
    indexes: list[int] = []  # client's positions, when the request was split over several log records
    replayed: list[
        tuple[int, int, int]
    ] = []  # of a replay: each record's dead letter (partition, offset, seq)
    came: list[int] = []  # of a replay: when each record's dead letter came, epoch ms
    plan: int = 0  # version of the project's tracking plan when this came; 0: it had none
    violations: list[PlanViolation] = []
    treated: int = 0  # 1: privacy has seen to it: refused elements are sealed, and what follows is known
    country: str = ""  # behind the client's address (ISO 3166), which may not be kept itself
    masked: list[MaskedCount] = []


class MalformedLogRecord(ValueError):  # noqa: N818 - reads as what it is
    """Bytes in the log that are not a log record: a bug or a damaged disk, never a client's fault."""


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what a damaged line may raise

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Header)


def write_log_record(header: Header, events: bytes) -> bytes:
    """The bytes of a log record; `events` is a JSON array with `header.count` elements."""
    return _encoder.encode(header) + b"\n" + events


def read_header(payload: bytes) -> Header:
    """Only the header: cheap, for counting what waits. Raises MalformedLogRecord."""
    return _read(payload.partition(b"\n")[0])


def read_log_record(payload: bytes) -> tuple[Header, bytes]:
    """The header and the events' JSON array as bytes. Raises MalformedLogRecord."""
    line, newline, events = payload.partition(b"\n")
    if not newline:
        raise MalformedLogRecord("no line break behind the header")
    return _read(line), events


def _read(line: bytes) -> Header:
    try:
        header = _decoder.decode(line)
    except _UNREADABLE as error:
        raise MalformedLogRecord(f"header: {error}") from error
    if header.indexes and len(header.indexes) != header.count:
        raise MalformedLogRecord(f"header: {len(header.indexes)} positions of {header.count} records")
    if any(refusal.index >= header.count for refusal in header.refusals):
        raise MalformedLogRecord(f"header: it refuses more than its {header.count} records")
    return header
