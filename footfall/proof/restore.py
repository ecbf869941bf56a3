"""Puts a backup into an empty home."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from footfall.proof.archive import BackupUnusable
from footfall.storage.store import Query, Store

_LEFT_BY_COMMANDS = frozenset({"lock", "scratch", "metrics"})
_PATHS = "SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"


class HomeNotEmpty(Exception):  # noqa: N818 - reads as what it is
    """There is data already; nothing was touched."""


def refuse_data(home: Path) -> None:
    """HomeNotEmpty unless the home holds nothing but what commands leave."""
    found = sorted(path.name for path in home.iterdir() if path.name not in _LEFT_BY_COMMANDS)
    if found:
        raise HomeNotEmpty(
            f"{home} is not empty ({', '.join(found[:5])}): "
            "restore into another FOOTFALL_HOME, or move that away"
        )


def restore_files(archive: Path, manifest: dict[str, Any], home: Path) -> None:
    """All but the store: log, workspace, key."""
    for name in manifest["files"]:
        if Path(name).parts[0] == "store":
            continue
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(archive / name, target)
        target.chmod(0o600)


def restore_store(archive: Path, manifest: dict[str, Any], store: Store) -> None:
    """Makes the tables as they were and attaches their parts. BackupUnusable if rows are missing then."""
    for table in manifest["tables"]:
        store.command(table["create"])
    for table in manifest["tables"]:
        if table["kind"] != "copied":
            continue
        name = table["name"]
        parts = archive / "store" / name
        (path,) = store.rows(Query(_PATHS, {"name": name})).rows[0]
        for part in sorted(parts.iterdir()) if parts.exists() else ():
            shutil.copytree(part, Path(path) / "detached" / part.name)
            store.command(f"ALTER TABLE `{name}` ATTACH PART '{part.name}'")
        rows = int(store.rows(Query(f"SELECT count() FROM `{name}`")).rows[0][0])
        if rows != table["rows"]:
            raise BackupUnusable(f"table {name} has {rows} rows, the backup says {table['rows']}")
    for table in manifest["tables"]:
        if table["kind"] == "dictionary":
            store.command(f"SYSTEM RELOAD DICTIONARY `{table['name']}`")
