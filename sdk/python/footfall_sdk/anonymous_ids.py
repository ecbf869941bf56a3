"""The client's own anonymous id: made once, kept in a file, the same in every run."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

_FILE = "anonymous_id"


def read_or_make_anonymous_id(directory: Path | None) -> str:
    """The kept id, else a new one, kept if there is a directory that can be written."""
    if directory is None:
        return uuid.uuid4().hex
    with suppress(OSError, UnicodeError):
        kept = (directory / _FILE).read_text("utf-8").strip()
        if kept:
            return kept
    made = uuid.uuid4().hex
    write_anonymous_id(directory, made)
    return made


def write_anonymous_id(directory: Path | None, anonymous_id: str) -> None:
    """Keeps the id; no directory, or one that cannot be written, is not an error."""
    if directory is None:
        return
    with suppress(OSError, UnicodeError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = directory / f"{_FILE}.{uuid.uuid4().hex}"
        waiting.write_text(anonymous_id, "utf-8")
        waiting.replace(directory / _FILE)
