"""What the processor makes of records: rows, repeats, blocks and their turns, the map of persons."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import Topology
from footfall.workspace.projects import MAX_SHARED_DEVICE_LIMIT
from processor import pipeline
from processor.commits import Commits
from processor.loop import ProcessorOptions
from tests.flaky_store import FlakyStore
from tests.processor_world import CHROME, NOON, World, profile, sign_up, track


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("blocks"))


# What is stored


def test_an_event_is_a_row_with_its_ids_times_and_place(world: World) -> None:
    record = track("view", "device", NOON - 5, anonymous_id="device", properties={"page": "home", "n": 1})
    offset = world.append(record, ip="8.8.8.8", user_agent=CHROME, door="sensors")
    world.process()
    columns = "event, type, toUnixTimestamp64Milli(time), distinct_id, anonymous_id, login_id, door, seq"
    assert world.events(columns) == [("view", "track", NOON - 5, "device", "device", "", "sensors", 0)]
    assert world.events("log_partition, log_offset, p_page, properties, `p_$os`, `p_$country`") == [
        (world.partition, offset, "home", {"n": "1"}, "Windows", "US")
    ]
    assert world.events("user_key, alias_key") == [(world.key("device"), 0)]


def test_an_identity_record_without_a_name_gets_its_own(world: World) -> None:
    record = sign_up("device", "lin")
    del record["event"]
    world.append(record)
    world.process()
    assert world.events("event, type, anonymous_id") == [("$SignUp", "track_signup", "device")]


def test_any_text_is_stored_as_it_came(world: World) -> None:
    nasty = "tab\t nul\0 quote' back\\slash {a:String} 中文 😀"
    world.append(track(nasty, nasty, properties={nasty: nasty, "$title": nasty, "list": [nasty]}))
    world.process()
    [(event, distinct_id, title, properties)] = world.events("event, distinct_id, `p_$title`, properties")
    assert (event, distinct_id, title, properties[nasty]) == (nasty, nasty, nasty, nasty)


def test_the_catalogues_list_what_was_seen(world: World) -> None:
    world.append(track("view", "a", NOON, properties={"n": 1}), track("view", "a", NOON + 5))
    world.process()
    world.append(track("view", "a", NOON + 9, properties={"n": "x", "m": 2}))
    world.process()
    names = (
        "SELECT event, type, sum(count), toUnixTimestamp64Milli(min(first_seen)), "
        "toUnixTimestamp64Milli(max(last_seen)) "
        "FROM event_catalogue WHERE project = {project:String} GROUP BY event, type"
    )
    assert world.rows(names) == [("view", "track", 3, NOON, NOON + 9)]
    types = "SELECT property, type FROM property_catalogue WHERE project = {project:String} ORDER BY 1"
    assert world.rows(types) == [("m", "number"), ("n", "number")]
    conflicts = (
        "SELECT property, type, sum(count) FROM type_conflicts WHERE project = {project:String} GROUP BY 1, 2"
    )
    assert world.rows(conflicts) == [("n", "string", 1)]


# Repeats


def test_the_same_event_again_changes_nothing(world: World) -> None:
    event = track("buy", "a", event_id="order 7")
    world.append(event, event)
    world.append(event)
    world.process()
    world.append(event, track("buy", "a", event_id="order 8"))
    world.process()
    assert len(world.events()) == 2
    assert world.ledger() == {"received": 5, "stored": 2, "duplicate": 3}


def test_a_repeat_is_recognised_after_a_restart(world: World) -> None:
    event = track("buy", "a", event_id="order 9")
    world.append(event)
    world.process()
    world.start()
    world.append(event)
    world.process()
    assert len(world.events()) == 1
    assert world.ledger() == {"received": 2, "stored": 1, "duplicate": 1}


def test_a_repeated_profile_operation_counts_once(world: World) -> None:
    operation = profile("increment", "lin", coins=5) | {"event_id": "coins"}
    for _ in range(3):
        world.append(operation)
        world.process()
    assert world.profiles() == {"lin": {"coins": "5"}}


def test_repeats_are_forgotten_beyond_the_horizon(
    store_url: str, tmp_path: Path, new_name: Callable[[str], str]
) -> None:
    name = new_name("horizon")
    with closing(open_store(f"{store_url}?database={name}", scratch=tmp_path / "scratch")) as own_store:
        migrate(own_store, Topology(name))
        _repeat_over_weeks(World(own_store, "p"))
        own_store.command(f"DROP DATABASE {name} SYNC")


def _repeat_over_weeks(world: World) -> None:
    event = track("buy", "a", event_id="order 10")
    for day, events in ((0, [event]), (7, [event]), (16, [track("buy", "b")]), (17, [event])):
        world.now = NOON + day * 86_400_000
        world.append(*events, received_at=world.now)
        world.process()
    assert world.ledger() == {"received": 4, "stored": 3, "duplicate": 1}
    days = world.rows("SELECT count(DISTINCT day) FROM event_ids WHERE {project:String} != ''")
    assert days == [(2,)]


# Blocks


def test_blocks_are_cut_at_log_records_by_the_number_of_events(world: World) -> None:
    world.options = ProcessorOptions(max_events=5)
    world.start()
    for size in (2, 2, 3, 9, 1):
        world.append(*(track("view", "a") for _ in range(size)))
    steps = 0
    while world.processor.step():
        steps += 1
    blocks = (
        "SELECT first_offset, last_offset, stored FROM ingest_blocks "
        "WHERE state = 'done' AND log_partition = {p:UInt16} AND {project:String} != '' ORDER BY 1"
    )
    assert world.rows(blocks, p=world.partition) == [(0, 1, 4), (2, 2, 3), (3, 3, 9), (4, 4, 1)]
    assert steps == 4


def test_partitions_take_turns_and_new_ones_are_found(world: World) -> None:
    world.options = ProcessorOptions(max_events=1)
    world.start()
    second = world.log.open_writer(world.partition + 30_000)
    for _ in range(2):
        world.append(track("view", "a"))
        world.append(track("view", "b"), writer=second)
    partitions = []
    for _ in range(4):
        world.processor.step()
        partitions.append(len({row[0] for row in world.events("log_partition")}))
    assert partitions == [1, 2, 2, 2]
    assert len(world.events()) == 4


def test_data_until_is_when_the_oldest_record_that_waits_came(world: World) -> None:
    world.now = NOON + 1_000
    assert world.processor.data_until() == NOON + 1_000
    world.append(track("view", "a"), received_at=NOON + 3)
    world.append(track("view", "a"), received_at=NOON + 4)
    assert world.processor.data_until() == NOON + 3
    world.process()
    assert world.processor.data_until() == NOON + 1_000


def test_processed_records_leave_the_log_but_for_the_last_ones(world: World) -> None:
    world.options = ProcessorOptions(kept_bytes=0)
    world.start()
    for _ in range(3):
        world.append(track("view", "a"))
        world.process()
    assert world.log.read(world.partition, 0, 1 << 20) == []
    world.append(track("view", "a"))
    world.process()
    assert len(world.events()) == 4


def test_a_reload_of_many_overrides_is_shared_by_blocks_and_they_count_after_it(world: World) -> None:
    flaky = FlakyStore(world.store, set(), set(), [])
    world.store = flaky
    commits = Commits(world.log, flaky)
    world.append(track("a", "a"))
    world.append(track("b", "b"))
    commits.add(world.partition, 1, moved_persons=True)
    assert commits.flush(patient=True) == [(world.partition, 1)]
    commits.reload_seconds = 1_000.0
    commits.add(world.partition, 2, moved_persons=True)
    assert commits.flush(patient=True) == []
    assert world.log.position(world.partition).committed == 1
    assert commits.flush() == [(world.partition, 2)]
    assert flaky.commands == ["SYSTEM RELOAD DICTIONARY overrides_map"] * 2
    assert commits.flush() == []


def test_no_reload_waits_for_longer_than_a_second(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("processor.commits.time.monotonic", lambda: now[0])
    commits = Commits(world.log, FlakyStore(world.store, set(), set(), []))
    world.append(track("a", "a"))
    world.append(track("b", "b"))
    commits.add(world.partition, 1, moved_persons=True)
    commits.flush()
    commits.reload_seconds = 1_000.0
    commits.add(world.partition, 2, moved_persons=True)
    now[0] += 0.9
    assert commits.flush(patient=True) == []
    now[0] += 0.2
    assert commits.flush(patient=True) == [(world.partition, 2)]


def test_times_of_any_month_are_stored(world: World) -> None:
    months = [track("view", "a", 10**10 + month * 31 * 86_400_000) for month in range(150)]
    world.append(*months, door="import")
    world.process()
    assert len(world.events()) == 150


def test_a_device_id_that_every_customer_shares_is_not_bound_to_each(world: World) -> None:
    logins = MAX_SHARED_DEVICE_LIMIT + 1
    world.append(
        *(track("view", f"c{n}", login_id=f"c{n}", anonymous_id="one for all") for n in range(logins))
    )
    world.process()
    world.append(*(track("view", f"d{n}", login_id=f"d{n}", anonymous_id="one for all") for n in range(3)))
    world.append(track("view", "one for all"), sign_up("d1", "someone"), track("view", "d1"))
    world.process()
    bound = "SELECT count() FROM bindings WHERE project = {project:String} AND anonymous_id = 'one for all'"
    assert world.rows(bound) == [(logins,)]
    persons = world.persons()
    assert (persons["one for all"], persons["d1"]) == ("one for all", "d1")


def test_the_documentation_lists_every_step() -> None:
    steps = re.findall(r"^\| `([a-z_]+)` \|", Path("docs/enrichment.md").read_text("utf-8"), re.MULTILINE)
    assert steps == [step.__name__ for step in pipeline.EVENT_STEPS]
