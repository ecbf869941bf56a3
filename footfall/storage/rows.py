"""From lists to Arrow: the rows of every table that the processor fills, and the only place that knows
columns.

Times are epoch milliseconds, keys are unsigned 64-bit numbers. A `Sparse` holds the values of one property
for the rows that have it, so that a block of events is a handful of arrays and never a dict per event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from footfall.storage.columns import PROPERTY_COLUMNS, Kind
from footfall.storage.digests import (
    DIGEST_VERSION,
    Digest,
    RemovedDigest,
    nested_columns,
    removal_columns,
)

RowNumbers = np.ndarray[Any, np.dtype[np.int32]]
Times = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]


class Sparse(NamedTuple):
    """values[i] belongs to row rows[i]; rows come in any order, none twice."""

    rows: RowNumbers
    values: Sequence[Any]


class Coded(NamedTuple):
    """A label a row, as a number into a short list of labels."""

    labels: Sequence[str]
    codes: RowNumbers


class EventRows(NamedTuple):
    """Events, column by column; every sequence has one entry an event but for `columns` and `tail`."""

    project: Coded
    event: Sequence[str]
    type: Sequence[str]
    time: Times
    user_key: Keys
    alias_key: Keys
    seq: Sequence[int]
    event_key: Sequence[int] | Keys  # 64 bits, of which the table keeps the low 32
    distinct_id: Sequence[str]
    anonymous_id: Sequence[str]
    login_id: Sequence[str]
    received_at: Times
    door: Coded
    log_partition: int
    log_offset: Sequence[int] | Keys
    columns: Mapping[str, Sparse]  # by property; values as the column's kind wants them
    tail: Sequence[
        tuple[str, Sparse]
    ]  # property and its texts; a property may come twice, a (row, property) not


class BindingRow(NamedTuple):
    project: str
    anonymous_key: int
    login_key: int
    anonymous_id: str
    login_id: str
    received_at: int
    seq: int
    event_key: int
    trusted: bool
    log_partition: int
    log_offset: int


class RulingRow(NamedTuple):
    project: str
    kind: str  # bind, unbind, merge, unmerge
    subject_key: int
    login_key: int
    subject_id: str
    login_id: str
    received_at: int
    seq: int
    event_key: int
    door: str
    log_partition: int
    log_offset: int


class LinkRow(NamedTuple):
    """See footfall.events.identity_graph.Word."""

    project: str
    kind: str  # link, bind, unbind, told, nobody
    one_key: int
    other_key: int
    one_name: str  # of the identity key
    other_name: str
    one_id: str
    other_id: str
    received_at: int
    seq: int
    event_key: int
    trusted: bool
    log_partition: int
    log_offset: int


class PastPersonRow(NamedTuple):
    project: str
    id_key: int
    user_key: int
    version: int


class DecisionRow(NamedTuple):
    project: str
    decided_at: int
    kind: str  # bind, unbind, merge, unmerge
    subject_key: int
    login_key: int
    subject_id: str
    login_id: str
    trusted: bool
    outcome: str  # accepted, refused
    reason: str
    received_at: int
    seq: int
    event_key: int
    log_partition: int
    log_offset: int


class RestampRow(NamedTuple):
    partition_id: str
    version: int
    state: str  # planned, done
    stored: int


class OverrideRow(NamedTuple):
    id_key: int
    user_key: int
    version: int


class ProfileOperationRow(NamedTuple):
    project: str
    id_key: int
    distinct_id: str
    operation: str  # set, set_once, increment, append, unset, delete
    property: str  # "" for delete
    value: str  # JSON text; "" for unset and delete
    time: int
    seq: int
    event_key: int
    log_partition: int
    log_offset: int


class ProfileRow(NamedTuple):
    project: str
    user_key: int
    user_id: str
    properties: Mapping[str, str]
    deleted: bool
    version: int


class ItemOperationRow(NamedTuple):
    project: str
    item_type: str
    item_id: str
    operation: str  # set, delete
    property: str  # "" for delete
    value: str  # JSON text; "" for delete
    time: int
    seq: int
    event_key: int
    log_partition: int
    log_offset: int


class ItemRow(NamedTuple):
    project: str
    item_type: str
    item_id: str
    properties: Mapping[str, str]
    deleted: bool
    version: int


class DeadLetterRow(NamedTuple):
    project: str
    received_at: int
    door: str
    reason: str
    field: str
    message: str
    sealed: bytes
    log_partition: int
    log_offset: int
    seq: int


class BlockRow(NamedTuple):
    log_partition: int
    first_offset: int
    last_offset: int
    state: str  # planned, done
    stored: int
    checksum: int
    received_until: int
    written_at: int


class LedgerRow(NamedTuple):
    project: str
    door: str
    minute: int  # epoch milliseconds of the minute's beginning
    outcome: str
    reason: str
    count: int  # type: ignore[assignment]  # a column's name, not tuple.count
    log_partition: int
    first_offset: int
    last_offset: int


class EventNameRow(NamedTuple):
    project: str
    event: str
    type: str
    count: int  # type: ignore[assignment]  # a column's name, not tuple.count
    first_seen: int
    last_seen: int


class PropertyRow(NamedTuple):
    project: str
    source: str  # event, user, item
    property: str
    type: str
    seen_at: int
    log_partition: int
    log_offset: int
    seq: int


class TypeConflictRow(NamedTuple):
    project: str
    source: str
    property: str
    type: str
    count: int  # type: ignore[assignment]  # a column's name, not tuple.count


class PlanViolationRow(NamedTuple):
    project: str
    day: date  # on which it came, by the project's time zone
    event: str
    property: str
    kind: str
    lib: str
    app_version: str
    refused: bool
    count: int  # type: ignore[assignment]  # a column's name, not tuple.count


class PrivacyCountRow(NamedTuple):
    project: str
    day: date  # of arrival, UTC
    event: str
    property: str
    kind: str
    action: str
    count: int  # type: ignore[assignment]  # a column's name, not tuple.count


class RetirementRow(NamedTuple):
    table: str
    project: str  # "" is every project
    part: str  # the table's partition, as the engine names it
    retired_at: int


class ReplayRow(NamedTuple):
    project: str
    letter_partition: int
    letter_offset: int
    letter_seq: int
    event_id: bytes  # 16 bytes
    outcome: str  # stored, duplicate, rejected
    replayed_at: int
    log_partition: int
    log_offset: int
    seq: int


class TombstoneRow(NamedTuple):
    project: str
    id_key: int
    erased_at: int
    refuse_all: bool
    erasure: str


class RemovalRow(NamedTuple):
    removal: str
    kind: str  # erasure, retention
    table: str
    part: str  # the table's partition, as the engine names it
    state: str  # planned, done
    statement: str  # of the engine's SQL, behind ALTER TABLE <table>
    about: str
    removed_at: int


class RemovalPlaceRow(NamedTuple):
    removal: str
    table: str
    log_partition: int
    log_offset: int
    seq: int


_MILLISECONDS = pa.timestamp("ms", tz="UTC")
_MAP = pa.map_(pa.string(), pa.string())
MONEY = pa.decimal128(38, 6)
"""Arrow's type of a `decimal` column."""

