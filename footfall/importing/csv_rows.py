"""Rows of CSV. A broken row costs itself alone: an open quote does not swallow the lines behind it."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from footfall.events.reasons import Reason
from footfall.importing.faults import ImportRefused
from footfall.importing.rows import Row, broken
from footfall.importing.source import Line, Source, open_unpacked, read_lines

_DELIMITERS: Final = ",;\t|"


class _UnreadableLineError(Exception):
    """A line that cannot be decoded, amid a row."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class _Feed:
    """Gives lines as text, remembers those of the row in work, and takes them back."""

    def __init__(self, lines: Iterator[Line], encoding: str) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self._encoding = encoding
        self.taken: list[Line] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        if line.fault:
            raise _UnreadableLineError(line.fault, Reason.UNREADABLE)
        try:
            return line.raw.decode(self._encoding) + "\n"
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not {self._encoding}"
            raise _UnreadableLineError(message, Reason.INVALID_UTF8) from None

    def take_back(self) -> Line:
        """The first line of the row was broken: those behind it are read again."""
        first, *rest = self.taken
        self._again.extendleft(reversed(rest))
        return first


class CsvTable:
    """An open CSV file; its first row that is not blank names the columns."""

    def __init__(self, source: Source, *, encoding: str, delimiter: str | None) -> None:
        """ImportRefused if the header cannot be."""
        self._size = source.size
        self._encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        self._opened = open_unpacked(source.path)
        try:
            self._feed = _Feed(_without_mark(read_lines(self._opened.file)), self._encoding)
            self.delimiter = delimiter or _guess_delimiter(source.start, self._encoding)
            self._reader = csv.reader(self._feed, delimiter=self.delimiter, strict=True)
            self._header = self._read_header(source)
        except BaseException:
            self._opened.close()
            raise
        self.columns: tuple[str, ...] = tuple(filter(None, self._header))
        self.kinds: Mapping[str, str] = {}

    def rows(self, skip: int) -> Iterator[Row]:
        return islice(self._rows(), skip, None)

    def progress(self) -> tuple[int, int]:
        return self._opened.bytes_read(), self._size

    def close(self) -> None:
        self._opened.close()

    def _read_header(self, source: Source) -> list[str]:
        try:
            cells: list[str] = []
            while not any(cells):
                cells = [cell.strip() for cell in next(self._reader)]
        except StopIteration:
            raise ImportRefused(f"{source.path}: the file has no rows") from None
        except (csv.Error, _UnreadableLineError) as error:
            hint = encoding_hint(source.start, self._encoding)
            raise ImportRefused(f"{source.path}: the header cannot be read: {error}{hint}") from None
        named = [cell for cell in cells if cell]
        twice = sorted({cell for cell in named if named.count(cell) > 1})
        if twice:
            raise ImportRefused(f"{source.path}: the header names {', '.join(twice)} more than once")
        return cells

    def _rows(self) -> Iterator[Row]:
        header, width, feed = self._header, len(self._header), self._feed
        while True:
            feed.taken = []
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                first = feed.take_back()
                yield broken(first.number, first.raw, f"no CSV: {error}")
                continue
            except _UnreadableLineError as error:
                reason = error.reason if len(feed.taken) == 1 else Reason.UNREADABLE
                message = str(error) if len(feed.taken) == 1 else "a quote is not closed"
                first = feed.take_back()
                yield broken(first.number, first.raw, message, reason)
                continue
            if not cells:
                continue
            if len(cells) > width and not any(cells[width:]):
                cells = cells[:width]
            if len(cells) != width:
                first = feed.take_back()
                yield broken(first.number, first.raw, f"{len(cells)} cells, the header has {width}")
                continue
            first = feed.taken[0]
            yield Row(first.number, dict(zip(header, cells, strict=True)), first.raw)


def _without_mark(lines: Iterator[Line]) -> Iterator[Line]:
    """Without the byte order mark that Excel puts before UTF-8."""
    for line in lines:
        yield line._replace(raw=line.raw.removeprefix(b"\xef\xbb\xbf"))
        break
    yield from lines


def _guess_delimiter(start: bytes, encoding: str) -> str:
    header = start.partition(b"\n")[0].decode(encoding, errors="replace")
    return max(_DELIMITERS, key=header.count)


def encoding_hint(start: bytes, encoding: str) -> str:
    """What else the file may be encoded in, if not in `encoding`."""
    whole_lines = start[: start.rfind(b"\n") + 1] or start
    for other in ("utf-8", "gb18030"):
        if other != encoding:
            try:
                whole_lines.decode(other)
            except UnicodeDecodeError:
                continue
            return f"; the file looks like {other}: try --encoding {other}"
    return ""
