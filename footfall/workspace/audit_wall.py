"""Triggers that keep the rows of the audit log as they are: a first wall, behind which the chain is."""

from __future__ import annotations

from sqlalchemy import Connection, Delete

_SQLITE = [
    f"CREATE TRIGGER IF NOT EXISTS audit_is_never_{done} BEFORE {verb} ON audit\n"
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for done, verb in (("changed", "UPDATE"), ("deleted", "DELETE"))
]
_POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
    """
    CREATE OR REPLACE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()""",
]


def is_guarded(connection: Connection) -> bool:
    """Whether all triggers are there."""
    if connection.dialect.name == "postgresql":
        found = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgenabled <> 'D'"
        return bool(connection.exec_driver_sql(f"{found} AND NOT tgisinternal").scalar())
    found = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
    return connection.exec_driver_sql(found).scalar() == len(_SQLITE)


def refuse_changes(connection: Connection) -> None:
    """Makes the triggers where they are missing."""
    for statement in _POSTGRESQL if connection.dialect.name == "postgresql" else _SQLITE:
        connection.exec_driver_sql(statement)


def forget(connection: Connection, rows: Delete) -> None:
    """Deletes what an archive holds. Nobody else writes: the caller has the write lock."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP TRIGGER audit_is_append_only ON audit")
    else:
        connection.exec_driver_sql("DROP TRIGGER audit_is_never_deleted")
    connection.execute(rows)
    refuse_changes(connection)
