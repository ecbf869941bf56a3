"""From lists to Arrow: the rows of the tables that the processor fills, but for `events` and `event_ids`
(event_rows.py). With that, the only place that knows columns.

Times are epoch milliseconds, keys are unsigned 64-bit numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from footfall.storage.digests import (
    DIGEST_VERSION,
    Digest,
    RemovedDigest,
    nested_columns,
    removal_columns,
)


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


class NewsRow(NamedTuple):
    """What a block changes of what other processors remember."""

    version: int
    log_partition: int
    first_offset: int
    last_offset: int
    bound: Sequence[int]
    linked: Sequence[int]
    profiled: Sequence[int]
    projects: Sequence[str]
    anew: bool


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
    | dict.fromkeys(("trusted", "deleted", "refused", "refuse_all", "anew"), pa.bool_())
    | dict.fromkeys(("event", "distinct_id", "anonymous_id", "login_id", "user_id", "item_id"), pa.string())
    | dict.fromkeys(("property", "value", "field", "message", "subject_id", "partition_id"), pa.string())
    | dict.fromkeys(("anonymous_key", "login_key", "id_key", "user_key", "event_key"), pa.uint64())
    | {"subject_key": pa.uint64()}
    | dict.fromkeys(("bound", "linked", "profiled"), pa.list_(pa.uint64()))
    | {"projects": pa.list_(pa.string())}
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
    """The rows of any of the tables above; at least one row."""
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
