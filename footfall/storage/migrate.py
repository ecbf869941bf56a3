"""Brings a store's tables to the newest schema: the files of migrations/, each once, in order of their names.

A migration may be cut off by a kill between two statements: its statements are CREATE … IF NOT EXISTS and the
like, so running it again is harmless, and it is written down in `schema_migrations` only when all are done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.fitness import refuse_forgetful, refuse_unfit
from footfall.storage.store import Query, Store, StoreError
from footfall.storage.topology import Topology

_TABLES = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) ")

_DICTIONARY = "overrides_map"
_AGAIN = "CREATE OR REPLACE DICTIONARY"

_SCHEMA_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations {on_cluster}
(name String, checksum String, applied_at DateTime DEFAULT now())
ENGINE = {merge_tree} ORDER BY name SETTINGS fsync_after_insert = 1"""


class MigrationAltered(StoreError):  # noqa: N818
    """A migration that was applied to this store differs from the file of the same name."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/; `checksum` is of its text before anything is filled in."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()


def read_migrations() -> list[Migration]:
    """All migrations that this version of Footfall has, in order."""
    folder = resources.files("footfall.storage") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [Migration(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files]


def pending(store: Store, topology: Topology) -> list[Migration]:
    """Migrations that were not applied yet; MigrationAltered if an applied one is not what it was."""
    for statement in statements(_SCHEMA_MIGRATIONS, topology):
        store.command(statement)
    answer = store.rows(Query("SELECT name, checksum FROM schema_migrations"))
    applied: dict[str, str] = dict(answer.rows)
    todo = []
    for migration in read_migrations():
        checksum = applied.get(migration.name)
        if checksum is None:
            todo.append(migration)
        elif checksum != migration.checksum:
            raise MigrationAltered(
                f"migration {migration.name} was applied to this store with other text than its file has "
                "now: put the file back as it was and write a new migration for the change, "
                "or start with an empty store"
            )
    return todo


def migrate(store: Store, topology: Topology) -> list[str]:
    """Applies what is pending; returns the names of the migrations that were applied.

    StoreUnfit, in words for its operator, for an engine that would lose or double events.
    """
    refuse_unfit(store, topology)
    names = []
    for migration in pending(store, topology):
        for statement in statements(migration.text, topology):
            store.command(statement)
        done = f"VALUES ('{migration.name}', '{migration.checksum}')"
        store.command(f"INSERT INTO schema_migrations (name, checksum) {done}")
        names.append(migration.name)
    refuse_forgetful(store, {name for each in read_migrations() for name in _TABLES.findall(each.text)})
    if topology.account is not None:
        _renew_account(store, topology)
    return names


def _renew_account(store: Store, topology: Topology) -> None:
    """A dictionary holds the password it was made with, which may have changed since."""
    try:
        store.command(f"SYSTEM RELOAD DICTIONARY {_DICTIONARY}")
    except StoreError:
        for migration in read_migrations():
            for statement in statements(migration.text, topology):
                if statement.startswith("CREATE DICTIONARY IF NOT EXISTS"):
                    store.command(statement.replace("CREATE DICTIONARY IF NOT EXISTS", _AGAIN, 1))
        store.command(f"SYSTEM RELOAD DICTIONARY {_DICTIONARY}")


def statements(text: str, topology: Topology) -> list[str]:
    """A migration's statements with everything filled in. One ends with a semicolon at the end of a line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    parts = [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", "\n".join(lines)) if part.strip()]
    columns = _property_columns()
    return [statement for part in parts for statement in topology.migration(part, columns)]


def _property_columns() -> dict[str, str]:
    """What the placeholders for them stand for."""
    columns = PROPERTY_COLUMNS.values()
    return {
        "property_columns": ",\n    ".join(
            f"`{column.column}` {column.sql_type} CODEC(ZSTD(1))" for column in columns
        ),
        "projected_columns": ", ".join(f"`{column.column}`" for column in columns if column.projected),
    }
