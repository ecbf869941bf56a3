"""What opening a workspace's database gives, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError

from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.turns import Turns

_READ_ONLY = "25006"


@dataclass(frozen=True, slots=True)
class Engines:
    """An open database: its tables are those of this version."""

    engine: Engine
    turns: Turns
    name: str  # of the place, without its password
    product: str  # "PostgreSQL 15.18"


def named(url: URL) -> str:
    """The place, without user and password."""
    host = url.host or url.query.get("host") or ""
    if not isinstance(host, str):
        host = ",".join(host)  # several servers, of which one is the first
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database}"


def say_what_is_away(engine: Engine, place: str) -> None:
    """From now on a database that cannot be asked raises WorkspaceUnavailable, not its driver's errors."""

    def handle(context: ExceptionContext) -> WorkspaceUnavailable | None:
        error = context.sqlalchemy_exception
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            # The server is no longer the first of its cluster: others may be, on a new connection.
            context.is_disconnect = True
            return unavailable(error)
        if context.is_pre_ping or not isinstance(error, OperationalError | InterfaceError):
            return None  # the pool sees to a connection that broke while nobody used it
        return unavailable(error)

    def unavailable(error: StatementError | None) -> WorkspaceUnavailable:
        said = in_a_line(None if error is None else error.orig)
        return WorkspaceUnavailable(f"the workspace {place} cannot be asked: {said}")

    event.listen(engine, "handle_error", handle)


def said_by(error: Exception) -> str:
    """What the database itself said, in a line: ours and SQLAlchemy's words around it are left out."""
    cause = error.orig if isinstance(error, DBAPIError) else error.__cause__
    return in_a_line(error if cause is None else cause)


def in_a_line(error: BaseException | None) -> str:
    """What a database said, which may be several lines, with SQL in the later ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