_TIMES = {
    "time",
    "received_at",
    "received_until",
    "written_at",
    "first_seen",
    "last_seen",
    "seen_at",
    "decided_at",
    "retired_at",
    "replayed_at",
    "erased_at",
    "removed_at",
}
_LABELS = {
    "project",
    "door",
    "reason",
    "outcome",
    "operation",
    "item_type",
    "type",
    "source",
    "state",
    "kind",
    "action",
    "table",
    "part",
    "removal",
    "statement",
    "about",
    "erasure",
}
_ARROW_TYPES: dict[str, Any] = (
    dict.fromkeys(_TIMES, _MILLISECONDS)
    | dict.fromkeys(_LABELS, pa.string())
    | dict.fromkeys(("trusted", "deleted", "refused", "refuse_all"), pa.bool_())
    | dict.fromkeys(("event", "distinct_id", "anonymous_id", "login_id", "user_id", "item_id"), pa.string())
    | dict.fromkeys(("property", "value", "field", "message", "subject_id", "partition_id"), pa.string())
    | dict.fromkeys(("anonymous_key", "login_key", "id_key", "user_key", "event_key"), pa.uint64())
    | {"subject_key": pa.uint64()}
    | dict.fromkeys(("one_key", "other_key"), pa.uint64())
    | dict.fromkeys(("one_name", "other_name", "one_id", "other_id"), pa.string())
    | dict.fromkeys(("version", "log_offset", "first_offset", "last_offset", "checksum"), pa.uint64())
    | dict.fromkeys(("count", "stored"), pa.uint64())
    | {
        "log_partition": pa.uint16(),
        "letter_partition": pa.uint16(),
        "letter_offset": pa.uint64(),
        "letter_seq": pa.uint32(),
        "event_id": pa.binary(16),
        "seq": pa.uint32(),
        "day": pa.date32(),
        "lib": pa.string(),
        "app_version": pa.string(),
        "sealed": pa.binary(),
        "properties": _MAP,
        "minute": pa.timestamp("s", tz="UTC"),
    }
)

Row = TypeVar("Row", bound=NamedTuple)


def build_table(rows: Sequence[Row]) -> pa.Table:
    """The rows of any of the tables above but events; at least one row."""
    names = type(rows[0])._fields
    arrays = [_array(name, values) for name, values in zip(names, zip(*rows, strict=True), strict=True)]
    return pa.Table.from_arrays(arrays, names=list(names))


