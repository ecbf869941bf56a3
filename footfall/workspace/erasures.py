"""Erasures of persons: what was asked, and how far each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Engine, RowMapping, delete, insert, select, update

from footfall.workspace.tables import erasures, holds
from footfall.workspace.writing import writing

State = Literal["asked", "cutting", "removing", "finished"]
OPEN: Final = ("cutting", "removing", "asked")


class UnknownPerson(LookupError):  # noqa: N818 - reads as what it is
    """Nobody has this id."""


class ErasureBegun(ValueError):  # noqa: N818 - reads as what it is
    """A hold that comes too late."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person's. Times are epoch milliseconds; ids rest sealed, and only until it has finished."""

    id: str
    project: str
    state: State
    reason: str
    actor: str
    asked_at: int
    refuse_all: bool = False
    sealed: bytes = b""  # the id that was asked about; from the cut on all ids
    keys: tuple[int, ...] = ()  # of the person's ids, from the cut on
    erased_at: int = 0
    ends: Mapping[int, int] = field(default_factory=dict)  # log partition -> next offset at the cut
    awaited: Mapping[int, int] = field(default_factory=dict)  # log partition -> its end at the cut
    waits_for: str = ""
    removed: Mapping[str, int] = field(default_factory=dict)  # rows by table
    backups: Sequence[Mapping[str, Any]] = ()  # that still hold the person
    finished_at: int = 0

    @property
    def removal(self) -> str:
        """What its lines in the store's table `removals` are called."""
        return f"erasure-{self.id}"

    def as_json(self) -> dict[str, Any]:
        """Without ids: keys are keyed hashes."""
        told = asdict(self)
        for name in ("sealed", "ends", "awaited"):
            del told[name]
        return told | {"keys": [f"{key:016x}" for key in self.keys]}


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing of a project (key 0), or of the person of an id, is dropped or erased while it stands."""

    project: str
    id_key: int
    reason: str
    actor: str
    since: int  # epoch ms

    def as_json(self) -> dict[str, Any]:
        whole = self.id_key == 0
        return asdict(self) | {"id_key": None if whole else f"{self.id_key:016x}"}


class Erasures:
    """The jobs. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, erasure: Erasure) -> None:
        """Adds it, or puts it in the place of what is known under its id."""
        values = {"state": erasure.state, "project": erasure.project, "asked_at": erasure.asked_at}
        values["document"] = _write(erasure).decode()
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(erasures).where(erasures.c.id == erasure.id).values(values)
            ).rowcount
            if not changed:
                connection.execute(insert(erasures).values({"id": erasure.id, **values}))

    def find(self, id_: str) -> Erasure | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(erasures).where(erasures.c.id == id_)).mappings().first()
        return None if row is None else _read(row["document"])

    def of_project(self, project: str, most: int = 1000) -> list[Erasure]:
        """The newest first."""
        mine = select(erasures).where(erasures.c.project == project)
        with self._engine.connect() as connection:
            rows = connection.execute(mine.order_by(erasures.c.asked_at.desc()).limit(most)).mappings().all()
        return [_read(row["document"]) for row in rows]

    def open(self) -> list[Erasure]:
        """Those that have not finished: begun ones first, then in the order in which they were asked."""
        mine = select(erasures).where(erasures.c.state.in_(OPEN)).order_by(erasures.c.asked_at)
        with self._engine.connect() as connection:
            found = [_read(row["document"]) for row in connection.execute(mine).mappings()]
        return sorted(found, key=lambda each: OPEN.index(each.state))

    def cut(self) -> list[Erasure]:
        """All that were begun, finished ones too, of all projects: tombstones for backups."""
        mine = select(erasures).where(erasures.c.state != "asked").order_by(erasures.c.asked_at)
        with self._engine.connect() as connection:
            return [_read(row["document"]) for row in connection.execute(mine).mappings()]


class Holds:
    """Legal holds. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, hold: Hold) -> None:
        """Places one, or gives it another reason."""
        mine = (holds.c.project == hold.project) & (holds.c.id_key == str(hold.id_key))
        with writing(self._engine) as connection:
            connection.execute(delete(holds).where(mine))
            connection.execute(insert(holds).values(asdict(hold) | {"id_key": str(hold.id_key)}))

    def release(self, project: str, id_key: int) -> bool:
        """Whether there was one."""
        mine = (holds.c.project == project) & (holds.c.id_key == str(id_key))
        with writing(self._engine) as connection:
            return connection.execute(delete(holds).where(mine)).rowcount > 0

    def of_project(self, project: str) -> list[Hold]:
        mine = select(holds).where(holds.c.project == project).order_by(holds.c.since)
        with self._engine.connect() as connection:
            return [_hold(row) for row in connection.execute(mine).mappings()]

    def all(self) -> list[Hold]:
        with self._engine.connect() as connection:
            return [_hold(row) for row in connection.execute(select(holds)).mappings()]


def _hold(row: RowMapping) -> Hold:
    return Hold(row["project"], int(row["id_key"]), row["reason"], row["actor"], row["since"])


_write = msgspec.json.Encoder().encode


def _read(document: str) -> Erasure:
    return msgspec.json.decode(document.encode(), type=Erasure, strict=False)
