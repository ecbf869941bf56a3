"""A file to import: what it is, told by its content, and its lines, with bounded memory whatever is in it."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from footfall.events import limits
from footfall.importing.faults import ImportRefused

LONGEST_LINE: Final = limits.RECORD_BYTES
"""A longer line is no row: only its beginning is kept."""

KEPT_BYTES: Final = 64 * 1024
_GZIP, _ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when the import began."""

    path: Path
    size: int
    digest: str  # SHA-256 of its bytes, as hex
    start: bytes  # the first bytes, unpacked


def look_at(path: Path) -> Source:
    """Reads the whole file once: its content is its identity. ImportRefused."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        with open_unpacked(path) as opened:
            start = opened.file.read(_BLOCK)
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror or error}") from error
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ImportRefused(f"{path}: the compressed file is damaged: {error}") from error
    if not start.strip():
        raise ImportRefused(f"{path}: the file is empty")
    if start.startswith(_UTF16):
        raise ImportRefused(f"{path}: the file is UTF-16: save it as UTF-8 first")
    return Source(path, size, digest, start)


class Unpacked:
    """An open file, unpacked on the fly."""

    def __init__(self, raw: BinaryIO, file: BinaryIO) -> None:
        self._raw = raw
        self.file = file

    def bytes_read(self) -> int:
        """Of the file as it lies on the disk: how far the progress is."""
        return self._raw.tell()

    def close(self) -> None:
        self.file.close()
        self._raw.close()

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_unpacked(path: Path) -> Unpacked:
    """The file's content; gzip and zstd are told by their first bytes, not by the name."""
    raw = path.open("rb")
    try:
        magic = raw.read(4)
        raw.seek(0, os.SEEK_SET)
        if magic.startswith(_GZIP):
            return Unpacked(raw, io.BufferedReader(gzip.GzipFile(fileobj=raw), _BLOCK))
        if magic == _ZSTD:
            unpacking = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            return Unpacked(raw, io.BufferedReader(unpacking, _BLOCK))
    except BaseException:
        raw.close()
        raise
    return Unpacked(raw, raw)


class Line(NamedTuple):
    """A line without its end; `fault` says why it cannot be read."""

    number: int  # from 1
    raw: bytes
    fault: str = ""


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """All lines; where the file is damaged, the last one says so."""
    readline: Callable[[int], bytes] = file.readline
    number = 0
    while True:
        number += 1
        try:
            raw = readline(LONGEST_LINE)
            if not raw:
                return
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                yield Line(number, raw[:KEPT_BYTES], _skip_rest(readline))
                continue
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            yield Line(number, b"", f"the file is damaged from here on: {error}")
            return
        yield Line(number, raw.rstrip(b"\r\n"))


def _skip_rest(readline: Callable[[int], bytes]) -> str:
    size = LONGEST_LINE
    while True:
        more = readline(_BLOCK)
        size += len(more)
        if not more or more.endswith(b"\n"):
            return f"the line has {size} bytes, at most {LONGEST_LINE} are allowed"
