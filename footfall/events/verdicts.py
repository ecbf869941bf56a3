"""Which records may come in: the one parser of untrusted records.

A batch of usual records is decoded by one typed decoder, which checks types and lengths in C, and each record
is then accepted by a few comparisons. Whatever is unusual takes the slow way, record by record, which gives
the same verdicts (a test compares the two) and names reason and field.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from footfall.events import limits
from footfall.events.contents import fault_of, no_properties
from footfall.events.faults import FaultFound, depth_exceeds, explain, is_encrypted, parse_object
from footfall.events.log_record import Refusal
from footfall.events.names import KnownNames
from footfall.events.reasons import Reason
from footfall.events.record import Record, RecordType, split_array
from footfall.events.schema_protocol import translate
from footfall.events.times import END_MS
from footfall.events.usual import UsualBatches

_Id = Annotated[str, Meta(max_length=limits.ID_LENGTH)]
_Text = Annotated[str, Meta(max_length=limits.STRING_LENGTH)]
_Value = _Text | int | float | bool | Annotated[list[_Text], Meta(max_length=limits.LIST_LENGTH)] | None
_Properties = Annotated[dict[str, _Value], Meta(max_length=limits.PROPERTY_COUNT)]
_Lib = Annotated[dict[str, _Text | int | float | bool | None], Meta(max_length=limits.FIELD_ENTRIES)]
_Identity = _Id | Annotated[list[_Id], Meta(max_length=limits.FIELD_ENTRIES)]
_Identities = Annotated[dict[str, _Identity], Meta(max_length=limits.FIELD_ENTRIES)]


class _CheckedRecord(Record):
    """A record whose types and lengths the decoder checks."""

    type: RecordType = "track"
    distinct_id: _Id | None = None
    properties: _Properties = msgspec.field(default_factory=no_properties)
    event_id: _Id | None = None
    anonymous_id: _Id | None = None
    login_id: _Id | None = None
    original_id: _Id | None = None
    identities: _Identities | None = None
    lib: _Lib | None = None
    project: _Id | None = None
    item_type: _Id | None = None
    item_id: _Id | None = None


class NativeRecord(_CheckedRecord, forbid_unknown_fields=True):
    """What `/v1/events` takes: the fields of a record and no other."""


class SensorsRecord(_CheckedRecord, forbid_unknown_fields=True):
    """What Sensors Analytics' SDKs usually send: a record, and fields that say nothing to us."""

    hybrid_h5: bool | int | str | None = msgspec.field(default=None, name="_hybrid_h5")
    is_instant_event: bool | int | str | None = None


class _SensorsRecordWithMore(SensorsRecord, forbid_unknown_fields=False):
    """The same with a token of its own, and with fields nobody has heard of."""

    token: _Id | None = None


class Door(NamedTuple):
    """How a way in reads records."""

    name: str  # the word in log records: "native" | "sensors" | "import"
    record: type[_CheckedRecord]
    tolerant: type[_CheckedRecord] | None  # takes unknown fields too
    network: bool = True  # else times are as they are written, and of any age

    def batch_decoder(self) -> msgspec.json.Decoder[list[_CheckedRecord]]:
        return msgspec.json.Decoder(list[self.record])  # type: ignore[name-defined]


NATIVE = Door("native", NativeRecord, None)
SENSORS = Door("sensors", SensorsRecord, _SensorsRecordWithMore)
IMPORT = Door("import", NativeRecord, None, network=False)
SENSORS_EXPORT = Door("import", SensorsRecord, _SensorsRecordWithMore, network=False)
"""Files: records of ours, and those that Sensors Analytics gave out."""


class Claim(NamedTuple):
    """What a record itself says about where it belongs."""

    project: str | None
    token: str | None


class Verdicts(NamedTuple):
    """A batch after judgement."""

    events: bytes  # the JSON array for the log, in the client's order
    records: list[Record | None]  # None where refused
    refusals: list[Refusal]  # ascending by index
    claims: dict[int, Claim]  # of the accepted records that make one
    ignored_fields: int  # unknown fields that the Sensors door let pass


_MOST_BRACES = 8 * limits.BATCH_RECORDS  # a body of millions of {} must not become millions of records first


_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_read_plainly = msgspec.json.Decoder().decode


