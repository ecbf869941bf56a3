"""The workspace as a SQLite file: of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

from footfall.workspace.audit_wall import refuse_changes
from footfall.workspace.engines import Engines, named, say_what_is_away
from footfall.workspace.file_turns import FileTurns
from footfall.workspace.tables import metadata
from footfall.workspace.writing import SCHEMA, lock_for_writing

_BUSY_SECONDS = 10


def open_engines(url: URL) -> Engines:
    """Makes the file, readable for its owner alone, and its tables."""
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    say_what_is_away(engine, named(url))
    _create_tables(engine)
    file.chmod(0o600)
    return Engines(engine, FileTurns(file.resolve().with_name(f"{file.name}.turns")), named(url))


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # a retired private key leaves nothing behind
    cursor.close()


def _create_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        lock_for_writing(connection, SCHEMA)
        metadata.create_all(connection)
        refuse_changes(connection)
