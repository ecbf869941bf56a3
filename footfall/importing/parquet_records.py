"""Records in Parquet: what `footfall export` writes, and how they become records again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pyarrow as pa

from footfall.importing.parquet_rows import open_parquet
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
        self._file = open_parquet(source)
        self._total: int = self._file.metadata.num_rows
        self._done = 0
        self.kinds: Mapping[str, str] = {}

    def rows(self, skip: int) -> Iterator[Row]:
        number = 0
        try:
            for batch in self._file.iter_batches(2_000):
                for row in batch.to_pylist() if number + batch.num_rows > skip else [None] * batch.num_rows:
                    number += 1
                    self._done = number
                    if number > skip and row is not None:
                        yield Row(number, None, _record_of(row))
        except (pa.ArrowException, OSError, ValueError) as error:
            yield broken(number + 1, b"", f"the file is damaged from here on: {error}")

    def progress(self) -> tuple[int, int]:
        return self._done, self._total

    def close(self) -> None:
        self._file.close()


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


def holds_records(source: Source) -> bool:
    """Whether a Parquet file is one of records."""
    file = open_parquet(source)
    try:
        return bool((file.schema_arrow.metadata or {}).get(b"footfall") == b"records")
    finally:
        file.close()
