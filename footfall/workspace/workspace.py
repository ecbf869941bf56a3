"""Projects and keys, kept in a small relational database that several processes read and write."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, RowMapping, Select, delete, exists, func, insert, select
from sqlalchemy.exc import IntegrityError

from footfall.workspace.audit import COMMAND_LINE, Audit, wall_clock
from footfall.workspace.audit_chain import AuditKey
from footfall.workspace.engines import Engines
from footfall.workspace.envelope_keys import EnvelopeKeys
from footfall.workspace.erasures import Erasures, Holds
from footfall.workspace.identity_keys import DeclaredKeys, keys_of_rows, put_keys, rows_of_keys
from footfall.workspace.keep_rules import KeepRules
from footfall.workspace.leases import Leases
from footfall.workspace.plans import Plans
from footfall.workspace.privacy import PrivacyRules
from footfall.workspace.project_keys import KeyTerms, ListedKey, ManyKeys
from footfall.workspace.projects import (
    DEFAULT_PROJECT,
    IdentityRules,
    Project,
    check_keep_days,
    check_project,
)
from footfall.workspace.remote_config import RemoteConfigs
from footfall.workspace.schema import version_of, versions
from footfall.workspace.tables import keeping, key_terms, keys, nobody_ids, projects, virtual_events
from footfall.workspace.transfer import Transferred, export, import_
from footfall.workspace.writing import writing

KeyKind = Literal["write", "secret"]

_PREFIXES: dict[KeyKind, str] = {"write": "ff_wk_", "secret": "ff_sk_"}


class ProjectExists(ValueError):  # noqa: N818 - reads as what it is
    """A project of that name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"project {name!r} exists already")
        self.name = name


class VirtualEventRefused(ValueError):  # noqa: N818 - reads as what it is
    """A virtual event that cannot be kept: its name is taken, or there are too many."""


@dataclass(frozen=True, slots=True)
class SavedVirtualEvent:
    """A virtual event as it is kept: `definition` is JSON text, `created_at` in epoch milliseconds."""

    name: str
    definition: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key opens: sending (`write`) or everything (`secret`), in one project or (None) in all."""

    kind: KeyKind
    project: str | None
    # Of the key: the first digits of its SHA-256.
    fingerprint: str = field(default="", compare=False, repr=False)
    min_cell: int | None = field(default=None, repr=False)  # cells of fewer persons are hidden from it

    @property
    def actor(self) -> str:
        """Who the audit log says it was."""
        return f"{self.kind} key {self.fingerprint}" if self.fingerprint else COMMAND_LINE

    def opens(self, project: str) -> bool:
        return self.project is None or self.project == project


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """A new project's keys: the only time that they can be seen."""

    name: str
    write_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The installation's first keys. None: generated at an earlier start, and only its hash is known."""

    write_key: str | None
    secret_key: str | None
    generated: bool


@dataclass(frozen=True, slots=True)
class About:
    """A workspace's database. `version` None: of before versions were counted, or without tables."""

    place: str  # without user and password
    product: str  # "PostgreSQL 15.18"
    version: str | None
    newest: str  # what this code knows


