"""A block that was cut off, by a crash at any point or a store that is away, is done again exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from footfall import crash_points
from footfall.eventlog.memory_log import MemoryLog
from footfall.events.log_record import PlanViolation, Refusal
from footfall.storage.store import Store, StoreUnavailable
from processor.blocks import LogReplacedError
from processor.commits import Commits
from processor.loop import ProcessorOptions
from tests.flaky_store import FlakyStore
from tests.plan_violations import violations
from tests.processor_world import NOON, World, profile, sign_up, track


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("blocks"))


@pytest.fixture
def crash_at() -> Iterator[Callable[[str, int], None]]:
    """Makes the n-th arrival at a point raise Crash, once."""

    def arm(point: str, hits: int) -> None:
        left = {point: hits}

        def observe(reached: str) -> None:
            if reached in left:
                left[reached] -= 1
                if left[reached] == 0:
                    del left[reached]
                    raise Crash(point)

        crash_points.observe(observe)

    yield arm
    crash_points.observe(None)


class Crash(Exception):  # noqa: N818
    """Stands for the end of the process."""


def populate(world: World) -> None:
    """One block that writes to every table."""
    world.append(
        track("view", "device", properties={"n": "not a number", "m": 1}),
        sign_up("device", "lin"),
        profile("set", "lin", name="Lin"),
        profile("increment", "device", coins=3),
        {
            "type": "item_set",
            "item_type": "fund",
            "item_id": "7",
            "time": NOON,
            "properties": {"risk": "low"},
        },
        track("buy", "lin", event_id="first", properties={"amount": 1.5}),
        track("buy", "lin", event_id="first", properties={"amount": 1.5}),
        "bad",
        refusals=[Refusal(7, "not_an_object", "", "a text")],
        plan=3,
        violations=[PlanViolation("buy", "amount", "not_allowed", "js", "8.1", [5, 6, 7])],
        trusted=True,
    )


TABLES = (
    "bindings", "rulings", "binding_decisions", "overrides", "event_ids", "events", "profile_operations",
    "profiles", "item_operations", "items", "event_catalogue", "dead_letters", "property_catalogue",
    "type_conflicts", "plan_violations", "ledger",
)  # fmt: skip
MERGED = ("profiles", "items", "event_catalogue", "type_conflicts", "plan_violations")
COUNTED = [
    f"{table} FINAL" if table in MERGED else table
    for table in TABLES
    if table not in ("overrides", "event_ids")  # have no project
]


def snapshot(world: World) -> dict[str, Any]:
    """Everything that answers are made of."""
    return {
        "events": world.events("event, user_key, alias_key, properties, p_amount, seq"),
        "persons": world.persons(),
        "profiles": world.profiles(),
        "ledger": world.ledger(),
        "violations": violations(world),
        "rows": {
            table: world.rows(f"SELECT count() FROM {table} WHERE project = {{project:String}}")
            for table in COUNTED
        },
        "event_ids": world.rows(
            "SELECT count() FROM event_ids WHERE log_partition = {p:UInt16} AND {project:String} != ''",
            p=world.partition,
        ),
        "blocks": world.rows(
            "SELECT first_offset, last_offset, state, stored FROM ingest_blocks "
            "WHERE log_partition = {p:UInt16} AND {project:String} != '' ORDER BY ALL",
            p=world.partition,
        ),
    }


@pytest.fixture(scope="module")
def undisturbed(store: Store) -> dict[str, Any]:
    """What there is when nothing crashes."""
    world = World(store, "blocks_undisturbed")
    world.append(track("view", "device", properties={"n": 1}))
    world.process()
    populate(world)
    world.process()
    found = snapshot(world)
    assert all(count != [(0,)] for count in found["rows"].values()), found["rows"]
    return found


def without_keys(found: dict[str, Any]) -> dict[str, Any]:
    """Keys differ from project to project; whether they are equal does not."""
    places: dict[int, int] = {0: 0}
    events = [
        (event, places.setdefault(user, len(places)), places.setdefault(alias, len(places)), *rest)
        for event, user, alias, *rest in found["events"]
    ]
    return found | {"events": events}


CRASHES = [("P4", 1), ("P5", 1), *(("P6", n) for n in range(1, len(TABLES) + 2)), ("P7", 1), ("P8", 1)]


@pytest.mark.parametrize(("point", "hits"), CRASHES)
def test_a_block_that_a_crash_cut_off_is_redone_exactly_once(
    store: Store,
    new_name: Callable[[str], str],
    crash_at: Callable[[str, int], None],
    point: str,
    hits: int,
    undisturbed: dict[str, Any],
) -> None:
    world = World(store, new_name("blocks"))
    world.append(track("view", "device", properties={"n": 1}))
    world.process()
    populate(world)
    crash_at(point, hits)
    with pytest.raises(Crash):
        world.processor.step()
    world.append(track("view", "device"))  # comes after the crash: must not end up in the redone block
    world.now += 86_400_000
    world.start()
    world.processor.recover()
    if point not in ("P7", "P8"):  # done before the crash
        assert world.processor.step()
    assert world.log.position(world.partition).committed == 2
    assert without_keys(snapshot(world)) == without_keys(undisturbed)
    world.process()
    assert len(world.events()) == len(undisturbed["events"]) + 1


def test_every_insert_lies_behind_a_crash_point(world: World, crash_at: Callable[[str, int], None]) -> None:
    world.append(track("view", "device", properties={"n": 1}))
    world.process()
    populate(world)
    crash_at("P6", len(TABLES) + 2)  # one more than there are
    world.process()


def test_a_crash_before_anything_was_planned_loses_nothing(world: World) -> None:
    world.append(track("view", "a"))
    world.start()
    world.process()
    assert len(world.events()) == 1


def test_the_outcome_of_a_block_is_the_sum_of_its_rows(world: World) -> None:
    populate(world)
    world.process()
    outcome = (
        "SELECT stored, checksum, toUnixTimestamp64Milli(received_until) FROM ingest_blocks "
        "WHERE state = 'done' AND log_partition = {p:UInt16} AND {project:String} != ''"
    )
    [(stored, checksum, until)] = world.rows(outcome, p=world.partition)
    assert (stored, until) == (6, NOON)
    total = "SELECT sum(event_key) FROM events WHERE project = {project:String}"
    assert world.rows(total) == [(checksum,)]
    assert world.ledger() == {"received": 8, "stored": 6, "duplicate": 1, "rejected not_an_object": 1}


def test_a_log_that_the_store_does_not_know_is_refused(world: World) -> None:
    for _ in range(2):
        world.append(track("view", "a"))
        world.process()
    world.log = MemoryLog(max_bytes=1 << 20)
    world.writer = world.log.open_writer(world.partition)
    world.append(track("view", "b"))
    world.start()
    with pytest.raises(LogReplacedError, match="it is not the log that was written into this store"):
        world.processor.step()


def test_while_the_store_is_away_the_same_block_is_tried_with_the_same_tokens(world: World) -> None:
    flaky = FlakyStore(world.store, {"events", "ingest_blocks"}, {"event_ids", "ledger", "profiles"}, [])
    world.store = flaky
    world.start()
    populate(world)
    failures = 0
    while True:
        try:
            if not world.processor.step():
                break
        except StoreUnavailable:
            failures += 1
            world.append(track("later", "device"))
    assert failures == 5
    tokens = {token for table, token in flaky.tokens if table == "events"}
    assert tokens == {f"{world.partition}:0:0", f"{world.partition}:1:5"}
    assert len(world.events()) == 3 + 5
    assert world.ledger()["stored"] == 6 + 5


def test_run_goes_on_when_the_store_is_back_and_says_since_when_it_was_away(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.options = ProcessorOptions(linger_seconds=0.0, first_retry_seconds=0.001)
    world.store = FlakyStore(world.store, {"events", "ledger"}, set(), [])
    world.append(track("view", "a"))
    stop = threading.Event()
    thread = threading.Thread(target=world.start().run, args=(stop,))
    thread.start()
    world.processor.wait_idle()
    stop.set()
    thread.join()
    assert len(world.events()) == 1
    assert "failing_for_seconds" in capsys.readouterr().out


def test_an_insert_is_never_without_a_token(world: World) -> None:
    flaky = FlakyStore(world.store, set(), set(), [])
    world.store = flaky
    world.start()
    populate(world)
    world.process()
    token = f"{world.partition}:0:0"
    assert flaky.tokens[0] == ("ingest_blocks", f"{token}:planned")
    assert flaky.tokens[-1] == ("ingest_blocks", f"{token}:done")
    assert {used for _, used in flaky.tokens[1:-1]} == {token}
    tables = [table for table, _ in flaky.tokens[1:-1]]
    assert tables == [table for table in TABLES if table != "type_conflicts"]


def test_blocks_that_were_done_but_not_committed_are_not_done_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Commits, "flush", lambda self, patient=False: [])
    world.options = ProcessorOptions(max_events=1)
    world.start()
    for name in ("a", "b", "c"):
        world.append(track("view", name))
        world.processor.step()
    monkeypatch.undo()
    assert world.log.position(world.partition).committed == 0
    world.start().recover()
    assert world.log.position(world.partition).committed == 3
    world.process()
    assert world.ledger() == {"received": 3, "stored": 3}
