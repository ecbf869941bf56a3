"""What statements become on a cluster. The engine's parser reads each of them.

A cluster that is given (CLICKHOUSE_CLUSTER_URL) runs them, else one node without Keeper; tests/test_system.py
runs the main job on it, too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.storage.fitness import StoreUnfit, refuse_forgetful, refuse_unfit
from footfall.storage.migrate import migrate, read_migrations, statements
from footfall.storage.opening import open_store
from footfall.storage.store import Query, Rows, Store
from footfall.storage.topology import Account, Cluster, NotOnCluster, Topology, topology_of
from processor.expiry import Expiry
from processor.removals import place_condition
from query_api.sql.events import PERSON
from tests.system import open_system
from tests.test_erasure import NOW, erase, findings, visit

MAIN = topology_of("clickhouse://user:it's@host:8123/bank?cluster=main")
ALL = [one for migration in read_migrations() for one in statements(migration.text, MAIN)]

COMMANDS = (
    "ALTER TABLE event_ids DROP PARTITION '2026-11-22'",
    "ALTER TABLE events DROP PARTITION ID '202611'",
    "ALTER TABLE events DELETE IN PARTITION ID '202611' WHERE project = 'p' SETTINGS mutations_sync = 0",
    "ALTER TABLE events UPDATE `p_a` = NULL IN PARTITION ID '202611' WHERE 1 SETTINGS mutations_sync = 0",
    f"ALTER TABLE bindings DELETE WHERE {place_condition('r', 'bindings')} SETTINGS mutations_sync = 0",
    "ALTER TABLE removal_places DELETE WHERE removal = 'r' SETTINGS mutations_sync = 2",
    "ALTER TABLE events MODIFY SETTING old_parts_lifetime = 0",
    "ALTER TABLE profiles RESET SETTING old_parts_lifetime",
    "SYSTEM STOP CLEANUP events",
    "SYSTEM START CLEANUP events",
    "SYSTEM RELOAD DICTIONARY overrides_map",
    "DROP TABLE IF EXISTS events_restamped SYNC",
    "DROP DATABASE bank SYNC",
    "KILL QUERY WHERE Settings['log_comment'] = 'tag' ASYNC",
)
"""One of each kind that the processor, erasures, retention and the store itself give."""


def parsed(store: Store, sql: str) -> str:
    """As the engine writes it in one line; QueryRefused if it cannot read it."""
    return str(store.rows(Query("SELECT formatQuerySingleLine({sql:String})", {"sql": sql})).rows[0][0])


def test_the_topology_of_a_cluster() -> None:
    assert Cluster("bank", Account("user", "it's"), "main") == MAIN
    assert "it's" not in repr(MAIN)


@pytest.mark.parametrize("statement", ALL, ids=lambda text: " ".join(text.split()[:6])[-40:])
def test_a_migrations_statement_for_a_cluster_can_be_read(store: Store, statement: str) -> None:
    read = parsed(store, statement)
    assert "ON CLUSTER main" in read
    assert not re.search(r"(?<!Replicated)(?<!ReplicatedReplacing)(?<!ReplicatedAggregating)MergeTree", read)
    assert "non_replicated" not in read


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_for_a_cluster_can_be_read(store: Store, command: str) -> None:
    assert MAIN.statements(command)
    for statement in MAIN.statements(command):
        parsed(store, statement)
        assert MAIN.statements(statement) in ([statement], MAIN.statements(command))


def test_events_are_sharded_and_all_else_is_on_every_node() -> None:
    made = {found[1]: text for text in ALL if (found := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", text))}
    own = "ReplicatedMergeTree('/clickhouse/tables/{shard}/bank/{table}', '{replica}')"
    shared = "('/clickhouse/tables/all/bank/{table}', '{shard}-{replica}'"
    assert own in made.pop("events_local")
    assert "Distributed(`main`, `bank`, `events_local`, user_key)" in made.pop("events")
    assert all(shared in text for text in made.values())
    assert f"ReplicatedReplacingMergeTree{shared}, version)" in made["overrides"]
    assert all("replicated_deduplication_window_seconds = 2592000" in text for text in made.values())


def test_statements_reach_those_who_hold_the_rows() -> None:
    def become(sql: str) -> list[str]:
        return MAIN.statements(sql)

    assert become(COMMANDS[1]) == ["ALTER TABLE events_local ON CLUSTER `main` DROP PARTITION ID '202611'"]
    assert become(COMMANDS[0]) == [COMMANDS[0]]  # Keeper carries it on
    assert become(COMMANDS[4])[0] == "SYSTEM SYNC REPLICA ON CLUSTER `main` removal_places"
    assert become("SYSTEM RELOAD DICTIONARY overrides_map") == [
        "SYSTEM SYNC REPLICA ON CLUSTER `main` overrides",
        "SYSTEM RELOAD DICTIONARY ON CLUSTER `main` overrides_map",
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE events REPLACE PARTITION ID '1' FROM events_restamped",
        "OPTIMIZE TABLE events",
        "CREATE TABLE events_restamped AS events",
    ],
)
def test_what_nobody_thought_of_is_refused(sql: str) -> None:
    with pytest.raises(NotOnCluster):
        MAIN.statements(sql)


def test_the_engines_own_tables_are_asked_on_every_node() -> None:
    assert MAIN.reading("SELECT 1 FROM system.parts, system.tables") == (
        "SELECT 1 FROM clusterAllReplicas(`main`, system.parts), system.tables"
    )
    assert "'bank.overrides_map'" in MAIN.reading("SELECT dictGet('overrides_map', 'user_key', 1)")


def test_dictionaries_of_a_server_are_read_by_its_account(store: Store) -> None:
    for topology in (MAIN, Topology("bank", Account("user", "it's"))):
        made = [one for one in statements(read_migrations()[0].text, topology) if "DICTIONARY" in one]
        assert "USER 'user' PASSWORD 'it\\'s'" in made[0]
        parsed(store, made[0])


def test_a_token_travels_to_the_shard(
    cluster_url: str, new_name: Callable[[str], str], tmp_path: Path
) -> None:
    database = new_name("tokens")
    url = cluster_url.replace("DATABASE", database)
    store = open_store(url, scratch=tmp_path / "scratch")
    migrate(store, topology_of(url))
    keys = pa.array(range(100), pa.uint64())
    rows = pa.table({"project": ["p"] * 100, "event": ["e"] * 100, "user_key": keys})
    for token in ("0:0:99", "0:0:99", "0:100:199"):
        store.insert("events", rows, token)
    assert store.rows(Query("SELECT count() FROM events")).rows == [(200,)]
    assert migrate(store, topology_of(url)) == []
    store.command(f"DROP DATABASE {database} SYNC")
    store.close()


class Told:
    """A store that gives prepared answers to questions that hold a text."""

    def __init__(self, store: Store, answers: dict[str, list[tuple[object, ...]]]) -> None:
        self._store, self._answers = store, answers

    def rows(self, query: Query) -> Rows:
        for text, rows in self._answers.items():
            if text in query.sql:
                return Rows((), rows)
        return self._store.rows(query)


@pytest.mark.parametrize(
    ("asked", "answer", "words"),
    [
        (
            "merge_tree_settings",
            [("fsync_after_insert",)],
            "too old: it does not know default_compression_codec",
        ),
        ("FROM system.settings", [("readonly", "1")], "readonly = 1: give it one without"),
        ("FROM system.settings", [("deduplicate_insert", "disable")], "set it to 'enable'"),
        ("CHECK GRANT KILL", [(0,)], r"GRANT KILL QUERY, .* ON \*\.\* TO default"),
        ("FROM system.clusters", [], "knows no cluster 'main': add it to remote_servers"),
        ("FROM system.clusters", [("h1", 0)], "internal_replication off at h1"),
        ("FROM system.macros", [("shard",)], "no macros replica"),
        ("FROM system.zookeeper", None, "reaches no Keeper"),
    ],
)
def test_a_server_that_is_not_fit_is_refused_with_what_to_change(
    store: Store, asked: str, answer: list[tuple[object, ...]] | None, words: str
) -> None:
    fit = {
        "FROM system.clusters": [("h1", 1)],
        "FROM system.macros": [("shard",), ("replica",)],
        "FROM system.zookeeper": [(1,)],
    }
    answers = fit if answer is None else fit | {asked: answer}
    if answer is None:
        answers.pop(asked)
    with pytest.raises(StoreUnfit, match=words):
        refuse_unfit(Told(store, answers), MAIN)  # type: ignore[arg-type]


def test_a_table_that_forgets_tokens_is_refused(store: Store) -> None:
    setting = "ALTER TABLE past_persons MODIFY SETTING non_replicated_deduplication_window ="
    store.command(f"{setting} 0")
    try:
        with pytest.raises(StoreUnfit, match=f"stored twice: {setting} 10000"):
            migrate(store, Topology())
    finally:
        store.command(f"{setting} 10000")
    refuse_forgetful(store, ["past_persons"])


async def test_persons_are_moved_and_erased_and_months_dropped_on_a_cluster(
    cluster_url: str, tmp_path: Path, new_name: Callable[[str], str]
) -> None:
    url = cluster_url.replace("DATABASE", new_name("upkeep"))
    async with open_system(url, tmp_path, log_url=f"sqlite:///{tmp_path}/log") as system:
        system.clock.freeze(NOW)
        system.workspace.keep("default", 60)
        old = 100 * 24 * 60  # minutes ago: in a month that is over
        await system.send(visit("device"), visit("other", old), visit("other"))
        await system.settle()
        known = {"anonymous_id": "device", "login_id": "login"}
        await system.send(visit("login", **known), {"event": "1bad", "distinct_id": "device"})
        await system.settle()
        persons = system.rows(f"SELECT uniqExact({PERSON}) FROM events")
        assert persons == [(2,)]
        assert findings(system) == []
        expiry = Expiry(system.store, system.workspace.projects, system.processor.paused, system.clock)
        assert [each.rows for each in expiry.run(threading.Event())] == [1]
        await erase(system, "login")
        assert system.rows("SELECT DISTINCT distinct_id FROM events") == [("other",)]
        assert system.rows("SELECT count() FROM events") == [(1,)]
        assert findings(system) == []