class Judge:
    """Judges batches of one door. Not for use by several threads at once."""

    def __init__(self, door: Door, known: KnownNames) -> None:
        self.door = door
        self._known = known
        self._decode_batch = door.batch_decoder().decode
        self._usual = UsualBatches(door.record, _Value)
        self._decode_strictly = msgspec.json.Decoder(door.record).decode
        self._decode_tolerantly = msgspec.json.Decoder(door.tolerant).decode if door.tolerant else None

    def judge_array(self, array: bytes, received_at: int) -> Verdicts | None:
        """The verdicts on an array of usual records; None if the slow way is needed (`judge_elements`)."""
        large = len(array) > limits.RECORD_BYTES
        if large:
            if array.count(b"{") > _MOST_BRACES:
                return None
        elif (known := self._usual.decode(array)) is not None:
            if next(self._unusual(known, received_at, check_properties=False), None) is None:
                self._usual.hit()
                return Verdicts(array, known, [], {}, 0)  # type: ignore[arg-type]  # list is invariant
            self._usual.missed()
        try:
            records = self._decode_batch(array)
        except _UNDECODABLE:
            return None
        if len(records) > limits.BATCH_RECORDS:
            return None
        if large and max(map(len, split_array(array)), default=0) > limits.RECORD_BYTES:
            return None
        verdicts = Verdicts(array, records, [], {}, 0)  # type: ignore[arg-type]  # list is invariant
        for index in self._unusual(records, received_at, check_properties=True):
            self._judge_unusual(index, records[index], received_at, verdicts)
        self._usual.learn(verdicts.records, self._known.names)
        return verdicts

    def _unusual(
        self, records: Sequence[Record], received_at: int, *, check_properties: bool
    ) -> Iterator[int]:
        names = self._known.names
        if self.door.network:
            return _unusual(records, received_at, names, check_properties=check_properties)
        return _unusual_of_file(records, names, check_properties=check_properties)

    def _judge_unusual(self, index: int, record: Record, received_at: int, verdicts: Verdicts) -> None:
        fault = fault_of(record, received_at, self._known, network=self.door.network)
        if fault is not None:
            verdicts.refusals.append(Refusal(index, fault.reason.value, fault.field, fault.message))
            verdicts.records[index] = None
            return
        claim = _claim(record)
        if claim is not None:
            verdicts.claims[index] = claim

    def judge_elements(self, elements: Sequence[bytes], received_at: int) -> Verdicts:
        """The verdicts on records given one by one, whatever they are."""
        kept: list[bytes] = []
        verdicts = Verdicts(b"", [], [], {}, 0)
        ignored_fields = 0
        for index, element in enumerate(elements):
            try:
                record, ignored, readable = self._decode(element)
            except FaultFound as found:
                fault = found.fault
                verdicts.records.append(None)
                verdicts.refusals.append(Refusal(index, fault.reason.value, fault.field, fault.message))
                kept.append(keep_refused(element))
                continue
            ignored_fields += ignored
            verdicts.records.append(record)
            self._judge_unusual(index, record, received_at, verdicts)
            kept.append(readable if verdicts.records[index] is not None else keep_refused(element))
        return verdicts._replace(events=b"[" + b",".join(kept) + b"]", ignored_fields=ignored_fields)

    def _decode(self, element: bytes) -> tuple[Record, int, bytes]:
        """A record, how many unknown fields it has, and the JSON that readers can read. Raises FaultFound."""
        if len(element) <= limits.RECORD_BYTES:
            try:
                return self._decode_strictly(element), 0, element
            except _UNDECODABLE:
                pass
            if self._decode_tolerantly and self.door.tolerant:
                try:
                    element = translate(element)
                    ignored = _unknown_fields(element, self.door.tolerant)
                    if ignored is not None:
                        return self._decode_tolerantly(element), ignored, element
                except _UNDECODABLE:
                    pass
        explain(parse_object(element), unknown_allowed=self._decode_tolerantly is not None)
        # Nothing is wrong with the last value of each field: an earlier one of the same name is.
        raise FaultFound(Reason.INVALID_TYPE, "", "a field is there twice, first with a value that cannot be")


def _unknown_fields(element: bytes, record: type[_CheckedRecord]) -> int | None:
    """How many fields of a readable object a record does not have; None if it needs a closer look."""
    try:
        element.decode()
        plain = _read_plainly(element)
    except _UNDECODABLE:
        return None
    if not isinstance(plain, dict) or is_encrypted(plain):
        return None
    return None if depth_exceeds(element, limits.NESTING_DEPTH) else len(plain.keys() - _wire_names(record))


@cache
def _wire_names(record: type[_CheckedRecord]) -> frozenset[str]:
    return frozenset(record.__struct_encode_fields__)


def _unusual(
    records: Sequence[Record], received_at: int, names: set[str], *, check_properties: bool
) -> Iterator[int]:
    """Indexes of the records that need a closer look.

    A usual record is a known event with known properties, with a time in range, from a clock that is right.
    """
    youngest, oldest = received_at + limits.FARTHEST_AHEAD_MS, received_at - limits.OLDEST_MS
    fresh_from, fresh_to = received_at - limits.CLOCK_SKEW_MS, received_at + limits.CLOCK_SKEW_MS
    for index, record in enumerate(records):
        sent = record.flush_time
        if sent is None:
            sent = record.sent_at
        time = record.time
        if not (
            record.type == "track"
            and record.event in names
            and record.distinct_id is not None
            and type(time) is int
            and oldest <= time <= youngest
            and (sent is None or (type(sent) is int and fresh_from <= sent <= fresh_to))
            and record.project is None
            and (not check_properties or names.issuperset(record.properties))
        ):
            yield index


def _unusual_of_file(records: Sequence[Record], names: set[str], *, check_properties: bool) -> Iterator[int]:
    """The same for what is imported, whose times may be of any age."""
    for index, record in enumerate(records):
        time = record.time
        if not (
            record.type == "track"
            and record.event in names
            and record.distinct_id is not None
            and type(time) is int
            and _PLAIN_MS <= time < END_MS
            and record.project is None
            and (not check_properties or names.issuperset(record.properties))
        ):
            yield index


_PLAIN_MS = 10**11
"""Larger numbers are milliseconds."""


def _claim(record: Record) -> Claim | None:
    properties = record.properties
    project = properties.get("$project") or record.project
    token = properties.get("$token") or getattr(record, "token", None)
    return Claim(project, token) if project or token else None


def keep_refused(element: bytes) -> bytes:
    """A refused element as it goes into the log's array, which every reader must be able to take apart.

    What is no readable JSON, and a bare string, becomes a string of its base64 (record.raw_bytes undoes it).
    """
    if element[:1] not in (b'"', b"") and not depth_exceeds(element, limits.NESTING_DEPTH):
        try:
            element.decode()
            _skim(element)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        else:
            return element
    return wrap_raw(element)


_skim = msgspec.json.Decoder(msgspec.Raw).decode


def wrap_raw(raw: bytes) -> bytes:
    """Bytes of any kind as one element of a log record's array."""
    return b'"' + b64encode(raw) + b'"'
