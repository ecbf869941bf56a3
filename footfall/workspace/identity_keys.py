"""The identity keys that projects declare, kept in the order of their priority."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, insert, select

from footfall.events.identity_keys import IdentityKey, IdentityKeys
from footfall.workspace.projects import IdentityRules
from footfall.workspace.tables import identity_keys, projects


class DeclaredKeys:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        """`engine`'s tables exist; see opening.open_workspace."""
        self._engine = engine

    def of_project(self, project: str) -> IdentityKeys | None:
        """What the project's records may carry in `identities`; None: whatever they like."""
        strategy = select(projects.c.identity_strategy).where(projects.c.name == project)
        with self._engine.connect() as connection:
            found = connection.scalar(strategy)
            if found != "global":
                return None
            rows = connection.execute(_told().where(identity_keys.c.project == project)).all()
        return IdentityRules(found, keys=keys_of_rows(rows)).declared


def put_keys(connection: Connection, project: str, keys: Sequence[IdentityKey]) -> None:
    """Of a new project."""
    if keys:
        rows = [
            {
                "project": project, "place": place, "name": key.name, "takes": key.values,
                "parent": key.parent, "most": key.most, "overflow": key.overflow,
            }
            for place, key in enumerate(keys)
        ]  # fmt: skip
        connection.execute(insert(identity_keys), rows)


def rows_of_keys(connection: Connection, project: str | None = None) -> Sequence[Row[Any]]:
    """Those of one project, or of all."""
    told = _told()
    return connection.execute(
        told if project is None else told.where(identity_keys.c.project == project)
    ).all()


def keys_of_rows(rows: Sequence[Row[Any]]) -> tuple[IdentityKey, ...]:
    """The rows are one project's."""
    return tuple(IdentityKey(row.name, row.takes, row.parent, row.most, row.overflow) for row in rows)


def _told() -> Select[Any]:
    return select(identity_keys).order_by(identity_keys.c.place)
