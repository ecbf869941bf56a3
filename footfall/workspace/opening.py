"""Opens the workspace that a URL names: SQLite; any database of SQLAlchemy's fits behind the same tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from footfall.workspace.audit import refuse_changes, wall_clock
from footfall.workspace.tables import metadata
from footfall.workspace.workspace import Workspace

_SCHEMES = ("sqlite",)
_BUSY_SECONDS = 10

ANCHOR_SUFFIX = ".audit-head"
"""Behind the database's name: the file that knows the audit log's newest row."""


def open_workspace(
    url: str,
    installation_key: Callable[[], bytes] | None = None,
    *,
    clock: Callable[[], int] = wall_clock,
) -> Workspace:
    """The workspace at `sqlite:///path`; creates the file and its tables where they are missing.

    `installation_key` is asked for when something is first recorded (None: nothing can be).
    Several processes may open it at once. ValueError for a URL that means nothing.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            f"workspace URL {url!r}: not a URL of the form sqlite:///path/to/workspace.db"
        ) from error
    if parsed.get_backend_name() not in _SCHEMES:
        raise ValueError(
            f"workspace URL: the scheme must be one of {', '.join(_SCHEMES)}, not {parsed.drivername}"
        )
    if not parsed.database:
        raise ValueError(f"workspace URL {url!r}: it needs a file, as in sqlite:///path/to/workspace.db")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_pragmas)
    _create_tables(engine)
    Path(parsed.database).chmod(0o600)
    anchor = Path(parsed.database + ANCHOR_SUFFIX)
    return Workspace(engine, installation_key, anchor, clock)


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # a retired private key leaves nothing behind
    cursor.close()


def _create_tables(engine: Engine) -> None:
    """Under one write lock, so that processes that start together do not create the same table twice."""
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.create_all(connection)
        refuse_changes(connection)
        connection.commit()