class Workspace:
    """Safe to use from several threads."""

    def __init__(
        self,
        engines: Engines,
        installation_key: Callable[[], bytes] | None = None,
        anchor: Path | None = None,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """The tables exist; see opening.open_workspace. `anchor` None: nothing can be recorded."""
        self._engine = engine = engines.engine
        self.turns = engines.turns
        """Who may work on what several processors share."""
        self.leases = Leases(engine)
        """What must run once in the installation."""
        self.declared_keys = DeclaredKeys(engine)
        """Identity keys, of projects that declare some."""
        self.plans = Plans(engine)
        """Tracking plans."""
        self.privacy = PrivacyRules(engine)
        self.envelope_keys = EnvelopeKeys(engine)
        """What encrypted envelopes are sealed to."""
        self.remote_config = RemoteConfigs(engine)
        self.erasures = Erasures(engine)
        self.holds = Holds(engine)
        self.keep_rules = KeepRules(engine)
        self._place, self._product = engines.name, engines.product
        self._installation_key = installation_key
        self._anchor = anchor
        self._clock = clock
        self.keys = ManyKeys(engine, clock, _hash)
        """Keys of projects: to list and to revoke."""

    @cached_property
    def audit(self) -> Audit:
        """What was done, and by whom. LookupError if the workspace was opened without an installation key."""
        if self._installation_key is None or self._anchor is None:
            raise LookupError("the audit log needs the installation's key and home: see open_workspace")
        return Audit(self._engine, AuditKey(self._installation_key()), self._anchor, self._clock)

    def about(self) -> About:
        """Which database it is, and of which version its tables are."""
        with self._engine.connect() as connection:
            return About(self._place, self._product, version_of(connection), versions()[-1])

    def export(self, file: Path) -> Transferred:
        """Everything of one moment, to a file that does not exist yet. CannotTransfer."""
        return export(self._engine, self.audit, file)

    def import_(self, file: Path) -> Transferred:
        """What is in a file; nothing may be here yet. CannotTransfer."""
        return import_(self._engine, self.audit, file)

    def bootstrap(self, write_key: str | None, secret_key: str | None) -> Bootstrapped:
        """Creates the project `default` and makes the given keys work; generates those that there never were.

        The write key opens `default`, the secret key every project. A given key replaces the one before it.
        """
        with writing(self._engine) as connection:
            if not _has(connection, DEFAULT_PROJECT):
                _insert_project(connection, Project(DEFAULT_PROJECT))
            write, write_is_new = _put_bootstrap_key(connection, "write", write_key, DEFAULT_PROJECT)
            secret, secret_is_new = _put_bootstrap_key(connection, "secret", secret_key, None)
        return Bootstrapped(write, secret, generated=write_is_new or secret_is_new)

    def create_project(self, project: Project) -> ProjectKeys:
        """InvalidProject for a field that cannot be, ProjectExists for a name that is taken."""
        check_project(project)
        made = ProjectKeys(project.name, _generate("write"), _generate("secret"))
        try:
            with writing(self._engine) as connection:
                _insert_project(connection, project)
                _insert_key(connection, made.write_key, "write", project.name)
                _insert_key(connection, made.secret_key, "secret", project.name)
        except IntegrityError as error:
            raise ProjectExists(project.name) from error
        return made

    def keep(self, name: str, days: int | None) -> None:
        """From now on the project keeps its events for so many days; None: for ever. InvalidProject."""
        check_keep_days(days)
        with writing(self._engine) as connection:
            _put_keeping(connection, name, days)

    def project(self, name: str) -> Project | None:
        with self._engine.connect() as connection:
            row = connection.execute(_projects().where(projects.c.name == name)).mappings().first()
            told = connection.execute(_told_ids().where(nobody_ids.c.project == name)).all()
            declared = rows_of_keys(connection, name)
        return _project(row, told, declared) if row is not None else None

    def projects(self) -> list[Project]:
        """All projects, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(_projects().order_by(projects.c.name)).mappings().all()
            told = connection.execute(_told_ids()).all()
            declared = rows_of_keys(connection)
        return [
            _project(
                row,
                [each for each in told if each.project == row["name"]],
                [each for each in declared if each.project == row["name"]],
            )
            for row in rows
        ]

    def grant(self, key: str) -> Grant | None:
        """What a key opens, None for a key that opens nothing, or nothing any more."""
        found = (
            select(keys.c.kind, keys.c.project, key_terms.c.expires_at, key_terms.c.min_cell)
            .select_from(keys.outerjoin(key_terms, key_terms.c.sha256 == keys.c.sha256))
            .where(keys.c.sha256 == _hash(key))
        )
        with self._engine.connect() as connection:
            row = connection.execute(found).first()
        if row is None or (row.expires_at is not None and row.expires_at <= self._clock()):
            return None
        return Grant(row.kind, row.project, fingerprint(key), row.min_cell)

    def create_key(self, project: str, kind: KeyKind, terms: KeyTerms) -> tuple[str, ListedKey]:
        """A further key of a project, this once, and how it is listed. TooManyKeys."""
        key = _generate(kind)
        return key, self.keys.add(project, key, kind, terms)

    def save_virtual_event(self, project: str, saved: SavedVirtualEvent, *, most: int) -> None:
        """VirtualEventRefused if the project has one of that name, or `most` already."""
        of_project = virtual_events.c.project == project
        values = {
            "project": project,
            "name": saved.name,
            "definition": saved.definition,
            "created_at": saved.created_at,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(virtual_events).values(values))
                if (connection.scalar(select(func.count()).where(of_project)) or 0) > most:
                    raise VirtualEventRefused(
                        f"a project has at most {most} virtual events: delete one first"
                    )
        except IntegrityError as error:
            raise VirtualEventRefused(f"there is a virtual event {saved.name!r} already") from error

    def virtual_events(self, project: str) -> list[SavedVirtualEvent]:
        """The project's virtual events, by name."""
        found = (
            select(virtual_events).where(virtual_events.c.project == project).order_by(virtual_events.c.name)
        )
        with self._engine.connect() as connection:
            return [
                SavedVirtualEvent(row["name"], row["definition"], row["created_at"])
                for row in connection.execute(found).mappings()
            ]

    def delete_virtual_event(self, project: str, name: str) -> bool:
        """Whether there was one."""
        mine = (virtual_events.c.project == project) & (virtual_events.c.name == name)
        with writing(self._engine) as connection:
            return connection.execute(delete(virtual_events).where(mine)).rowcount > 0

    def close(self) -> None:
        self.turns.close()
        self._engine.dispose()


def _generate(kind: KeyKind) -> str:
    return _PREFIXES[kind] + secrets.token_hex(20)


def _hash(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def fingerprint(key: str) -> str:
    """What names a key where the key itself must not be: 8 hex digits."""
    return _hash(key)[:8]


def _put_bootstrap_key(
    connection: Connection, kind: KeyKind, given: str | None, project: str | None
) -> tuple[str | None, bool]:
    """The key as far as it is known, and whether it was generated now."""
    mine = keys.c.bootstrap & (keys.c.kind == kind)
    if given is None and connection.scalar(select(exists().where(mine))):
        return None, False
    key = given or _generate(kind)
    connection.execute(delete(keys).where(mine | (keys.c.sha256 == _hash(key))))
    _insert_key(connection, key, kind, project, bootstrap=True)
    return key, given is None


def _insert_key(
    connection: Connection, key: str, kind: KeyKind, project: str | None, *, bootstrap: bool = False
) -> None:
    values = {"sha256": _hash(key), "kind": kind, "project": project, "bootstrap": bootstrap}
    connection.execute(insert(keys).values(values))


def _has(connection: Connection, project: str) -> bool:
    return bool(connection.scalar(select(exists().where(projects.c.name == project))))


def _insert_project(connection: Connection, project: Project) -> None:
    values: dict[str, Any] = {
        "name": project.name,
        "timezone": project.timezone,
        "week_start": project.week_start,
        "keyless": project.keyless,
        "identity_strategy": project.identity.strategy,
        "identity_bindings": project.identity.bindings,
        "shared_device_limit": project.identity.shared_device_limit,
    }
    connection.execute(insert(projects).values(values))
    rules = project.identity
    told = [*((each, True) for each in rules.nobody_ids), *((each, False) for each in rules.somebody_ids)]
    if told:
        rows = [
            {"project": project.name, "id": each, "place": place, "identifies_nobody": nobody}
            for place, (each, nobody) in enumerate(told)
        ]
        connection.execute(insert(nobody_ids), rows)
    put_keys(connection, project.name, rules.keys)
    _put_keeping(connection, project.name, project.keep_days)


def _put_keeping(connection: Connection, project: str, days: int | None) -> None:
    connection.execute(delete(keeping).where(keeping.c.project == project))
    if days is not None:
        connection.execute(insert(keeping).values({"project": project, "keep_days": days}))


def _projects() -> Select[Any]:
    """All that is known of each project."""
    joined = projects.outerjoin(keeping, keeping.c.project == projects.c.name)
    return select(projects, keeping.c.keep_days).select_from(joined)


def _told_ids() -> Select[Any]:
    return select(nobody_ids).order_by(nobody_ids.c.place)


def _project(row: RowMapping, told: Sequence[Row[Any]], declared: Sequence[Row[Any]]) -> Project:
    rules = IdentityRules(
        row["identity_strategy"],
        row["identity_bindings"],
        row["shared_device_limit"],
        tuple(each.id for each in told if each.identifies_nobody),
        tuple(each.id for each in told if not each.identifies_nobody),
        keys_of_rows(declared),
    )
    return Project(row["name"], row["timezone"], row["week_start"], row["keyless"], rules, row["keep_days"])
