"""Brings a workspace's tables to the version that this code knows, at each start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, column, inspect, select, table

from footfall.workspace.audit_wall import is_guarded, refuse_changes
from footfall.workspace.errors import WorkspaceTooNew
from footfall.workspace.writing import SCHEMA, lock_for_writing

VERSION_TABLE: Final = "schema_version"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Who starts while another migrates waits for it, and a migration takes its time.
_PATIENCE: Final = "SET LOCAL lock_timeout = '10min'; SET LOCAL statement_timeout = 0"
_log = logging.getLogger(__name__)


def versions() -> list[str]:
    """Those that this code knows, oldest first: `0001`."""
    return sorted(file.name[1:5] for file in (_MIGRATIONS / "versions").glob("v*.py"))


def upgrade(engine: Engine, place: str) -> None:
    """Makes missing tables, and what has changed since; none if another process has done so already.

    Tables of before versions were counted are taken as they are. WorkspaceTooNew, WorkspaceUnavailable.
    """
    known = versions()
    with engine.connect() as connection:
        if _look(connection, known, place) == known[-1] and is_guarded(connection):
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_PATIENCE)
        lock_for_writing(connection, SCHEMA)
        before = _look(connection, known, place)
        if before == known[-1]:
            refuse_changes(connection)  # if somebody has taken the triggers away
            return
        _migrate(connection)
        _log.info("workspace %s: tables of version %s, before: %s", place, known[-1], before or "none")


def check(engine: Engine, place: str) -> None:
    """Changes nothing. WorkspaceTooNew, WorkspaceUnavailable."""
    with engine.connect() as connection:
        _look(connection, versions(), place)


def version_of(connection: Connection) -> str | None:
    """None: its tables were made before versions were counted, or not yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


def _look(connection: Connection, known: list[str], place: str) -> str | None:
    version = version_of(connection)
    if version is not None and version not in known:
        raise WorkspaceTooNew(
            f"the workspace {place} has tables of version {version}, this Footfall knows {known[-1]} and "
            "older: start the newer Footfall that made them, or restore a backup from before"
        )
    return version


def _migrate(connection: Connection) -> None:
    """In the transaction of the connection."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # first: it tells of its plugins as it is imported
    from alembic import command  # noqa: PLC0415 - half a second, and only where something has changed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    command.upgrade(config, "head")
