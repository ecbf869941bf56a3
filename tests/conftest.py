"""Fixtures that several tests use: the store of this process, a whole Footfall in it (`system`), and one in
processes of its own (`footfall`)."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sdk_server import unused_port

from footfall.cli.demo_system import RunningSystem, running_system, wait_until_ready
from footfall.settings import Settings
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import Topology
from footfall.workspace import open_workspace
from tests.clickhouse_servers import one_cluster, server_url
from tests.kafka_broker import broker  # noqa: F401 - a fixture
from tests.postgres import PostgresServer, running_server
from tests.system import System, open_system

_numbers = itertools.count(1)

# No test asserts a time. CI tries the same histories each time, so that a landing is not a draw; elsewhere
# each run tries others.
settings.register_profile("ours", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "ours")


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one chDB directory of this process: chDB allows no second one. `?database=` tells stores apart."""
    return f"chdb://{tmp_path_factory.mktemp('store')}/chdb"


@pytest.fixture(scope="session")
def store(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A migrated store that tests share: keep them apart by project."""
    opened = open_store(store_url, scratch=tmp_path_factory.mktemp("scratch"))
    migrate(opened, Topology())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def http_store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that this process alone uses: ClickHouse, or the test server; without a database."""
    with server_url(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster; DATABASE stands for a name. It is one that is given, or one node that is not replicated."""
    with one_cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(scope="session")
def http_store(http_store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """As `store`, over HTTP; a given server is left as it was found."""
    database = f"footfall_test_{os.getpid()}"
    opened = open_store(f"{http_store_url}/{database}", scratch=tmp_path_factory.mktemp("scratch"))
    migrate(opened, Topology(database))
    yield opened
    opened.command(f"DROP DATABASE {database} SYNC")
    opened.close()


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """Gives names that no other test uses: of projects, of tables, of databases."""
    return lambda prefix: f"{prefix}_{next(_numbers)}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this process."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres: PostgresServer) -> str:
    """One as a new installation has it. Tests that change more than rows make their own."""
    name = postgres.new_database()
    open_workspace(postgres.url(name)).close()
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """A PostgreSQL workspace, empty."""
    yield postgres.url(postgres_database)
    postgres.empty(postgres_database)


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty workspace of this test alone, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/workspace.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def system(store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """A whole Footfall, empty, with a store, a log and a workspace of its own."""
    async with open_system(f"{store_url}?database=system_{next(_numbers)}", tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def footfall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """`footfall up`, ready, on ports of its own; the tests of a module share it."""
    home: Path = tmp_path_factory.mktemp("footfall")
    settings = Settings(home=home, collect_port=unused_port(), query_port=unused_port())
    with running_system(settings, home) as running:
        wait_until_ready(running)
        yield running
