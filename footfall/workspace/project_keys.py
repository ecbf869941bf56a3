"""Further keys of a project: named, with an end and a minimum cell size if wanted; listed and revoked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, delete, func, insert, select

from footfall.workspace.tables import key_terms, keys
from footfall.workspace.words import begins_with
from footfall.workspace.writing import writing

MAX_KEYS = 1_000
"""Of a project."""

KeyKind = Literal["write", "secret"]


class TooManyKeys(ValueError):  # noqa: N818 - reads as what it is
    """The project has MAX_KEYS already."""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key is made for. Times are epoch milliseconds; None: no end, no minimum."""

    name: str = ""
    expires_at: int | None = None
    min_cell: int | None = None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key without itself. `created_at` is None for the keys that the project was made with."""

    fingerprint: str
    kind: KeyKind
    terms: KeyTerms
    created_at: int | None


class ManyKeys:
    """The keys of projects. Safe to use from several threads."""

    def __init__(self, engine: Engine, clock: Callable[[], int], hash_of: Callable[[str], str]) -> None:
        self._engine = engine
        self._clock = clock
        self._hash_of = hash_of

    def add(self, project: str, key: str, kind: KeyKind, terms: KeyTerms) -> ListedKey:
        """Makes a key work. TooManyKeys."""
        now, sha256 = self._clock(), self._hash_of(key)
        of_project = select(func.count()).select_from(keys).where(keys.c.project == project)
        with writing(self._engine) as connection:
            connection.execute(
                insert(keys).values(sha256=sha256, kind=kind, project=project, bootstrap=False)
            )
            connection.execute(
                insert(key_terms).values(
                    sha256=sha256,
                    name=terms.name,
                    created_at=now,
                    expires_at=terms.expires_at,
                    min_cell=terms.min_cell,
                )
            )
            if (connection.scalar(of_project) or 0) > MAX_KEYS:
                raise TooManyKeys(f"a project has at most {MAX_KEYS} keys: revoke one first")
        return ListedKey(sha256[:8], kind, terms, now)

    def of_project(self, project: str) -> list[ListedKey]:
        """All keys of the project alone, oldest first."""
        joined = keys.outerjoin(key_terms, key_terms.c.sha256 == keys.c.sha256)
        found = (
            select(keys.c.sha256, keys.c.kind, key_terms.c.name, key_terms.c.created_at)
            .add_columns(key_terms.c.expires_at, key_terms.c.min_cell)
            .select_from(joined)
            .where(keys.c.project == project)
            .order_by(func.coalesce(key_terms.c.created_at, 0), keys.c.sha256)
        )
        with self._engine.connect() as connection:
            return [
                ListedKey(
                    row.sha256[:8],
                    row.kind,
                    KeyTerms(row.name or "", row.expires_at, row.min_cell),
                    row.created_at,
                )
                for row in connection.execute(found)
            ]

    def revoke(self, project: str, fingerprint: str) -> bool:
        """Whether there was such a key of the project. It opens nothing from now on."""
        mine = select(keys.c.sha256).where(
            (keys.c.project == project) & begins_with(keys.c.sha256, fingerprint.lower())
        )
        with writing(self._engine) as connection:
            found = list(connection.scalars(mine))
            connection.execute(delete(key_terms).where(key_terms.c.sha256.in_(found)))
            connection.execute(delete(keys).where(keys.c.sha256.in_(found)))
        return bool(found)
