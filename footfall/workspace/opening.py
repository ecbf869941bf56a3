"""Opens the workspace that a URL names: a SQLite file, or a PostgreSQL database of several machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from footfall.workspace import postgresql, sqlite
from footfall.workspace.audit import wall_clock
from footfall.workspace.engines import named
from footfall.workspace.workspace import Workspace

_OPEN = {"sqlite": sqlite.open_engines, "postgresql": postgresql.open_engines}
_EXAMPLES = "sqlite:///path/to/workspace.db or postgresql://user:password@host/database"
_MALFORMED = (
    f"workspace URL: not of the form {_EXAMPLES}; write what is special in a user or a password as "
    "%40 for @, %3A for :, %2F for /"
)

ANCHOR_SUFFIX = ".audit-head"
"""Behind the database's name: the file that knows the audit log's newest row."""


def open_workspace(
    url: str,
    installation_key: Callable[[], bytes] | None = None,
    *,
    home: Path | None = None,
    upgrade: bool = True,
    clock: Callable[[], int] = wall_clock,
) -> Workspace:
    """The workspace at `sqlite:///path` or `postgresql://user:password@host:5432/database`.

    It creates the file and the tables where they are missing, and brings those of an older version to this
    one. `installation_key` is asked for when something is first recorded (None: nothing can be). `home` is
    where this machine keeps what it knows of a shared audit log; SQLite's keeps it beside the file. Without
    `upgrade` nothing is made or changed: for who only looks (see Workspace.about).

    Several processes may open it at once. ValueError for a URL that means nothing, WorkspaceTooNew,
    WorkspaceUnavailable.
    """
    parsed = parse(url)
    engines = _OPEN[parsed.get_backend_name()](parsed, upgrade)
    anchor = anchor_of(parsed, home)
    return Workspace(engines, installation_key, anchor, clock)


def parse(url: str) -> URL:
    """ValueError for one that means nothing. It does not repeat the URL, which may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(_MALFORMED) from None
    if "@" in (parsed.host or ""):
        raise ValueError(_MALFORMED)  # a part of a password
    if parsed.get_backend_name() not in _OPEN:
        raise ValueError(
            f"workspace URL: the scheme must be one of {', '.join(_OPEN)}, not {parsed.drivername}"
        )
    if not parsed.database:
        what = "file" if parsed.get_backend_name() == "sqlite" else "database"
        raise ValueError(f"workspace URL: it needs a {what}, as in {_EXAMPLES}")
    return parsed


def place_of(url: str) -> str:
    """What may be shown of it. ValueError for one that means nothing."""
    return named(parse(url))


def anchor_of(url: URL, home: Path | None) -> Path | None:
    """Where this machine keeps what it knows of the audit log's newest row; None: nowhere."""
    if url.get_backend_name() == "sqlite":
        return Path(f"{url.database}{ANCHOR_SUFFIX}")
    return None if home is None else home / f"workspace{ANCHOR_SUFFIX}"
