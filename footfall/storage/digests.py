"""Digests of rows: what a block inserted, in a few numbers that its rows can be held against for ever.

Rows fall into buckets by where they came from: project, partition of the table, 128 log offsets, `seq % 16`.
A bucket's digest is how many rows, the sum of their hashes, and of (hash times place), modulo 2^64. Sums
do not mind order, merges, or which block a row came in with: digests of several blocks add up.

The second sum names the row: where one row of a bucket was altered, added or lost, its place is the quotient
of the two differences (ADR 0012).

A row's hash is a sum over its columns, mixed: text `xxh3(".column", NUL, text)`, an entry of a map
`xxh3(name, NUL, text)`, a number `intHash64(bits xor salt of the column)`; NULL counts nothing, so a column
that is added later changes no hash. It is computed twice, by different code: here from the Arrow rows on
their way in, and by the engine from what it holds (`hash_sql`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from footfall.storage.columns import PROPERTY_COLUMNS, Kind

DIGEST_VERSION = 1
"""What `ingest_blocks.digest_version` says of blocks whose digests follow these rules; 0: they have none."""

WINDOW = 128
"""Log offsets of a bucket."""

BANDS = 16
"""A bucket holds the rows of one remainder of `seq`: large requests spread over so many."""

SEQ_BITS = 24
MASK = 2**64 - 1

Numbers = np.ndarray[Any, np.dtype[np.uint64]]
ColumnKind = Literal["text", "number", "time", "float", "decimal", "boolean", "map", "own_key"]


class Digest(NamedTuple):
    """What a block put into one bucket of a table."""

    table: str
    project: str
    part: str  # the table's partition, as the engine names it
    bucket: int
    rows: int
    sum: int
    placed: int


class RemovedDigest(NamedTuple):
    """What a removal takes out of one bucket of a table's partition."""

    project: str
    log_partition: int
    bucket: int
    rows: int
    sum: int
    placed: int


@dataclass(frozen=True, slots=True)
class Proven:
    """A table whose rows have digests: which columns count, and how the engine names its partitions."""

    columns: Mapping[str, ColumnKind]
    part: Literal["all", "month", "month_of_arrival", "day"] = "all"
    unproven: frozenset[str] = frozenset()
    """Columns that may change, since another column says the same."""

    @property
    def has_project(self) -> bool:
        return "project" in self.columns


_PLACE: dict[str, ColumnKind] = {"log_partition": "number", "log_offset": "number", "seq": "number"}
_PROPERTY_KINDS: dict[Kind, ColumnKind] = {
    "label": "text",
    "text": "text",
    "number": "float",
    "decimal": "decimal",
    "boolean": "boolean",
}


def _texts(*names: str) -> dict[str, ColumnKind]:
    return dict.fromkeys(names, "text")


PROVEN: dict[str, Proven] = {
    "events": Proven(
        _texts("project", "event", "type", "distinct_id", "anonymous_id", "login_id", "door")
        | {"time": "time", "received_at": "time", "event_key": "number", "own_key": "own_key", **_PLACE}
        | {column.column: _PROPERTY_KINDS[column.kind] for column in PROPERTY_COLUMNS.values()}
        | {"properties": "map"},
        part="month",
        unproven=frozenset({"user_key", "alias_key"}),  # the stamp may be rewritten; `own_key` stays
    ),
    "event_ids": Proven({"event_id": "text", **_PLACE}, part="day", unproven=frozenset({"day"})),
    "bindings": Proven(
        _texts("project", "anonymous_id", "login_id")
        | {"anonymous_key": "number", "login_key": "number", "received_at": "time", "event_key": "number"}
        | {"trusted": "boolean", **_PLACE}
    ),
    "rulings": Proven(
        _texts("project", "kind", "subject_id", "login_id", "door")
        | {"subject_key": "number", "login_key": "number", "received_at": "time", "event_key": "number"}
        | _PLACE
    ),
    "identity_links": Proven(
        _texts("project", "kind", "one_name", "other_name", "one_id", "other_id")
        | {"one_key": "number", "other_key": "number", "received_at": "time", "event_key": "number"}
        | {"trusted": "boolean", **_PLACE}
    ),
    "profile_operations": Proven(
        _texts("project", "distinct_id", "operation", "property", "value")
        | {"id_key": "number", "time": "time", "event_key": "number", **_PLACE}
    ),
    "item_operations": Proven(
        _texts("project", "item_type", "item_id", "operation", "property", "value")
        | {"time": "time", "event_key": "number", **_PLACE}
    ),
    "dead_letters": Proven(
        _texts("project", "door", "reason", "field", "message", "sealed") | {"received_at": "time", **_PLACE},
        part="month_of_arrival",
    ),
    "replays": Proven(
        _texts("project", "event_id", "outcome")
        | {"letter_partition": "number", "letter_offset": "number", "letter_seq": "number"}
        | {"replayed_at": "time", **_PLACE}
    ),
}
"""Every table whose rows are each of one record. Profiles and items are derived from these."""


