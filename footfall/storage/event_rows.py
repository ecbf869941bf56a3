"""From lists to Arrow: the rows of `events`, and of `event_ids`.

Times are epoch milliseconds, keys are unsigned 64-bit numbers. A `Sparse` holds the values of one property
for the rows that have it, so that a block of events is a handful of arrays and never a dict per event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from footfall.storage.columns import PROPERTY_COLUMNS, Kind

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


_MILLISECONDS = pa.timestamp("ms", tz="UTC")
MONEY = pa.decimal128(38, 6)
"""Arrow's type of a `decimal` column."""


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
