"""Records in Parquet: what `footfall export` writes, and how they become records again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pyarrow as pa

from footfall.importing.faults import ImportRefused
from footfall.importing.parquet_rows import open_parquet, rows_at_once
from footfall.importing.rows import Row, broken
from footfall.importing.source import Source

_MARK: Final = {b"footfall": b"records"}
_JSON: Final = ("properties", "identities")
_TEXTS: Final = (
    "type", "event", "distinct_id", "anonymous_id", "login_id", "original_id", "item_type", "item_id",
    "event_id", *_JSON,
)  # fmt: skip
SCHEMA: Final = pa.schema(
    [*((name, pa.string()) for name in _TEXTS), ("time", pa.timestamp("ms", "UTC"))], metadata=_MARK
)

_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode


def rows_of(lines: bytes) -> list[dict[str, Any]]:
    """Records, one a line, as rows of SCHEMA."""
    return [_row_of(line) for line in lines.split(b"\n") if line]


def _row_of(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, raw in _read(line).items():
        text = bytes(raw)
        row[name] = int(text) if name == "time" else text.decode() if name in _JSON else _text(text)
    return row


class ParquetRecords:
    """An open file of records."""

    columns: tuple[str, ...] | None = None

    def __init__(self, source: Source) -> None:
        """ImportRefused if it holds no records."""
        self._file = open_parquet(source)
        if not _is_marked(self._file):
            self._file.close()
            raise ImportRefused(f"{source.path}: not of `footfall export`: import it as --format parquet")
        self._total: int = self._file.metadata.num_rows
        self._done = 0
        self.kinds: Mapping[str, str] = {}

    def rows(self, skip: int) -> Iterator[Row]:
        number = 0
        try:
            for batch in self._file.iter_batches(rows_at_once(self._file)):
                for row in batch.to_pylist() if number + batch.num_rows > skip else [None] * batch.num_rows:
                    number += 1
                    self._done = number
                    if number > skip and row is not None:
                        yield _row(number, row)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield broken(number + 1, b"", f"the file is damaged from here on: {error}")

    def progress(self) -> tuple[int, int]:
        return self._done, self._total

    def close(self) -> None:
        self._file.close()


def _row(number: int, row: Mapping[str, Any]) -> Row:
    try:
        return Row(number, None, _record_of(row))
    except (AttributeError, TypeError, ValueError, OverflowError) as error:  # columns of other types
        return broken(number, b"", f"no record: {error}")


def _record_of(row: Mapping[str, Any]) -> bytes:
    record: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        if name == "time":
            record[name] = round(value.timestamp() * 1000)
        else:
            record[name] = msgspec.Raw(value.encode()) if name in _JSON else value
    return _write(record)


def _is_marked(file: Any) -> bool:
    return bool((file.schema_arrow.metadata or {}).get(b"footfall") == b"records")


def holds_records(source: Source) -> bool:
    """Whether a Parquet file is one of records."""
    file = open_parquet(source)
    try:
        return _is_marked(file)
    finally:
        file.close()