def build_outcome_table(outcome: BlockRow, digests: Sequence[Digest]) -> pa.Table:
    """A done block's row of `ingest_blocks`, with the digests of what it inserted."""
    table = build_table([outcome])
    columns = {"digest_version": pa.array([DIGEST_VERSION], pa.uint8()), **nested_columns(digests)}
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def build_removal_table(planned: RemovalRow, digests: Sequence[RemovedDigest]) -> pa.Table:
    """A planned removal's row of `removals`, with the digests of what goes."""
    table = build_table([planned])
    for name, column in removal_columns(digests).items():
        table = table.append_column(name, column)
    return table


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    if name == "properties":
        values = [list(properties.items()) for properties in values]
    elif name == "minute":
        values = [value // 1000 for value in values]
    return pa.array(values, _ARROW_TYPES[name])


def build_event_ids_table(
    *,
    event_ids: Sequence[bytes],
    log_partition: int,
    log_offset: Keys,
    seq: Sequence[int],
    day: np.ndarray[Any, np.dtype[np.datetime64]],
) -> pa.Table:
    """Rows of `event_ids`: 16 bytes each, where the event was stored first, the day (UTC) of its arrival."""
    count = len(event_ids)
    return pa.table(
        {
            "event_id": pa.Array.from_buffers(
                pa.binary(16), count, [None, pa.py_buffer(b"".join(event_ids))]
            ),
            "log_partition": pa.array(np.full(count, log_partition, np.uint16)),
            "log_offset": pa.array(log_offset, pa.uint64()),
            "seq": pa.array(seq, pa.uint32()),
            "day": pa.array(day, pa.date32()),
        }
    )


def build_events_table(events: EventRows) -> pa.Table:
    """Events as Arrow: labels dictionary-encoded, the tail one map array, absent property columns left
    out.
    """
    count = len(events.event)
    arrays: dict[str, pa.Array] = {
        "project": _coded(events.project),
        "event": _label(events.event),
        "type": _label(events.type),
        "time": _times(events.time),
        "user_key": pa.array(events.user_key, pa.uint64()),
        "alias_key": pa.array(events.alias_key, pa.uint64()),
        "seq": pa.array(events.seq, pa.uint32()),
        "event_key": pa.array(np.asarray(events.event_key, np.uint64).astype(np.uint32)),  # the low 32 bits
        "distinct_id": pa.array(events.distinct_id, pa.string()),
        "anonymous_id": pa.array(events.anonymous_id, pa.string()),
        "login_id": pa.array(events.login_id, pa.string()),
        "received_at": _times(events.received_at),
        "door": _coded(events.door),
        "log_partition": pa.array(np.full(count, events.log_partition, np.uint16)),
        "log_offset": pa.array(events.log_offset, pa.uint64()),
    }
    for name, sparse in events.columns.items():
        column = PROPERTY_COLUMNS[name]
        arrays[column.column] = _property_array(column.kind, sparse, count)
    arrays["properties"] = build_map_array(events.tail, count)
    return pa.Table.from_arrays(list(arrays.values()), names=list(arrays))


def join_events_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of several: a column that one of them lacks is null there, a label has one number."""
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


def _label(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()


def _coded(column: Coded) -> pa.Array:
    """Equal labels may come under several numbers; a dictionary has each once."""
    places: dict[str, int] = {}
    unique = np.array([places.setdefault(label, len(places)) for label in column.labels], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(unique[column.codes], pa.int32()), pa.array(list(places), pa.string())
    )


def _times(values: Times) -> pa.Array:
    return pa.array(values, pa.int64()).cast(_MILLISECONDS)


def _property_array(kind: Kind, sparse: Sparse, count: int) -> pa.Array:
    """A nullable column from the values of some rows."""
    place = np.full(count, -1, np.int32)
    place[sparse.rows] = np.arange(len(sparse.rows), dtype=np.int32)
    if kind == "label":
        encoded = pa.array(sparse.values, pa.string()).dictionary_encode()
        codes = np.append(np.asarray(encoded.indices), np.int32(0))[place]
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=place < 0), encoded.dictionary)
    values = pa.array(sparse.values, _VALUE_TYPES[kind])
    if len(sparse.rows) == count and bool((place == np.arange(count)).all()):
        return values
    return values.take(pa.array(place, mask=place < 0))


_VALUE_TYPES: dict[Kind, Any] = {
    "text": pa.string(),
    "number": pa.float64(),
    "decimal": MONEY,
    "boolean": pa.bool_(),
}


def build_map_array(tail: Sequence[tuple[str, Sparse]], count: int) -> pa.Array:
    """One map a row from property-wise texts, without visiting events one by one.

    All entries are laid end to end, then brought into row order by one stable sort of their row numbers.
    """
    names: dict[str, int] = {}
    codes = [np.full(len(sparse.rows), names.setdefault(name, len(names)), np.int32) for name, sparse in tail]
    rows = np.concatenate([sparse.rows for _, sparse in tail] or [np.zeros(0, np.int32)])
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=offsets[1:])
    order = np.argsort(rows, kind="stable")
    keys = pa.DictionaryArray.from_arrays(
        np.concatenate(codes or [np.zeros(0, np.int32)])[order], pa.array(list(names), pa.string())
    )
    texts = [pa.array(sparse.values, pa.string()) for _, sparse in tail]
    items = pa.concat_arrays(texts or [pa.array([], pa.string())]).take(pa.array(order))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items)
