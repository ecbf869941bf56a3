"""The store that the query benchmarks run on: the product's own, through its real migrations.

The connections differ from the product's in two settings, so that a ratio compares like with like: one thread
a query (or two, where that is the question), and no query condition cache, which would answer a repeated
filter from memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from footfall.storage.clickhouse_store import ClickHouseStore
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import Topology, topology_of


@dataclass(frozen=True, slots=True)
class Engine:
    """One chDB directory, opened twice."""

    one_thread: Store
    two_threads: Store


@contextmanager
def open_engine(home: Path) -> Iterator[Engine]:
    """The engine at `home`/store, with all tables."""
    url = f"chdb://{home}/store"
    store = open_store(url, scratch=home / "scratch")  # creates the database, and the directory for inserts
    topology = topology_of(url)
    migrate(store, topology)
    tuned = [_tuned(home / "store", topology.database, threads) for threads in (1, 2)]
    try:
        yield Engine(*tuned)
    finally:
        for opened in (*tuned, store):
            opened.close()


def _tuned(directory: Path, database: str, threads: int) -> Store:
    def connect() -> Client:
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(directory),
            database=database,
            settings={"max_threads": threads, "use_query_condition_cache": 0},
        )

    return ClickHouseStore(connect, Topology(database))


@contextmanager
def home_directory(kept: Path | None) -> Iterator[Path]:
    """`kept`, or a directory that is removed in the end."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    created = Path(tempfile.mkdtemp(prefix="footfall-bench-"))
    try:
        yield created
    finally:
        shutil.rmtree(created, ignore_errors=True)
