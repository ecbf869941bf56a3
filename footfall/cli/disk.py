"""Room on the disk: how much the home takes and may take, and when the collector stops taking events.

It stops while the disk still has a reserve, so that what was accepted can be processed and merged: an engine
whose disk is full cannot even make room. The engine measures the home every few seconds and leaves the figure
in a file for the collectors, since only walking through all files tells it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson

from footfall.settings import Settings

RESERVE_BYTES: Final = 1 << 30
_RESERVED_SHARE: Final = 20
_LOOK_SECONDS: Final = 1.0
_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes; `taken` by the home, or None while nobody has measured it."""

    free: int
    total: int
    taken: int | None

    @property
    def reserve(self) -> int:
        """What must stay free: 1 GiB, of small disks a twentieth."""
        return min(RESERVE_BYTES, self.total // _RESERVED_SHARE)


def refusal(room: Room, budget: int) -> str | None:
    """Why no more events can be taken; None while they can. `budget`: bytes, 0 is the whole disk."""
    if room.free < room.reserve:
        return (
            f"the disk has {_size(room.free)} left, kept for processing what was accepted: free some space, "
            "or keep events for fewer days"
        )
    if budget and room.taken is not None and room.taken > budget:
        return (
            f"the data take {_size(room.taken)}, and FOOTFALL_DISK_BUDGET_BYTES allows {_size(budget)}: "
            "raise it, or keep events for fewer days"
        )
    return None


def look(settings: Settings) -> Room:
    """At the fuller of the disks of home and log, and at the engine's last measurement. OSError."""
    places = (settings.home, _log_directory(settings))
    disks = [shutil.disk_usage(_nearest_existing(place)) for place in places]
    disk = min(disks, key=lambda each: each.free)
    return Room(disk.free, disk.total, _read(_figure(settings)))


class DiskGate:
    """For each request: asks the disk once a second at most."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked_at = float("-inf")
        self._refusal: str | None = None

    def __call__(self) -> str | None:
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            try:
                self._refusal = refusal(look(self._settings), self._settings.disk_budget_bytes)
            except OSError as error:
                self._refusal = f"the disk cannot be looked at: {error}"
        return self._refusal


def measure(settings: Settings) -> int:
    """How many bytes the home takes on the disk; leaves the figure for the collectors."""
    taken = sum(_taken(settings.home))
    figure = _figure(settings)
    figure.parent.mkdir(parents=True, exist_ok=True)
    draft = figure.with_suffix(".draft")
    draft.write_bytes(orjson.dumps({"taken": taken}))
    draft.replace(figure)
    return taken


def _taken(directory: Path) -> Iterator[int]:
    """Of all files; those that vanish meanwhile take nothing."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield from _taken(Path(entry.path))
                    else:
                        yield entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    continue
    except FileNotFoundError:
        return


def _figure(settings: Settings) -> Path:
    return settings.home / "metrics" / "disk.json"


def _read(figure: Path) -> int | None:
    try:
        return int(orjson.loads(figure.read_bytes())["taken"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not measured yet


def _log_directory(settings: Settings) -> Path:
    url = urlsplit(settings.log_url)
    return Path(url.path.removeprefix("/") or "/") if url.scheme == "sqlite" else settings.home


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB // 10 else f"{count >> 20} MiB"
