"""Migrations and what they make: tables, columns, the projection; on one engine and on a cluster."""

from __future__ import annotations

import pyarrow as pa
import pytest

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.storage.migrate import MigrationAltered, migrate, read_migrations, statements
from footfall.storage.store import (
    Query,
    Store,
)
from footfall.storage.topology import Topology, topology_of


def test_migrations_are_applied_once(store: Store) -> None:
    assert migrate(store, Topology()) == []
    applied = store.rows(Query("SELECT name, checksum FROM schema_migrations ORDER BY name")).rows
    assert applied == [(migration.name, migration.checksum) for migration in read_migrations()]


def test_a_migration_that_was_cut_off_is_finished(store: Store) -> None:
    store.command("CREATE DATABASE cut_off")
    topology = Topology("cut_off")
    try:
        for statement in statements(read_migrations()[0].text, topology)[:5]:
            store.command(statement.replace("NOT EXISTS ", "NOT EXISTS cut_off.", 1))
        names = store.rows(Query("SELECT count() FROM system.tables WHERE database = 'cut_off'"))
        assert names.rows == [(5,)]
        for statement in statements(read_migrations()[0].text, topology):
            store.command(statement.replace("NOT EXISTS ", "NOT EXISTS cut_off.", 1))
    finally:
        store.command("DROP DATABASE cut_off")


def test_every_statement_can_be_run_again(store: Store) -> None:
    for migration in read_migrations():
        for statement in statements(migration.text, Topology()):
            store.command(statement)


def test_an_altered_migration_is_refused(store: Store) -> None:
    name = read_migrations()[0].name
    rename = (
        "ALTER TABLE schema_migrations UPDATE checksum = {} WHERE name = '{}' SETTINGS mutations_sync = 2"
    )
    real = store.rows(
        Query("SELECT checksum FROM schema_migrations WHERE name = {n:String}", {"n": name})
    ).rows[0][0]
    store.command(rename.format("'other'", name))
    try:
        with pytest.raises(MigrationAltered, match="put the file back"):
            migrate(store, Topology())
    finally:
        store.command(rename.format(f"'{real}'", name))


def test_every_property_with_a_column_has_it(store: Store) -> None:
    sql = "SELECT name, type FROM system.columns WHERE database = 'footfall' AND table = 'events'"
    columns = dict(store.rows(Query(sql)).rows)
    for column in PROPERTY_COLUMNS.values():
        assert columns[column.column] == column.sql_type


def test_a_query_by_event_uses_the_projection(store: Store) -> None:
    row = {"project": ["by_event"], "event": ["y"], "user_key": pa.array([1], pa.uint64())}
    store.insert("events", pa.table(row), "by_event")
    sql = (
        "EXPLAIN projections = 1 SELECT user_key, time, alias_key FROM events "
        "WHERE project = 'by_event' AND event = 'y'"
    )
    assert "by_event" in "\n".join(row[0] for row in store.rows(Query(sql)).rows)


@pytest.mark.parametrize(
    "url", ["chdb:///x?database=a`b", "clickhouse://host/a.b", "clickhouse://host/a?cluster=`"]
)
def test_a_url_whose_names_are_no_names_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        topology_of(url)


def test_a_url_without_a_cluster_is_one_engine() -> None:
    assert topology_of("chdb:///var/lib/footfall/store") == Topology("footfall")
    assert topology_of("clickhouse://host/bank") == Topology("bank")
