"""Files of audit rows: what was moved out of the database, as lines of JSON that can be verified like it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from footfall.workspace.audit_anchor import sync_directory
from footfall.workspace.audit_chain import AuditRow


class ArchiveUnusable(Exception):  # noqa: N818 - reads as what it is
    """The text names the file, and says what is wrong with it or what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """What is in a file now."""

    first: AuditRow
    last: AuditRow
    rows: int
    sha256: str


def write_rows(file: Path, rows: Iterable[AuditRow]) -> Written | None:
    """Writes a file that does not exist yet, durable on return. None, and no file, if there is no row."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ArchiveUnusable(f"{file} is there already: name another file") from None
    except OSError as error:
        raise ArchiveUnusable(f"{file}: {error.strerror}") from error
    first = last = None
    digest, count = sha256(), 0
    with os.fdopen(descriptor, "wb") as opened:
        for row in rows:
            line = line_of(row).encode()
            opened.write(line)
            digest.update(line)
            first, last, count = first or row, row, count + 1
        opened.flush()
        os.fsync(opened.fileno())
    if first is None or last is None:
        file.unlink()
        return None
    sync_directory(file.parent)  # the rows are deleted next: the file must be found after a power cut
    return Written(first, last, count, digest.hexdigest())


def line_of(row: AuditRow) -> str:
    """A row as a line of JSON, in ASCII."""
    return json.dumps(row.as_json(), ensure_ascii=True, separators=(",", ":")) + "\n"


def read_rows(files: Sequence[Path]) -> Iterator[AuditRow]:
    """The rows of all files, in the order of the files' first rows. ArchiveUnusable."""
    for file in sorted(files, key=lambda each: next(_rows_of(each)).sequence):
        yield from _rows_of(file)


def _rows_of(file: Path) -> Iterator[AuditRow]:
    number = 0
    try:
        with file.open("rb") as opened:
            for line in opened:
                number += 1
                yield AuditRow.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveUnusable(f"{file}, line {number}: no row of an audit log: {error!r}") from error
    except OSError as error:
        raise ArchiveUnusable(f"{file}: {error.strerror}") from error
    if not number:
        raise ArchiveUnusable(f"{file}: it is empty")
