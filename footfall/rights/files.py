"""Files of a home beside log and store that may name a person."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from footfall.sealing import CannotUnseal, Sealer

_OLD_SECONDS: Final = 600.0
_OLD_SNAPSHOT_SECONDS: Final = 86_400.0
_SEALED_AS: Final = "import"  # as footfall/importing/journal.py seals rows


def clean_files(home: Path, project: str, ids: Sequence[str], sealer: Sealer) -> None:
    """Takes rejected rows that name one of the ids out of the journals of imports into the project, and
    removes temporary files and snapshots that nobody works with any more. `sealer` opens the rows. OSError,
    apsw.Error.
    """
    for journal in sorted((home / "imports").glob("*.db")):
        _clean_journal(journal, project, ids, sealer)
    for file in (home / "scratch").glob("*"):
        if _age(file) > _OLD_SECONDS:
            _remove(file)
    for place in (home / "snapshot", home / "store" / "shadow"):
        if place.exists() and _age(place) > _OLD_SNAPSHOT_SECONDS:
            _remove(place)


def _clean_journal(journal: Path, project: str, ids: Sequence[str], sealer: Sealer) -> None:
    named = re.compile("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in ids) or r"(?!)")
    connection = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(10_000)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rejected'").fetchone() is None:
            return
        if (project,) not in list(connection.execute("SELECT project FROM position")):
            return
        lines = [
            line
            for line, message, raw in connection.execute("SELECT line, message, raw FROM rejected")
            if named.search(message) or named.search(_opened(sealer, raw))
        ]
        connection.executemany("DELETE FROM rejected WHERE line = ?", [(line,) for line in lines])
        if lines:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("VACUUM")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()


def _opened(sealer: Sealer, raw: bytes) -> str:
    """Rows of an import that was begun before they were sealed are as they are."""
    with suppress(CannotUnseal):
        raw = sealer.unseal(raw, _SEALED_AS)
    return bytes(raw).decode(errors="replace")


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
