"""A PostgreSQL workspace whose server goes away and comes back, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from collector.answers import Overloaded
from collector.keys import Keys
from collector.options import CollectorOptions
from footfall.cli.engines import opened_workspace
from footfall.envelopes.keys import no_keys
from footfall.settings import InvalidSettings, Settings
from footfall.treatment.policy import Policy
from footfall.workspace import Grant, Project, Workspace, open_workspace
from footfall.workspace.audit import AuditUnavailable
from footfall.workspace.errors import WorkspaceUnavailable
from query_api.problems import problem_of
from tests.postgres import PASSWORD, PostgresServer, masked


@pytest.fixture
def workspace(postgres_url: str, tmp_path: Path) -> Iterator[Workspace]:
    with closing(open_workspace(postgres_url, lambda: bytes(32), home=tmp_path)) as opened:
        opened.bootstrap("write", "secret")
        yield opened


@pytest.fixture
def away(postgres: PostgresServer) -> Iterator[Any]:
    """Stops the server; it is back at the end, if not before."""
    yield lambda: postgres.stop(signal.SIGQUIT)
    if not postgres.is_running:
        postgres.start()


def test_a_server_that_is_away_is_told_in_words(
    workspace: Workspace, postgres: PostgresServer, away: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    away()
    with pytest.raises(WorkspaceUnavailable) as caught:
        workspace.grant("write")
    assert str(caught.value).startswith(f"the workspace postgresql://127.0.0.1:{postgres.port}/footfall_")
    assert "\n" not in str(caught.value)
    with pytest.raises(AuditUnavailable, match="cannot be written: the workspace postgresql://") as refused:
        workspace.audit.record("command line", "a.b", "", "")
    assert problem_of(caught.value).status == problem_of(refused.value).status == 503
    postgres.start()
    assert workspace.grant("write") == Grant("write", "default")
    workspace.audit.record("command line", "a.b", "", "")
    assert workspace.audit.verify().findings == ()
    assert not [record for record in caplog.records if record.exc_info]
    assert masked(caplog.text + str(caught.value) + str(refused.value))


def test_sessions_that_the_server_ended_are_replaced(workspace: Workspace, postgres: PostgresServer) -> None:
    for _ in range(2):
        postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'foot%'")
        assert workspace.grant("write") == Grant("write", "default")


async def test_the_collectors_keys_stay_while_the_server_is_away(
    workspace: Workspace, postgres: PostgresServer, away: Any
) -> None:
    keys = Keys(workspace, Policy, no_keys, CollectorOptions(key_seconds=0.0))
    assert await keys.grant("write") == Grant("write", "default")
    away()
    assert await keys.grant("write") == Grant("write", "default")
    with pytest.raises(Overloaded):
        await keys.grant("secret")  # good, but never seen
    postgres.start()
    assert await keys.grant("secret") == Grant("secret", None)


async def test_a_server_that_says_nothing_holds_nobody_up_for_long() -> None:
    class Silent:
        silent = False

        def grant(self, key: str) -> Grant:
            time.sleep(0.5 if self.silent else 0)
            return Grant("write", "default")

        def __getattr__(self, name: str) -> Any:
            return None

    directory: Any = Silent()
    keys = Keys(directory, Policy, no_keys, CollectorOptions(key_seconds=0.0))
    known = await keys.grant("known")
    directory.silent = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collector.memory._PATIENCE_SECONDS", 0.05)
        first = asyncio.create_task(keys.grant("known"))
        assert await asyncio.wait_for(first, 0.4) == known
        assert await asyncio.wait_for(keys.grant("known"), 0.1) == known  # without a further question
        with pytest.raises(Overloaded):
            await keys.grant("unknown")
    while keys._grants._asking:
        await asyncio.sleep(0.01)
    assert await keys.grant("unknown") == known  # the answer that came too late for who asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("/no_such_database", "does not exist"),
        ("@127.0.0.1:1/", "refused"),
        (":wrong-pass@", "password authentication failed"),
    ],
)
def test_what_cannot_be_opened_is_told_with_what_to_do(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, change: str, said: str
) -> None:
    start, _, end = postgres_url.rpartition("/")
    url = {
        "/no_such_database": f"{start}/no_such_database",
        "@127.0.0.1:1/": f"{start.rpartition('@')[0]}@127.0.0.1:1/{end}",
        ":wrong-pass@": f"postgresql://footfall:wrong-pass@127.0.0.1:{postgres.port}/{end}",
    }[change]
    settings = Settings(home=tmp_path, workspace_url=url)
    with pytest.raises(InvalidSettings, match=said) as caught, opened_workspace(settings):
        pass
    assert "CREATE DATABASE footfall OWNER footfall" in str(caught.value)
    assert masked(str(caught.value))
    assert "wrong-pass" not in str(caught.value) + repr(settings)


def test_of_several_servers_the_one_that_takes_writes_is_found(
    postgres: PostgresServer, postgres_url: str
) -> None:
    user, name = postgres_url.partition("@")[0], postgres_url.rpartition("/")[2]
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{postgres.port}&target_session_attrs=read-write"
    with closing(open_workspace(f"{user}@/{name}?{hosts}")) as workspace:
        workspace.create_project(Project("bank"))
        place = workspace.about().place
    assert place.startswith("postgresql://127.0.0.1:1,127.0.0.1:")
    assert masked(place)


def test_a_user_who_may_make_no_tables_is_told(postgres: PostgresServer, tmp_path: Path) -> None:
    name = postgres.new_database()
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    url = f"postgresql://guest:guest@127.0.0.1:{postgres.port}/{name}"
    with (
        pytest.raises(InvalidSettings, match="permission denied for schema public"),
        opened_workspace(Settings(home=tmp_path, workspace_url=url)),
    ):
        pass
    postgres.drop(name)
    postgres.execute("DROP ROLE guest")


def test_a_database_in_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    with pytest.raises(ValueError, match="is in LATIN1: make it anew"):
        open_workspace(postgres.url("latin"))
    postgres.drop("latin")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@host/database",
        "postgresql://user:s3cret@x@host/database",
        "postgresql://user:s3cret@host:s3cret/database",
        "postgresql://user:s3cret@host",
        "postgresql+asyncpg://user:s3cret@host/database",
        "postgres://user:s3cret@host/database",
    ],
)
def test_a_url_that_means_nothing_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="workspace URL") as caught:
        open_workspace(url)
    assert masked(str(caught.value))


def test_after_a_change_of_servers_the_old_one_is_left(workspace: Workspace) -> None:
    """As a pool sees a failover: its sessions are of a server that takes no more writes."""
    with workspace._engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
    with pytest.raises(WorkspaceUnavailable, match="read-only"):
        workspace.create_project(Project("bank"))
    workspace.create_project(Project("bank"))


def test_what_postgresql_refuses_is_not_taken_for_being_away(workspace: Workspace) -> None:
    with pytest.raises(DatabaseError, match="append-only"), workspace._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit")
