"""The keys that a project's encrypted envelopes are sealed to: private parts rest sealed.

Of RSA and of SM2 one key each is *current*: what remote configuration publishes and devices seal to from then
on. Older ones stay, since devices hold rows sealed to them for months, until they are retired, which destroys
the private part.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from footfall.envelopes.keys import NO_KEYS, Algorithm, HeldKey, KeyPair, KeyRing, hold, key_name
from footfall.envelopes.vault import Vault, VaultClosed
from footfall.workspace.tables import envelope_keys
from footfall.workspace.writing import writing

MOST_KEYS: Final = 100
"""Of a project, retired ones not counted."""

_VERSION: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_PKV: Final = (1 << 31) - 1
_log = logging.getLogger(__name__)


class EnvelopeKeyRefused(ValueError):  # noqa: N818 - reads as what it is
    """A change that cannot be: `field` is what was wrong about it, "" for the key's state."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class EnvelopeKey:
    """What may be shown of a key. Times are epoch milliseconds."""

    algorithm: Algorithm
    version: str  # what envelopes name it by: `pkv` (RSA, SM2), `key_id` (AES)
    public_key: str  # as SDKs take it: see footfall.envelopes.keys.KeyPair; "" for AES
    current: bool  # what remote configuration publishes
    created_at: int
    published_at: int | None
    retired_at: int | None  # its private part is gone since

    @property
    def name(self) -> str:
        """`sm2-3`."""
        return key_name(self.algorithm, self.version)


class SealedKey(NamedTuple):
    """A private key as it rests."""

    algorithm: Algorithm
    version: str
    sealed: bytes
    created_at: int

    def open(self, project: str, vault: Vault) -> HeldKey:
        """Raises VaultClosed."""
        name = key_name(self.algorithm, self.version)
        return hold(self.algorithm, self.version, vault.unseal(self.sealed, _place(project, name)))


class EnvelopeKeys:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self, project: str) -> list[EnvelopeKey]:
        """The keys that remote configuration publishes: at most one of RSA and one of SM2."""
        return [key for key in self.all(project) if key.current]

    def all(self, project: str) -> list[EnvelopeKey]:
        """Every key there ever was, oldest first."""
        table = envelope_keys
        found = select(table).where(table.c.project == project).order_by(table.c.created_at, table.c.name)
        with self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(found)]

    def find(self, project: str, name: str) -> EnvelopeKey | None:
        """By its name (`sm2-3`)."""
        return next((key for key in self.all(project) if key.name == name), None)

    def sealed(self, project: str) -> list[SealedKey]:
        """The private keys that are not retired."""
        table = envelope_keys
        columns = (table.c.algorithm, table.c.version, table.c.sealed, table.c.created_at)
        found = select(*columns).where(table.c.project == project, table.c.sealed.is_not(None))
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(table.c.created_at)).all()
        return [SealedKey(Algorithm(row.algorithm), row.version, row.sealed, row.created_at) for row in rows]

    def projects(self) -> dict[str, int]:
        """Each project that has private keys, and when its newest came (epoch ms)."""
        table = envelope_keys
        newest = select(table.c.project, func.max(table.c.created_at)).where(table.c.sealed.is_not(None))
        with self._engine.connect() as connection:
            rows = connection.execute(newest.group_by(table.c.project)).all()
        return {row[0]: row[1] for row in rows}

    def add(self, project: str, pair: KeyPair, version: str | None, vault: Vault, now: int) -> EnvelopeKey:
        """Keeps a key; `version` None: the next free number. It is not current yet. EnvelopeKeyRefused.

        A retired key gives way to one of the same number: it may have been the wrong one for what apps say.
        """
        try:
            with writing(self._engine) as connection:
                version = _free_version(connection, project, pair.algorithm, version)
                name = key_name(pair.algorithm, version)
                values = {
                    "project": project,
                    "name": name,
                    "algorithm": pair.algorithm.value,
                    "version": version,
                    "public_key": pair.public,
                    "sealed": vault.seal(pair.private, _place(project, name)),
                    "current": False,
                    "created_at": now,
                }
                table = envelope_keys
                mine = (table.c.project == project) & (table.c.name == name) & table.c.sealed.is_(None)
                connection.execute(delete(table).where(mine))
                connection.execute(insert(table).values(values))
        except IntegrityError as error:
            raise EnvelopeKeyRefused(
                "version", f"the project has a key {name!r} already: retire that first"
            ) from error
        return self._found(project, name)

    def publish(self, project: str, name: str, now: int) -> EnvelopeKey:
        """Makes it current, in the place of the one before it of its algorithm. EnvelopeKeyRefused."""
        key = self._found(project, name)
        if key.algorithm is Algorithm.AES:
            raise EnvelopeKeyRefused("", f"{name} is a secret of both sides: it can never be published")
        if key.retired_at is not None:
            raise EnvelopeKeyRefused("", f"{name} is retired: what is sealed to it cannot be opened any more")
        table = envelope_keys
        of_kind = (table.c.project == project) & (table.c.algorithm == key.algorithm.value)
        with writing(self._engine) as connection:
            connection.execute(update(table).where(of_kind).values(current=False))
            alive = of_kind & (table.c.name == name) & table.c.sealed.is_not(None)
            connection.execute(update(table).where(alive).values(current=True, published_at=now))
        return self._found(project, name)

    def retire(self, project: str, name: str, now: int) -> EnvelopeKey:
        """Destroys the private part. EnvelopeKeyRefused for the current one: publish another before."""
        key = self._found(project, name)
        if key.current:
            raise EnvelopeKeyRefused(
                "", f"{name} is current, devices seal to it: publish another {key.algorithm.value} key first"
            )
        if key.retired_at is None:
            table = envelope_keys
            mine = (table.c.project == project) & (table.c.name == name) & ~table.c.current
            with writing(self._engine) as connection:
                connection.execute(update(table).where(mine).values(sealed=None, retired_at=now))
        return self._found(project, name)

    def _found(self, project: str, name: str) -> EnvelopeKey:
        key = self.find(project, name)
        if key is None:
            raise EnvelopeKeyRefused("name", f"the project has no key {name[:80]!r}")
        return key


