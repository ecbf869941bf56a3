"""Which kind of file it is, told by its content, and its rows."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec

from footfall.importing.csv_rows import CsvTable, encoding_hint
from footfall.importing.faults import ImportRefused
from footfall.importing.jsonl_rows import JsonlTable
from footfall.importing.mapping import FORMATS
from footfall.importing.parquet_records import ParquetRecords, holds_records
from footfall.importing.parquet_rows import ParquetTable
from footfall.importing.rows import Row, Table
from footfall.importing.source import PARQUET, Source


class Reading:
    """How a file is read: fixed before the import begins, the same when it goes on."""

    def __init__(
        self, source: Source, *, format_: str | None, encoding: str | None, delimiter: str | None
    ) -> None:
        """ImportRefused if that cannot be."""
        self.source = source
        self.encoding = _codec(encoding)
        self.format = format_ or guess_format(source)
        if self.format not in FORMATS:
            raise ImportRefused(f"format: {self.format!r} is none of {', '.join(FORMATS)}")
        if delimiter is not None and len(delimiter.replace("\\t", "\t")) != 1:
            raise ImportRefused(f"delimiter: one character is expected, not {delimiter!r}")
        self._delimiter = None if delimiter is None else delimiter.replace("\\t", "\t")

    @property
    def has_records(self) -> bool:
        """Whether its rows are records, which need no mapping."""
        return self.format in ("records", "sensors")

    @contextmanager
    def opened(self) -> Iterator[Table]:
        """The file from its beginning. ImportRefused."""
        table = self._open()
        try:
            yield table
        finally:
            table.close()

    def _open(self) -> Table:
        if self.has_records and self.source.start.startswith(PARQUET):
            return ParquetRecords(self.source)
        match self.format:
            case "csv":
                return CsvTable(self.source, encoding=self.encoding, delimiter=self._delimiter)
            case "parquet":
                return ParquetTable(self.source)
            case _:
                return JsonlTable(self.source, encoding=self.encoding, as_records=self.has_records)

    def sample(self, rows: int) -> list[Row]:
        """The first rows. ImportRefused if hardly any can be read, or there are none."""
        with self.opened() as table:
            found = list(islice(table.rows(0), rows))
        if not found:
            raise ImportRefused(f"{self.source.path}: the file has no rows")
        broken = [row for row in found if row.refusal is not None]
        if len(broken) == len(found):
            first = broken[0]
            assert first.refusal is not None
            hint = encoding_hint(self.source.start, self.encoding) if self.format != "parquet" else ""
            raise ImportRefused(
                f"{self.source.path}: none of the first {len(found)} rows can be read as {self.format}: "
                f"line {first.line}: {first.refusal.message}{hint}"
            )
        return found


def guess_format(source: Source) -> str:
    """By the content: Parquet by its mark, records and tables in JSON by the first object, else CSV."""
    if source.start.startswith(PARQUET):
        return "records" if holds_records(source) else "parquet"
    start = source.start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return _guess_json(start.partition(b"\n")[0])
    if start.startswith(b"["):
        raise ImportRefused(f"{source.path}: one JSON array is no JSONL: write an object a line")
    return "csv"


def _guess_json(line: bytes) -> str:
    try:
        first = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "jsonl"
    is_record = isinstance(first.get("properties"), dict) and {"event", "type"} & first.keys()
    if not is_record:
        return "jsonl"
    return "sensors" if {"_track_id", "_flush_time", "lib", "map_id", "user_id"} & first.keys() else "records"


def _codec(encoding: str | None) -> str:
    name = encoding or "utf-8"
    try:
        found = codecs.lookup(name).name
    except LookupError:
        found = ""
    if not found or found.startswith(("utf-16", "utf-32", "utf-7")) or not _is_text(found):
        raise ImportRefused(f"encoding: {name!r} is none that can be read; usual ones are utf-8 and gb18030")
    return found


def _is_text(codec: str) -> bool:
    try:
        return b"a\n".decode(codec) == "a\n"
    except (UnicodeDecodeError, LookupError, TypeError, AssertionError):
        return False
    except Exception:  # noqa: BLE001 - a codec that is none of texts fails in its own way
        return False
