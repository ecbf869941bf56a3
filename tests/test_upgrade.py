"""A store of the first schema, with data in it, becomes one of this version: the answers stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from footfall.eventlog.memory_log import MemoryLog
from footfall.events.identity import ResolutionRules
from footfall.proof.findings import Checked, Finding
from footfall.proof.verify import verify
from footfall.storage.migrate import migrate, read_migrations, statements
from footfall.storage.opening import open_store
from footfall.storage.store import Query, Rows, Store, StoreError
from footfall.storage.topology import topology_of
from footfall.treatment.policy import Policies
from footfall.workspace import open_workspace
from query_api.app import build_app
from tests.processor_world import HASH, NOON, World, profile, sign_up, track


class FirstSchema:
    """A store as the first version left it: what it has no table or column for is not written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._columns: dict[str, set[str]] = {}
        for table, column in store.rows(Query(_COLUMNS)).rows:
            self._columns.setdefault(table, set()).add(column)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        known = self._columns.get(table)
        if known is not None:
            self._store.insert(
                table, rows.select([name for name in rows.column_names if name in known]), token
            )

    def rows(self, query: Query, limits: Any = None) -> Any:
        """Tables that came later are empty here."""
        try:
            return self._store.rows(query, limits)
        except StoreError as error:
            if "UNKNOWN_TABLE" in str(error):
                return Rows((), (), 0, 0)
            raise

    def stream(self, query: Query, limits: Any = None) -> Iterator[Any]:
        try:
            yield from self._store.stream(query, limits)
        except StoreError as error:
            if "UNKNOWN_TABLE" not in str(error):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


_COLUMNS = "SELECT `table`, name FROM system.columns WHERE database = currentDatabase()"
_PERSONS = """
SELECT distinct_id,
    dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key)
FROM events ORDER BY ALL"""
_ANSWERS = (
    "SELECT event, count(), uniqExact(user_key), sum(p_amount) FROM events GROUP BY event ORDER BY event",
    "SELECT user_id, properties FROM profiles FINAL WHERE NOT deleted ORDER BY user_id",
    "SELECT outcome, reason, sum(count) FROM ledger GROUP BY ALL ORDER BY ALL",
    "SELECT event, sum(count) FROM event_catalogue GROUP BY event ORDER BY event",
    _PERSONS,
)


_RANGE = {"range": {"from": "2026-11-01", "to": "2026-11-30"}}
_QUERIES = (
    ("trends", {**_RANGE, "series": [{"event": "view", "measure": "events"}], "interval": "total"}),
    ("trends", {**_RANGE, "series": [{"event": "view", "measure": "users"}], "interval": "day"}),
    (
        "funnel",
        {**_RANGE, "steps": [{"event": "view"}, {"event": "$SignUp"}], "window": {"value": 7, "unit": "day"}},
    ),
)
_PAGES = ("users/c1",)


@pytest.fixture
def old_store(store: Store, store_url: str, new_name: Any, tmp_path: Path) -> Iterator[tuple[Store, Any]]:
    """An own database with the first migration alone; and its topology."""
    url = f"{store_url}?database={new_name('upgrade')}"
    topology = topology_of(url)
    with closing(open_store(url, scratch=tmp_path / "scratch")) as opened:
        first = read_migrations()[0]
        for statement in statements(first.text, topology):
            opened.command(statement)
        columns = "name String, checksum String, applied_at DateTime DEFAULT now()"
        opened.command(f"CREATE TABLE schema_migrations ({columns}) ENGINE = MergeTree ORDER BY name")
        opened.command(
            f"INSERT INTO schema_migrations (name, checksum) VALUES ('{first.name}', '{first.checksum}')"
        )
        yield opened, topology
        opened.command(f"DROP DATABASE {topology.database} SYNC")


def fill(world: World, first: int) -> None:
    for number in range(first, first + 30):
        person = f"c{number % 7}"
        world.append(
            track("view", f"d{number % 5}", properties={"amount": number, "channel": "app"}),
            sign_up(f"d{number % 5}", person),
            profile("set", person, level=number),
        )
        if number % 10 == 0:
            world.process()
    world.process()


def answers(store: Store) -> list[Any]:
    return [list(store.rows(Query(sql)).rows) for sql in _ANSWERS]


@contextmanager
def asking(store: Store, directory: Path) -> Iterator[Callable[[], list[Any]]]:
    """Asks every analysis, a person and the catalogue of a store, through the query API."""
    memory = MemoryLog(max_bytes=1 << 20)
    with closing(open_workspace(f"sqlite:///{directory}/workspace.db", lambda: bytes(32))) as workspace:
        workspace.bootstrap(None, "ff_sk_of_the_test")
        app = build_app(
            store,
            workspace,
            memory,
            lambda: NOON,
            HASH,
            policy_of=Policies(workspace, bytes(32)),
            clock=lambda: NOON,
        )

        async def ask() -> list[Any]:
            headers = {"Authorization": "Bearer ff_sk_of_the_test"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://footfall", headers=headers
            ) as http:
                told = [await http.post(f"/api/v1/query/{name}", json=body) for name, body in _QUERIES]
                told += [await http.get(f"/api/v1/{path}", params={"project": "default"}) for path in _PAGES]
            assert [each.status_code for each in told] == [200] * len(told), [each.text for each in told]
            return [each.json().get("result", each.json()) for each in told]

        yield lambda: asyncio.run(ask())


def test_a_store_of_the_first_schema_is_migrated_and_answers_as_before(
    old_store: tuple[Store, Any], tmp_path: Path
) -> None:
    store, topology = old_store
    log = MemoryLog(max_bytes=1 << 30)
    old = World(FirstSchema(store), "default", log=log, partition=0)  # type: ignore[arg-type]
    fill(old, 0)
    before = answers(store)
    with asking(FirstSchema(store), tmp_path) as ask:  # type: ignore[arg-type]
        told_before = ask()
    assert before[0][1][1] == 30
    names = migrate(store, topology)
    assert names == [one.name for one in read_migrations()[1:]]
    assert migrate(store, topology) == []
    assert answers(store) == before
    with asking(store, tmp_path) as ask:
        assert ask() == told_before
    assert told_before[0]["series"][0]["total"] == 30
    old.writer.close()
    new = World(store, "default", log=log, partition=0)
    fill(new, 30)
    fill(new, 60)
    told = list(verify(store, log, lambda _: ResolutionRules()))
    assert [each for each in told if isinstance(each, Finding)] == []
    notes = [each.not_compared for each in told if isinstance(each, Checked)]
    assert any("kept no digests" in note for note in notes)
    assert answers(store)[0][1][1] == 90
