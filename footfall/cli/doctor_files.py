"""What `footfall doctor` finds in the home's files: whose they are, how old, and whether they are whole."""

from __future__ import annotations

import os
import pwd
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from footfall.cli.finding import Finding
from footfall.settings import Settings

_FUTURE_SECONDS: Final = 60.0
_SHOWN: Final = 3


def look_at_files(settings: Settings) -> list[Finding]:
    """Also while Footfall runs: nothing is written."""
    try:
        owner = _check_owner(settings.home)
        if not is_ours(settings.home):
            return [owner]  # nothing is opened: root would leave files that Footfall cannot write
        return [owner, _check_age(settings.home), _check_databases(settings)]
    except OSError as error:
        remedy = "run this as the user that Footfall runs as: its home is nobody else's to read"
        return [Finding("files", False, f"{error.filename}: {error.strerror}", remedy)]


def is_ours(home: Path) -> bool:
    """Whether the home belongs to the user of this process."""
    return home.stat().st_uid == os.geteuid()


def _check_owner(home: Path) -> Finding:
    """All of the home belongs to whoever the home belongs to, and that is us."""
    owner = home.stat().st_uid
    if owner != os.geteuid():
        remedy = f"run this as {_name(owner)}, as Footfall itself: what another user makes it cannot write"
        return Finding(
            "owner", False, f"{home} belongs to {_name(owner)}, you are {_name(os.geteuid())}", remedy
        )
    strangers = [path for path in _entries(home) if path.lstat().st_uid != owner]
    closed = [path for path in _entries(home) if not os.access(path, os.R_OK | os.W_OK)]
    if strangers or closed:
        what = "of another user" if strangers else "not readable and writable"
        shown = ", ".join(map(str, (strangers or closed)[:_SHOWN]))
        remedy = f"stop Footfall, then: chown -R {_name(owner)} {home} && chmod -R u+rwX {home}"
        return Finding("owner", False, f"{len(strangers or closed)} {what}: {shown}", remedy)
    others = home.stat().st_mode & 0o077
    return Finding(
        "owner", not others, f"all of {home} is {_name(owner)}'s", f"others can enter: chmod 700 {home}"
    )


def _check_age(home: Path) -> Finding:
    """A clock that was set back shows in files that were written in the future."""
    newest = max((path.lstat().st_mtime for path in _entries(home)), default=0.0)
    ahead = newest - time.time()
    seen = f"a file was written {ahead:.0f} s from now" if ahead > 0 else "no file is from the future"
    remedy = (
        "the clock was set back: set it right (NTP); until then events get the time of the newest arrival"
    )
    return Finding("clock and files", ahead < _FUTURE_SECONDS, seen, remedy)


def _check_databases(settings: Settings) -> Finding:
    """The pages of the log's files and of the workspace."""
    files = [path for directory in (_place(settings.log_url),) for path in sorted(directory.glob("*.db"))]
    if settings.workspace_url.startswith("sqlite:"):
        files += [path for path in (_place(settings.workspace_url),) if path.exists()]
    damaged = [f"{path}: {why}" for path in files if (why := _damage(path)) is not None]
    remedy = (
        "stop Footfall, keep a copy of the file, run this again and do what the check of log or workspace "
        "says, or restore the whole home from a backup (docs/operations.md)"
    )
    seen = "; ".join(damaged[:_SHOWN]) if damaged else f"{len(files)} SQLite files are whole"
    return Finding("files", not damaged, seen, remedy)


def _damage(path: Path) -> str | None:
    """What SQLite says of a file's pages, None if they are whole. Reads the whole file, locks nobody out."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            (word,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if word == "ok" else str(word).replace("\n", " ")[:200]


def _entries(home: Path) -> Iterator[Path]:
    """The home's own files and those of its directories; not all parts of the store."""
    for path in home.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink() and path.name != "scratch":
            yield from path.iterdir()


def _place(url: str) -> Path:
    return Path(urlsplit(url).path.removeprefix("/"))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
