"""Which log a URL means: one table from scheme to factory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from footfall.eventlog.log import Log
from footfall.eventlog.memory_log import MemoryLog
from footfall.eventlog.sqlite_log import SqliteLog


class UnknownLog(ValueError):  # noqa: N818 - reads as what it is
    """A URL that names no log we have."""


def open_log(url: str, *, max_bytes: int) -> Log:
    """Opens the log that `url` names; `max_bytes` bounds the stored records of each partition.

    sqlite:///relative/dir, sqlite:////absolute/dir   files in a directory, which is created
    memory://                                         in this process only

    Raises UnknownLog for any other scheme.
    """
    scheme, separator, rest = url.partition("://")
    factory = _FACTORIES.get(scheme)
    if factory is None or not separator:
        raise UnknownLog(f"log URL {url!r}: the scheme must be one of {', '.join(sorted(_FACTORIES))}")
    return factory(url, rest, max_bytes)


def _open_sqlite(url: str, rest: str, max_bytes: int) -> Log:
    directory = rest.removeprefix("/")
    if not directory or not rest.startswith("/"):
        raise UnknownLog(f"log URL {url!r}: write sqlite:///dir or sqlite:////absolute/dir")
    return SqliteLog(Path(directory), max_bytes=max_bytes)


def _open_memory(url: str, rest: str, max_bytes: int) -> Log:
    if rest:
        raise UnknownLog(f"log URL {url!r}: write memory://, a log in memory has no place")
    return MemoryLog(max_bytes=max_bytes)


_FACTORIES: dict[str, Callable[[str, str, int], Log]] = {"memory": _open_memory, "sqlite": _open_sqlite}
