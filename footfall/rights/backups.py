"""Which backups of a home there are, until when, and the tombstones that lie beside them.

A home remembers its backups by a small file each (`backups/`). When somebody is erased, the tombstone (keyed
hashes, no id) is put into every backup that is still where it was made; a restore erases them before anything
is answered. Backups that were taken elsewhere are restored with `--erasures` and the home's own list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from footfall.workspace.erasures import Erasure

_REGISTER: Final = "backups"
_TOMBSTONES: Final = "erasures"
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Backup:
    """Times are epoch ms; `expires_at` None: never."""

    path: str
    taken_at: int
    expires_at: int | None

    @property
    def is_there(self) -> bool:
        return (Path(self.path) / "manifest.json").is_file()

    def as_json(self) -> dict[str, Any]:
        """`reached`: whether it lies where it was made, so that tombstones could be put beside it."""
        return asdict(self) | {"reached": self.is_there}


class BackupRegister:
    """The backups of a home."""

    def __init__(self, home: Path) -> None:
        self._place = home / _REGISTER

    def add(self, backup: Backup, finished: Iterable[Erasure]) -> None:
        """Remembers it, and puts the tombstones beside it of whoever was erased since it was begun."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        name = sha256(backup.path.encode()).hexdigest()[:16]
        _write(self._place / f"{name}.json", asdict(backup))
        for erasure in finished:
            if erasure.erased_at >= backup.taken_at:
                _put(Path(backup.path), erasure)

    def all(self, now: int) -> list[Backup]:
        """The oldest first, without those that have expired (epoch ms) and are gone."""
        found = []
        for file in sorted(self._place.glob("*.json")):
            backup = Backup(**json.loads(file.read_text()))
            if not backup.is_there and backup.expires_at is not None and backup.expires_at <= now:
                file.unlink(missing_ok=True)
                continue
            found.append(backup)
        return sorted(found, key=lambda each: each.taken_at)

    def note_tombstone(self, erasure: Erasure, now: int) -> None:
        """Into every backup that holds the person and can be reached; may be repeated. OSError."""
        for backup in self.all(now):
            if backup.taken_at <= erasure.erased_at and backup.is_there:
                _put(Path(backup.path), erasure)


def tombstones_beside(backup: Path) -> Iterator[dict[str, Any]]:
    """Those that were put into a backup."""
    for file in sorted((backup / _TOMBSTONES).glob("*.json")):
        yield json.loads(file.read_text())


def tombstone_of(erasure: Erasure) -> dict[str, Any]:
    """What is told outside of a home: no id."""
    return {
        "id": erasure.id,
        "project": erasure.project,
        "keys": [f"{key:016x}" for key in erasure.keys],
        "erased_at": erasure.erased_at,
        "refuse_all": erasure.refuse_all,
    }


def asked_again(tombstone: dict[str, Any]) -> Erasure:
    """The job that a restored home does first. ValueError, KeyError, TypeError for what is no tombstone."""
    return Erasure(
        id=str(tombstone["id"]),
        project=str(tombstone["project"]),
        state="asked",
        reason="erased after this backup was taken",
        actor="footfall",
        asked_at=int(tombstone["erased_at"]),
        refuse_all=bool(tombstone["refuse_all"]),
        keys=tuple(int(key, 16) for key in tombstone["keys"]),
        erased_at=int(tombstone["erased_at"]),
    )


def instant(ms: int) -> str:
    """An epoch time as ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _put(backup: Path, erasure: Erasure) -> None:
    place = backup / _TOMBSTONES
    place.mkdir(mode=0o700, exist_ok=True)
    _write(place / f"{erasure.id}.json", tombstone_of(erasure))


def _write(file: Path, content: dict[str, Any]) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.chmod(0o600)
    draft.replace(file)
