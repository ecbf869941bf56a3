"""Digests of rows: the same from Arrow and from the store, and they tell every change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from footfall.events.log_record import Refusal
from footfall.storage.digests import BUCKET_SQL, PLACE_SQL, PROVEN, hash_sql
from footfall.storage.store import Query, Store
from footfall.workspace import IdentityRules
from tests.processor_world import World, profile, sign_up, track


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("digests"))


def expected(world: World) -> set[tuple[object, ...]]:
    return set(
        world.rows(
            "SELECT digests.table, digests.project, digests.part, digests.bucket, sum(digests.rows), "
            "sum(digests.sum), sum(digests.placed) FROM ingest_blocks ARRAY JOIN digests "
            "WHERE state = 'done' AND log_partition = {partition:UInt16} "
            "AND {project:String} != '' GROUP BY ALL",
            partition=world.partition,
        )
    )


def held(world: World, table: str) -> set[tuple[object, ...]]:
    project = "project" if PROVEN[table].has_project else "''"
    sql = (
        f"SELECT '{table}', {project} AS p, _partition_id, {BUCKET_SQL} AS bucket, count(), sum(h), "
        f"sum(h * {PLACE_SQL}) FROM (SELECT *, _partition_id, {hash_sql(table)} AS h FROM {table} "
        "WHERE log_partition = {partition:UInt16} AND {project:String} != '') GROUP BY ALL"
    )
    return set(world.rows(sql, partition=world.partition))


def fill(world: World) -> None:
    amounts = (1, -2.5, 123456789012.345678, "viel", None)
    for number, amount in enumerate(amounts):
        world.append(
            track(
                "购买",
                f"客户-{number}",
                properties={
                    "amount": amount,
                    "event_duration": -0.25 * number,
                    "$is_first_day": number % 2 == 0,
                    "channel": "app",
                    "note": "\0 \n'{x}",
                    "备注": "文本",
                },
            ),
            track("view", f"客户-{number}", login_id=f"login-{number}"),
            profile("set", f"客户-{number}", city="上海", age=number),
            sign_up(f"客户-{number}", f"login-{number}"),
            {"type": "item_set", "item_type": "fund", "item_id": "F1", "properties": {"nav": 1.5}},
            track("refused", "x"),
            refusals=[Refusal(5, "invalid_name", "event", "no")],
            event_ids=None,
        )
        world.process()


@pytest.mark.parametrize(("strategy", "empty"), [("many_to_one", "identity_links"), ("global", "bindings")])
def test_the_store_holds_what_the_digests_say(world: World, strategy: str, empty: str) -> None:
    world.rules = IdentityRules(strategy)
    fill(world)
    told = expected(world)
    for table in PROVEN:
        rows = held(world, table)
        assert bool(rows) == (table not in ("rulings", "replays", empty)), table
        assert {row for row in told if row[0] == table} == rows, table


def test_every_column_of_a_proven_table_is_proven_or_known_not_to_be(store: Store) -> None:
    for table, proven in PROVEN.items():
        columns = {row[0] for row in store.rows(Query(f"DESCRIBE TABLE {table}")).rows}
        assert columns == (set(proven.columns) - {"own_key"}) | proven.unproven