# In Arrow ---------------------------------------------------------------------------------------------------


def digest_rows(table: str, rows: pa.Table) -> list[Digest]:
    """The digests of rows that are about to be inserted."""
    proven = PROVEN[table]
    hashes = _row_hashes(proven, rows)
    offsets = _uint64(rows["log_offset"])
    seq = _uint64(rows["seq"])
    buckets = offsets // np.uint64(WINDOW) * np.uint64(BANDS) + seq % np.uint64(BANDS)
    places = (offsets % np.uint64(WINDOW) << np.uint64(SEQ_BITS)) | seq
    projects, project_of = _codes(rows["project"]) if proven.has_project else ([""], _zeros(len(seq)))
    parts, part_of = _parts(proven, rows)
    keys = np.stack([project_of, part_of, buckets])
    order = np.lexsort(keys)
    keys = keys[:, order]
    starts = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    hashes, placed = hashes[order], (hashes * places)[order]
    sums, placed_sums = np.add.reduceat(hashes, starts), np.add.reduceat(placed, starts)
    counts = np.diff(np.r_[starts, len(order)])
    return [
        Digest(table, projects[project], parts[part], bucket, rows_, sum_, placed_sum)
        for (project, part, bucket), rows_, sum_, placed_sum in zip(
            keys[:, starts].T.tolist(), counts.tolist(), sums.tolist(), placed_sums.tolist(), strict=True
        )
    ]


def _row_hashes(proven: Proven, rows: pa.Table) -> Numbers:
    """A hash a row; columns that the table leaves out are NULL."""
    present = set(rows.column_names)
    total = _zeros(rows.num_rows)
    for name, kind in proven.columns.items():
        if kind == "own_key":
            user, alias = _uint64(rows["user_key"]), _uint64(rows["alias_key"])
            total += _mix(np.where(alias == 0, user, alias) ^ _salt(name))
        elif name in present:
            column = rows[name].combine_chunks()
            total += _map_hashes(column) if kind == "map" else _hashes_of(name, kind, column)
    return _mix(total)


def _hashes_of(name: str, kind: ColumnKind, column: pa.Array) -> Numbers:
    """The column's share of each row's hash; 0 where it is NULL."""
    if kind == "text":
        return _text_hashes(f".{name}\0".encode(), column)
    absent = np.asarray(column.is_null()) if column.null_count else None
    if kind == "decimal":
        halves = _decimal_halves(column)
        hashes = _mix(halves[:, 0] ^ _salt(name)) + _mix(halves[:, 1] ^ _salt(f"{name}:high"))
    else:
        hashes = _mix(_bits(kind, column) ^ _salt(name))
    if absent is not None:
        hashes[absent] = 0
    return hashes


def _bits(kind: ColumnKind, column: pa.Array) -> Numbers:
    if kind == "boolean":
        return np.asarray(column.cast(pa.uint8()).fill_null(0)).astype(np.uint64)
    if kind == "time":
        return np.asarray(column.cast(pa.int64()).fill_null(0)).view(np.uint64)
    if kind == "float":
        return np.asarray(column.fill_null(0.0)).view(np.uint64)
    return np.asarray(column.fill_null(0)).astype(np.uint64)


def _decimal_halves(column: pa.Array) -> Numbers:
    """The low and the high 64 bits of each value."""
    values = np.frombuffer(column.buffers()[1], np.uint64)
    return values[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)


def _text_hashes(prefix: bytes, column: pa.Array) -> Numbers:
    """Each distinct text is hashed once."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = encoded.dictionary.cast(pa.binary()).to_pylist()
    hashes = np.array([xxh3_64_intdigest(prefix + text) for text in texts] + [0], np.uint64)
    found: Numbers = hashes[np.asarray(encoded.indices.fill_null(len(texts)))]
    return found


_NUL = pa.scalar(b"\0", pa.binary())


def _map_hashes(column: pa.Array) -> Numbers:
    """The sum of the hashes of each row's entries."""
    offsets = np.asarray(column.offsets)
    first, end = int(offsets[0]), int(offsets[-1])
    entries = pc.binary_join_element_wise(
        _as_bytes(column.keys[first:end]), _as_bytes(column.items[first:end]), _NUL
    )
    sums = np.zeros(end - first + 1, np.uint64)
    np.cumsum(_text_hashes(b"", entries), out=sums[1:])
    found: Numbers = sums[offsets[1:] - first] - sums[offsets[:-1] - first]
    return found


def _as_bytes(texts: pa.Array) -> pa.Array:
    plain = texts.dictionary_decode() if pa.types.is_dictionary(texts.type) else texts
    return plain.cast(pa.binary())


