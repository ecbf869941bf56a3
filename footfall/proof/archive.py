"""A backup: a directory with everything of a snapshot, and a manifest with the checksum of each file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from footfall import __version__

MANIFEST = "manifest.json"
FORMAT = 1
_PIECE = 1 << 20


class BackupUnusable(Exception):  # noqa: N818 - reads as what it is
    """The text names the file, what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the files is through."""

    done: int
    all: int
    bytes: int


def write_archive(snapshot: Path, about: Mapping[str, Any], key: Path, target: Path) -> Iterator[Progress]:
    """Copies a snapshot (and the installation's key, if that is a file) to `target`, which must not exist.

    Under the name `target` there is never half a backup. BackupUnusable, OSError.
    """
    draft = target.with_name(f"{target.name}.unfinished")
    if target.exists():
        raise BackupUnusable(f"{target} is there already: name another directory")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    sources = {str(file.relative_to(snapshot)): file for file in _files(snapshot)}
    if key.exists():
        sources[key.name] = key
    files: dict[str, dict[str, Any]] = {}
    total = 0
    for number, (name, source) in enumerate(sorted(sources.items()), start=1):
        place = draft / name
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        size, digest = _copy(source, place)
        files[name] = {"bytes": size, "sha256": digest}
        total += size
        yield Progress(number, len(sources), total)
    manifest = {
        "format": FORMAT,
        "footfall": __version__,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "files": files,
    }
    _write(draft / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    draft.rename(target)
    _sync(target.parent)


def read_archive(archive: Path) -> dict[str, Any]:
    """The manifest of a backup whose files are all there and whole. BackupUnusable names one that is not."""
    try:
        manifest: dict[str, Any] = json.loads((archive / MANIFEST).read_text())
        files: dict[str, dict[str, Any]] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupUnusable(
            f"{archive / MANIFEST}: {error}: this is no backup, or not a whole one"
        ) from error
    if manifest.get("format") != FORMAT:
        raise BackupUnusable(f"{archive}: format {manifest.get('format')}, this version reads {FORMAT}")
    for name, told in files.items():
        file = archive / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BackupUnusable(f"{archive / MANIFEST}: {name!r} is no file of a backup")
        if not file.is_file():
            raise BackupUnusable(f"{file} is missing: take another backup")
        if file.stat().st_size != told["bytes"] or digest_of(file) != told["sha256"]:
            raise BackupUnusable(
                f"{file} is damaged: its checksum is not the manifest's; take another backup"
            )
    return manifest


def digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copies, fsynced; size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        while piece := reader.read(_PIECE):
            digest.update(piece)
            writer.write(piece)
            size += len(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return size, digest.hexdigest()


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        writer.write(content)
        writer.flush()
        os.fsync(writer.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
