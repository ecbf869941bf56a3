"""Rows of Parquet, some thousand at a time."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from footfall.importing.faults import ImportRefused
from footfall.importing.rows import Row, broken
from footfall.importing.source import Source

_ROWS_AT_ONCE: Final = 2_000
_BYTES_AT_ONCE: Final = 8 << 20


class ParquetTable:
    """An open Parquet file."""

    def __init__(self, source: Source) -> None:
        """ImportRefused if it is none."""
        self._file = open_parquet(source)
        schema = self._file.schema_arrow
        self.columns: tuple[str, ...] = tuple(schema.names)
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            self._file.close()
            raise ImportRefused(f"{source.path}: {', '.join(twice)} is there more than once")
        self.kinds: Mapping[str, str] = {field.name: kind_of(field.type) for field in schema}
        self._total: int = self._file.metadata.num_rows
        self._done = 0

    def rows(self, skip: int) -> Iterator[Row]:
        groups: list[int] = []
        before = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if before + rows <= skip and not groups:
                before += rows
            else:
                groups.append(group)
        number = before
        try:
            for batch in self._file.iter_batches(rows_at_once(self._file), row_groups=groups):
                if number + batch.num_rows > skip:
                    first = max(0, skip - number)
                    yield from self._rows_of(batch.slice(first), number + first)
                number += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            yield broken(number + 1, b"", f"the file is damaged from here on: {error}")

    def _rows_of(self, batch: Any, before: int) -> Iterator[Row]:
        columns = [values_of(column) for column in batch.columns]
        for number, cells in enumerate(zip(*columns, strict=True), before + 1):
            self._done = number
            yield Row(number, dict(zip(self.columns, cells, strict=True)), b"")

    def progress(self) -> tuple[int, int]:
        return self._done, self._total

    def close(self) -> None:
        self._file.close()


def rows_at_once(file: Any) -> int:
    """Some MB of rows, by what the file says of their size."""
    metadata = file.metadata
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return int(max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * metadata.num_rows // max(1, size))))


def open_parquet(source: Source) -> Any:
    """ImportRefused if it is no Parquet file."""
    try:
        return pq.ParquetFile(source.path)
    except (pa.ArrowException, OSError) as error:
        raise ImportRefused(f"{source.path}: no readable Parquet file: {error}") from None


def kind_of(type_: Any) -> str:
    """What a column is to us: a property's type, or `json` for what is nested."""
    types = pa.types
    if types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if types.is_boolean(type_):
        return "boolean"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_):
        return "number"
    if types.is_timestamp(type_) or types.is_date(type_):
        return "datetime"
    if is_list(type_):
        return "list" if kind_of(type_.value_type) == "string" else "json"
    return "json" if types.is_nested(type_) else "string"


def is_list(type_: Any) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def values_of(column: Any) -> list[Any]:
    """Python values: numbers, texts, booleans, datetimes, dates, lists of texts, None."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.cast(type_.value_type)
        type_ = column.type
    if pa.types.is_timestamp(type_):
        column = column.cast(pa.timestamp("us", type_.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (
        ValueError,
        OverflowError,
        pa.ArrowException,
    ):  # a date that Python does not have, text that is no UTF-8
        values = [_one(each) for each in column]
    kind = kind_of(type_)
    if pa.types.is_decimal(type_):
        return [None if value is None else msgspec.Raw(format(value, "f").encode()) for value in values]
    if pa.types.is_floating(type_):
        return [value if value is not None and math.isfinite(value) else None for value in values]
    if kind == "json":
        return [
            None if value is None else json.dumps(value, default=_text, ensure_ascii=False)
            for value in values
        ]
    if kind == "string":
        return [value if value is None or isinstance(value, str) else _text(value) for value in values]
    return values


def _one(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return str(scalar)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