def _parts(proven: Proven, rows: pa.Table) -> tuple[list[str], Numbers]:
    """The names of partitions, and which of them each row lies in."""
    if proven.part == "all":
        return ["all"], _zeros(rows.num_rows)
    if proven.part == "day":
        days = np.asarray(rows["day"].combine_chunks()).astype("datetime64[D]")
        names, codes = np.unique(days, return_inverse=True)
        return [str(name).replace("-", "") for name in names], codes.astype(np.uint64)
    of = "time" if proven.part == "month" else "received_at"
    times = np.asarray(rows[of].combine_chunks().cast(pa.int64())).view("datetime64[ms]")
    names, codes = np.unique(times.astype("datetime64[M]"), return_inverse=True)
    labels = [str(name).replace("-", "") for name in names]
    if proven.part == "month":
        labels = [label if "2020" <= label[:4] < "2040" and len(label) == 6 else "0" for label in labels]
        merged = sorted(set(labels))
        return merged, np.array([merged.index(label) for label in labels], np.uint64)[codes]
    return labels, codes.astype(np.uint64)


def _codes(column: pa.ChunkedArray) -> tuple[list[str], Numbers]:
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    return encoded.dictionary.to_pylist(), np.asarray(encoded.indices).astype(np.uint64)


def _uint64(column: pa.ChunkedArray) -> Numbers:
    numbers: Numbers = column.to_numpy().astype(np.uint64)
    return numbers


def _zeros(count: int) -> Numbers:
    return np.zeros(count, np.uint64)


def _salt(name: str) -> np.uint64:
    return np.uint64(_salt_number(name))


def _salt_number(name: str) -> int:
    return xxh3_64_intdigest(f".{name}".encode())


def _mix(numbers: Numbers) -> Numbers:
    """The engine's intHash64."""
    mixed: Numbers = numbers ^ np.uint64(0x4CF2D2BAAE6DA887)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(33))


# In SQL -----------------------------------------------------------------------------------------------------

BUCKET_SQL = f"(intDiv(log_offset, {WINDOW}) * {BANDS} + seq % {BANDS})"
PLACE_SQL = f"bitOr(bitShiftLeft(toUInt64(log_offset % {WINDOW}), {SEQ_BITS}), toUInt64(seq))"


def hash_sql(table: str) -> str:
    """The expression of a row's hash."""
    shares = [_share_sql(name, kind) for name, kind in PROVEN[table].columns.items()]
    return f"intHash64({' + '.join(shares)})"


def _share_sql(name: str, kind: ColumnKind) -> str:
    column = f"`{name}`"
    if kind == "text":
        return f"ifNull(xxh3(concat('.{name}\\0', {column})), 0)"
    if kind == "map":
        entry = r"(k, v) -> xxh3(concat(k, '\0', v))"
        return f"arraySum(arrayMap({entry}, mapKeys({column}), mapValues({column})))"
    if kind == "decimal":
        bits = f"reinterpretAsUInt128({column})"
        low = _number_sql(name, f"toUInt64(bitAnd({bits}, toUInt128({MASK})))")
        return f"{low} + {_number_sql(f'{name}:high', f'toUInt64(bitShiftRight({bits}, 64))')}"
    return _number_sql(name, _BITS_SQL[kind].format(column))


_BITS_SQL: dict[ColumnKind, str] = {
    "number": "toUInt64({})",
    "boolean": "toUInt64({})",
    "time": "reinterpretAsUInt64(toUnixTimestamp64Milli({}))",
    "float": "reinterpretAsUInt64({})",
    "own_key": "if(alias_key = 0, user_key, alias_key)",
}


def _number_sql(name: str, bits: str) -> str:
    return f"ifNull(intHash64(bitXor({bits}, toUInt64({_salt_number(name)}))), 0)"


def nested_columns(digests: Sequence[Digest]) -> dict[str, Any]:
    """The digests as the columns `digests.*` of one row of `ingest_blocks`."""
    columns = list(zip(*digests, strict=True)) or [()] * len(Digest._fields)
    return {
        f"digests.{name}": pa.array([list(values)], pa.list_(_NESTED_TYPES[name]))
        for name, values in zip(Digest._fields, columns, strict=True)
    }


def removal_columns(digests: Sequence[RemovedDigest]) -> dict[str, Any]:
    """The digests as the columns `digests.*` of one row of `removals`."""
    columns = list(zip(*digests, strict=True)) or [()] * len(RemovedDigest._fields)
    types = _NESTED_TYPES | {"log_partition": pa.uint16(), "rows": pa.uint64()}
    return {
        f"digests.{name}": pa.array([list(values)], pa.list_(types[name]))
        for name, values in zip(RemovedDigest._fields, columns, strict=True)
    }


_NESTED_TYPES = {
    **dict.fromkeys(("table", "project", "part"), pa.string()),
    **dict.fromkeys(("bucket", "sum", "placed"), pa.uint64()),
    "rows": pa.uint32(),
}
