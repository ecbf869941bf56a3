"""Rows of JSONL: an object a line, either a table's row or a record as the doors take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from footfall.events.reasons import Reason
from footfall.importing.rows import Cells, Row, broken
from footfall.importing.source import Line, Source, open_unpacked, read_lines

_read = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode())).decode
_write = msgspec.json.encode
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class JsonlTable:
    """An open JSONL file; objects within objects become columns like `properties.amount`."""

    columns: tuple[str, ...] | None = None

    def __init__(self, source: Source, *, encoding: str, as_records: bool) -> None:
        """`as_records`: lines are records, given on as they are."""
        self._size = source.size
        self._encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        self._as_records = as_records
        self._opened = open_unpacked(source.path)
        self.kinds: Mapping[str, str] = {}

    def rows(self, skip: int) -> Iterator[Row]:
        lines = (
            line for line in read_lines(self._opened.file) if line.fault or line.raw.strip(b" \t\xef\xbb\xbf")
        )
        read = self._record if self._as_records else self._row
        return map(read, islice(lines, skip, None))

    def progress(self) -> tuple[int, int]:
        return self._opened.bytes_read(), self._size

    def close(self) -> None:
        self._opened.close()

    def _utf8(self, line: Line) -> bytes:
        raw = line.raw.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.raw
        return raw if self._encoding == "utf-8" else raw.decode(self._encoding).encode()

    def _record(self, line: Line) -> Row:
        if line.fault:
            return broken(line.number, line.raw, line.fault)
        try:
            return Row(line.number, None, self._utf8(line).strip())
        except UnicodeDecodeError:
            return broken(line.number, line.raw, f"not {self._encoding}", Reason.INVALID_UTF8)

    def _row(self, line: Line) -> Row:
        if line.fault:
            return broken(line.number, line.raw, line.fault)
        try:
            found = _read(self._utf8(line))
        except _UNDECODABLE as error:
            is_text = isinstance(error, UnicodeDecodeError)
            reason = Reason.INVALID_UTF8 if is_text else Reason.UNREADABLE
            return broken(line.number, line.raw, f"no JSON: {error}", reason)
        if not isinstance(found, dict):
            return broken(line.number, line.raw, "the line is no JSON object", Reason.NOT_AN_OBJECT)
        return Row(line.number, flat(found), line.raw)


def flat(found: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Cells:
    """Objects within objects as columns; other nested values as JSON text."""
    cells: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict) and depth < 8:
            cells.update(flat(value, f"{prefix}{name}.", depth + 1))
        else:
            cells[prefix + name] = plain(value)
    return cells


def plain(value: Any) -> Any:
    """A value that a property can have: what is nested otherwise becomes JSON text."""
    if isinstance(value, dict) or (
        isinstance(value, list) and not all(isinstance(each, str) for each in value)
    ):
        return _write(value).decode()
    return value
