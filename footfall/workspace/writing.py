"""Transactions that write: one at a time on both engines, so that what one reads stays so until its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, func, select

_FOOTFALL = 0x46_4F_4F_54
"""The space of our advisory locks of two numbers; those of one number are turns."""

WRITER = 1
SCHEMA = 2


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction beside which nobody else writes; committed at the end.

    SQLite has one writer anyway; with PostgreSQL a lock makes it so. People and audit rows write, some times
    a second: what is simple and the same everywhere is worth more here than writing at the same time.
    """
    with engine.begin() as connection:
        lock_for_writing(connection)
        yield connection


def lock_for_writing(connection: Connection, what: int = WRITER) -> None:
    """Until the end of its transaction. WorkspaceUnavailable if others write for too long."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_FOOTFALL, what)))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
