"""The workspace as a SQLite file: of one machine."""

from __future__ import annotations

import sqlite3
from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, event

from footfall.workspace.engines import Engines, named, say_what_is_away
from footfall.workspace.file_turns import FileTurns
from footfall.workspace.schema import check, upgrade

_BUSY_SECONDS = 10
_PRODUCT = f"SQLite {sqlite3.sqlite_version}"


def open_engines(url: URL, migrate: bool) -> Engines:
    """Makes the file, readable for its owner alone, and its tables; only what is there without `migrate`."""
    file = Path(url.database or "")
    if not (migrate or file.exists()):
        raise FileNotFoundError(ENOENT, strerror(ENOENT), str(file))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    say_what_is_away(engine, named(url))
    try:
        upgrade(engine, named(url)) if migrate else check(engine, named(url))
    except BaseException:
        engine.dispose()
        raise
    file.chmod(0o600)
    return Engines(engine, FileTurns(file.resolve().with_name(f"{file.name}.turns")), named(url), _PRODUCT)


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # a retired private key leaves nothing behind
    cursor.close()
