"""The workspace as a SQLite file: of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, event

from footfall.workspace.engines import Engines, named, say_what_is_away
from footfall.workspace.file_turns import FileTurns
from footfall.workspace.schema import upgrade

_BUSY_SECONDS = 10


def open_engines(url: URL) -> Engines:
    """Makes the file, readable for its owner alone, and its tables."""
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    say_what_is_away(engine, named(url))
    try:
        upgrade(engine, named(url))
    except BaseException:
        engine.dispose()
        raise
    file.chmod(0o600)
    return Engines(engine, FileTurns(file.resolve().with_name(f"{file.name}.turns")), named(url))


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # a retired private key leaves nothing behind
    cursor.close()
