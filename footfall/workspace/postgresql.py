"""The workspace as a PostgreSQL database: of all machines of an installation, which need one of their own."""

from __future__ import annotations

import logging
from typing import Any, Final

from sqlalchemy import (
    URL,
    Engine,
    Integer,
    PoolProxiedConnection,
    QueuePool,
    cast,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from footfall.workspace.engines import Engines, named, say_what_is_away
from footfall.workspace.errors import WorkspaceUnavailable
from footfall.workspace.postgresql_turns import PostgresqlTurns
from footfall.workspace.schema import check, upgrade

_DRIVER: Final = "postgresql+psycopg"
_OLDEST: Final = 14_00_00
_SPELLINGS: Final = ("postgresql", _DRIVER)

# libpq's own; what the URL says counts more. A server that went without a word is missed after some 20 s.
_CONNECT: Final = {
    "application_name": "footfall",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# Of each session: others' locks are waited for as long as SQLite's are; a machine that went away in the
# middle of a transaction does not keep the writer's lock; what was committed is durable.
_SESSION: Final = (
    "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; "
    "SET statement_timeout = '60s'; "
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_POOL: Final = {"pool_size": 5, "max_overflow": 5, "pool_timeout": 10, "pool_recycle": 1800}
_TURNS: Final = {"pool_size": 2, "max_overflow": 30, "pool_timeout": 10, "pool_recycle": 1800}


def open_engines(url: URL, migrate: bool) -> Engines:
    """Makes the tables; only what is there without `migrate`. ValueError without the driver."""
    if url.drivername not in _SPELLINGS:
        raise ValueError(f"workspace URL: write postgresql://, not {url.drivername}://")
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise ValueError(
            "workspace URL: PostgreSQL needs the extra: pip install 'footfall[postgres]'"
        ) from error
    engine = _engine(url, **_POOL, pool_pre_ping=True, isolation_level="READ COMMITTED")
    event.listen(engine, "connect", _set_up)
    turns = _engine(url, **_TURNS, isolation_level="AUTOCOMMIT")
    try:
        product = _check_server(engine, named(url))
        upgrade(engine, named(url)) if migrate else check(engine, named(url))
    except BaseException:
        engine.dispose()
        raise
    return Engines(engine, PostgresqlTurns(turns), named(url), product)


def _engine(url: URL, **options: Any) -> Engine:
    arguments = {name: value for name, value in _CONNECT.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername=_DRIVER),
        connect_args=arguments,
        poolclass=_Pool,
        hide_parameters=True,
        **options,
    )
    say_what_is_away(engine, named(url))
    return engine


logging.getLogger(f"{__name__}._Pool").setLevel(logging.WARNING)  # it tells of each connection it replaces


class _Pool(QueuePool):
    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except PoolTimeout as error:
            raise WorkspaceUnavailable("the workspace is busy: all connections are in use") from error


def _set_up(connection: Any, _record: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute(_SESSION)
    connection.autocommit = before


def _check_server(engine: Engine, place: str) -> str:
    """Its name and version. ValueError for one that does not serve."""
    settings = select(
        cast(func.current_setting("server_version_num"), Integer).label("version"),
        func.current_setting("server_version").label("name"),
        func.current_setting("server_encoding").label("encoding"),
    )
    with engine.connect() as connection:
        seen = connection.execute(settings).one()
    if seen.version < _OLDEST:
        raise ValueError(
            f"the workspace {place} is of PostgreSQL {seen.version // 10_000}, which is too old: "
            f"use {_OLDEST // 10_000} or newer"
        )
    if seen.encoding != "UTF8":
        raise ValueError(
            f"the workspace {place} is in {seen.encoding}: make it anew, CREATE DATABASE ... ENCODING 'UTF8' "
            "TEMPLATE template0"
        )
    return f"PostgreSQL {seen.name.partition(' ')[0]}"
