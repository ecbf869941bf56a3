"""A workspace as a file: for a copy that is kept, and for the way from one engine to the other.

Lines of JSON: a head, a line a row, an end with their number and SHA-256. Keys are in it as they rest:
hashed, or sealed under the installation's key, so that it is of use only beside that.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, LargeBinary, Table, func, insert, select

from footfall.workspace.audit import Audit
from footfall.workspace.audit_anchor import sync_directory
from footfall.workspace.audit_chain import AuditRow
from footfall.workspace.schema import versions
from footfall.workspace.tables import audit, leases, metadata
from footfall.workspace.writing import writing

_FORMAT: Final = 1
_BATCH: Final = 1_000
_LEFT_OUT: Final = (leases,)  # of processes that run
_TABLES: Final = {table.name: table for table in metadata.sorted_tables if table not in _LEFT_OUT}
_ANOTHER_KEY: Final = (
    "{file} is of an installation with another key: set FOOTFALL_INSTALLATION_KEY, or copy installation.key "
    "into the home"
)


class CannotTransfer(Exception):  # noqa: N818 - reads as what it is
    """The text names the file or the database, what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What went into a file or came out of it."""

    rows: int
    tables: dict[str, int]  # rows by table, without empty ones


def export(engine: Engine, log: Audit, file: Path) -> Transferred:
    """Writes a file that does not exist yet, all of one moment; durable on return. CannotTransfer."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CannotTransfer(f"{file} is there already: name another file") from None
    except OSError as error:
        raise CannotTransfer(f"{file}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as opened, _one_moment(engine) as connection:
            written = _write(opened.write, connection, log)
            opened.flush()
            os.fsync(opened.fileno())
        sync_directory(file.parent)
    except BaseException as error:
        file.unlink()  # half of a copy is none
        if isinstance(error, OSError):
            raise CannotTransfer(f"{file}: {error.strerror}") from error
        raise
    return written


def import_(engine: Engine, log: Audit, file: Path) -> Transferred:
    """Fills a workspace that holds nothing yet, or changes nothing. CannotTransfer."""
    head = _check(file, log)
    counts: dict[str, int] = {}
    with writing(engine) as connection:
        _refuse_rows(connection)
        for name, rows in groupby(_rows(file), key=lambda each: each[0]):
            counts[name] = counts.get(name, 0) + _insert(connection, _TABLES[name], (row for _, row in rows))
    if head is not None:
        log.adopt(head)
    return Transferred(sum(counts.values()), counts)


@contextmanager
def _one_moment(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            connection.exec_driver_sql("BEGIN")
        yield connection


def _write(write: Any, connection: Connection, log: Audit) -> Transferred:
    digest, counts = sha256(), dict.fromkeys(_TABLES, 0)

    def put(value: Any) -> None:
        line = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        digest.update(line)
        write(line)

    put({"footfall_workspace": _FORMAT, "version": versions()[-1], "audit_head": log.head()})
    for name, table in _TABLES.items():
        for row in connection.execute(select(table).execution_options(yield_per=_BATCH)).mappings():
            put([name, {column: _plain(value) for column, value in row.items()}])
            counts[name] += 1
    rows = sum(counts.values())
    put({"rows": rows, "sha256": digest.hexdigest()})
    return Transferred(rows, {name: count for name, count in counts.items() if count})


def _plain(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _check(file: Path, log: Audit) -> str | None:
    """The file is whole, of a version that is known, and of this installation. The head of its audit log."""
    digest, rows, end = sha256(), 0, None
    head: dict[str, Any] | None = None
    newest: dict[str, Any] | None = None
    try:
        with file.open("rb") as opened:
            for line in opened:
                value = json.loads(line)
                if head is None:
                    head = _read_head(file, value)
                elif isinstance(value, dict):
                    end = value
                    break
                else:
                    rows += 1
                    newest = value[1] if value[0] == audit.name else newest
                digest.update(line)
    except (ValueError, LookupError, TypeError) as error:
        raise CannotTransfer(f"{file} is no workspace's export, or damaged: {error!r}") from error
    except OSError as error:
        raise CannotTransfer(f"{file}: {error.strerror}") from error
    if head is None or end != {"rows": rows, "sha256": digest.hexdigest()}:
        raise CannotTransfer(f"{file} is not whole: take another copy")
    if newest is not None and not log.is_own(AuditRow(**newest)):
        raise CannotTransfer(_ANOTHER_KEY.format(file=file))
    audit_head = head["audit_head"]
    if audit_head is not None and not log.is_head(audit_head):
        raise CannotTransfer(_ANOTHER_KEY.format(file=file))
    return None if audit_head is None else str(audit_head)


def _read_head(file: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value["footfall_workspace"] != _FORMAT:
        raise ValueError("its first line says nothing that is known")
    if value["version"] not in versions():
        raise CannotTransfer(
            f"{file} has tables of version {value['version']}, this Footfall knows {versions()[-1]} and "
            "older: use the newer Footfall that made it"
        )
    return value


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of a file that was checked."""
    with file.open("rb") as opened:
        for line in islice(opened, 1, None):
            value = json.loads(line)
            if isinstance(value, dict):
                return
            yield value[0], value[1]


def _refuse_rows(connection: Connection) -> None:
    for table in _TABLES.values():
        if connection.scalar(select(func.count()).select_from(table)):
            raise CannotTransfer(
                f"this workspace holds {table.name} already: import into a new one, before the first start"
            )


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    sealed = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    left, count = iter(rows), 0
    while batch := list(islice(left, _BATCH)):
        for row in batch:
            for name in sealed:
                row[name] = None if row[name] is None else b64decode(row[name])
        connection.execute(insert(table), batch)
        count += len(batch)
    return count