class KeyRings:
    """A project's keys, ready for use; read once, as long as they do not change. Safe in several threads."""

    def __init__(self, keys: EnvelopeKeys, vault: Vault) -> None:
        self._keys = keys
        self._vault = vault
        self._known: dict[str, tuple[list[SealedKey], KeyRing]] = {}

    def __call__(self, project: str) -> KeyRing:
        """Reads the workspace. A key that was sealed with another installation key opens nothing."""
        sealed = self._keys.sealed(project)
        if not sealed:
            self._known.pop(project, None)
            return NO_KEYS
        known = self._known.get(project)
        if known is None or known[0] != sealed:
            known = sealed, KeyRing(list(self._open(project, sealed)))
            self._known[project] = known
        return known[1]

    def _open(self, project: str, sealed: Sequence[SealedKey]) -> Iterator[tuple[str, HeldKey]]:
        for each in sealed:
            try:
                yield each.version, each.open(project, self._vault)
            except VaultClosed as error:
                _log.error("project %s: %s", project, error)


def _place(project: str, name: str) -> str:
    return f"envelope_key:{project}:{name}"


def _free_version(connection: Connection, project: str, algorithm: Algorithm, wanted: str | None) -> str:
    """Checks the wanted one, or finds the number after the highest. No retired number is."""
    if wanted is not None:
        _check_version(algorithm, wanted)
    table = envelope_keys
    found = select(table.c.version, table.c.sealed.is_not(None)).where(table.c.project == project)
    rows = connection.execute(found).all()
    if sum(alive for _, alive in rows) >= MOST_KEYS:
        raise EnvelopeKeyRefused("", f"a project has at most {MOST_KEYS} keys: retire one first")
    numbers = [int(version) for version, _ in rows if version.isdigit()]
    return wanted if wanted is not None else str(max(numbers, default=0) + 1)


def _check_version(algorithm: Algorithm, version: str) -> None:
    if algorithm is Algorithm.AES:
        if not _VERSION.fullmatch(version):
            raise EnvelopeKeyRefused("version", "a key_id has 1 to 64 letters, digits, '_', '.' or '-'")
    elif not (version.isascii() and version.isdigit() and str(int(version)) == version):
        raise EnvelopeKeyRefused("version", "a pkv is a whole number, as in 3")
    elif not 0 <= int(version) <= _MOST_PKV:
        raise EnvelopeKeyRefused("version", f"a pkv is at most {_MOST_PKV}")


def _key(row: Row[tuple[object, ...]]) -> EnvelopeKey:
    return EnvelopeKey(
        Algorithm(row.algorithm),
        row.version,
        row.public_key,
        bool(row.current),
        row.created_at,
        row.published_at,
        row.retired_at,
    )
