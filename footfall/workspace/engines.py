"""What opening a workspace's database gives, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError

from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.turns import Turns


@dataclass(frozen=True, slots=True)
class Engines:
    """An open database: its tables are those of this version."""

    engine: Engine
    turns: Turns
    name: str  # of the place, without its password


def named(url: URL) -> str:
    """The place, without user and password."""
    if url.host is None and not url.query.get("host"):
        return f"{url.get_backend_name()}:///{url.database}"
    host = url.host or url.query["host"]
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database}"


def say_what_is_away(engine: Engine, place: str) -> None:
    """From now on a database that cannot be asked raises WorkspaceUnavailable, not its driver's errors."""

    def handle(context: ExceptionContext) -> WorkspaceUnavailable | None:
        error = context.sqlalchemy_exception
        if context.is_pre_ping or not isinstance(error, OperationalError | InterfaceError):
            return None  # the pool sees to a connection that broke while nobody used it
        return WorkspaceUnavailable(f"the workspace {place} cannot be asked: {in_a_line(error.orig)}")

    event.listen(engine, "handle_error", handle)


def in_a_line(error: object) -> str:
    """What a database said, which may be several lines, with SQL in the later ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
