"""Rewriting stamps: no answer changes at any moment, no row is lost or doubled, the overrides are emptied."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall import crash_points
from footfall.cli.processing import begin_drain, running
from footfall.cli.processor_thread import ProcessorThread
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Query, QueryLimits, Rows, Store, StoreUnavailable
from footfall.storage.topology import topology_of
from footfall.workspace import IdentityRules
from processor.loop import Unsure
from processor.mutations import unfinished
from processor.restamp import Restamper, RestampOptions
from query_api.sql.events import PERSON
from tests.identity_churn import churn
from tests.processor_world import ADMINISTRATOR, NOON, World, sign_up, track, word
from tests.system import EAGER, System

ROOT = Path(__file__).parent.parent
MONTH_MS = 31 * 86_400_000
DEVICES = 12


@pytest.fixture
def own_store(
    store: Store, store_url: str, tmp_path: Path, new_name: Callable[[str], str]
) -> Iterator[Store]:
    """With nobody else's rows in it."""
    url = f"{store_url}?database={new_name('restamp')}"
    opened = open_store(url, scratch=tmp_path)
    migrate(opened, topology_of(url))
    yield opened
    opened.close()
    store.command(f"DROP DATABASE {topology_of(url).database} SYNC")


@pytest.fixture
def world(own_store: Store, new_name: Callable[[str], str]) -> World:
    return World(own_store, new_name("restamp"))


def restamper(world: World, store: Any = None) -> Restamper:
    return Restamper(store or world.store, world.processor, clock=lambda: world.now, options=EAGER)


def finish(restamper: Restamper) -> None:
    while restamper.turn():
        pass


def rows(world: World) -> list[tuple[Any, ...]]:
    """Every row with its person, but not its stamp."""
    return world.rows(
        f"SELECT log_partition, log_offset, seq, event_key, time, event, distinct_id, properties, {PERSON} "
        "FROM events WHERE project = {project:String} ORDER BY ALL"
    )


def overrides(world: World) -> int:
    """In the table and in the dictionary that queries read."""
    stored = world.rows("SELECT count(DISTINCT id_key) FROM overrides WHERE {project:String} != ''")[0][0]
    held = world.rows(
        "SELECT sum(element_count) FROM system.dictionaries WHERE database = currentDatabase() "
        "AND {project:String} != ''"
    )[0][0]
    assert stored == held
    return int(stored)


def populate(world: World) -> None:
    """Devices with events of two months, bound later; one of them is taken back."""
    for number in range(DEVICES):
        when = NOON - (number % 2) * MONTH_MS
        device = f"phone{number}"
        world.append(*(track("view", device, when + n, properties={"n": n}) for n in range(3)))
    world.process()
    for number in range(DEVICES):
        world.append(sign_up(f"phone{number}", f"c{number}"), received_at=NOON + 1)
    world.process()
    world.append(word("unbind", "phone0", ""), received_at=NOON + 2, **ADMINISTRATOR)
    world.append(track("view", "phone1"), received_at=NOON + 3)
    world.process()


def test_rows_get_the_stamp_of_their_person_and_the_overrides_are_emptied(world: World) -> None:
    populate(world)
    before, ledger = rows(world), world.ledger()
    assert overrides(world) == DEVICES
    finish(restamper(world))
    assert (rows(world), world.ledger()) == (before, ledger)
    assert overrides(world) == 0
    wrong = f"SELECT count() FROM events WHERE user_key != {PERSON} AND {{project:String}} != ''"
    assert world.rows(wrong) == [(0,)]
    stamps = dict(
        world.rows("SELECT DISTINCT distinct_id, user_key FROM events WHERE project = {project:String}")
    )
    assert stamps["phone1"] == world.key("c1")
    assert stamps["phone0"] == world.key("phone0")
    own = world.rows(
        "SELECT DISTINCT distinct_id, if(alias_key = 0, user_key, alias_key) FROM events "
        "WHERE project = {project:String}"
    )
    assert all(key == world.key(id_) for id_, key in own)
    assert not restamper(world).turn(), "nothing is left to do"


def test_every_turn_leaves_every_answer_as_it_was_while_events_arrive(world: World) -> None:
    populate(world)
    at_work = restamper(world)
    arrived = 0
    while at_work.turn():
        before = rows(world)
        if arrived < 30:
            arrived += 1
            world.append(
                track("buy", f"phone{arrived % DEVICES}", NOON - (arrived % 2) * MONTH_MS),
                track("buy", f"c{arrived % DEVICES}"),
                received_at=NOON + 10,
            )
            world.process()
        assert [row for row in rows(world) if row[5] != "buy"] == [row for row in before if row[5] != "buy"]
    assert len(rows(world)) == DEVICES * 3 + DEVICES + 2 + 2 * arrived
    assert overrides(world) == 0
    assert world.persons()["phone1"] == "c1"


def test_what_moves_while_a_pass_is_under_way_stays_corrected(world: World) -> None:
    populate(world)
    at_work = restamper(world)
    while at_work.turn():
        moved = world.persons()["phone2"]
        if moved == "c2":
            world.append(word("unbind", "phone2", ""), received_at=NOON + 20, **ADMINISTRATOR)
        world.process()
        assert world.persons()["phone2"] == "phone2"
        assert world.persons()["phone3"] == "c3"
    assert world.persons()["phone2"] == "phone2"


def test_rows_that_are_being_deleted_do_not_come_back(world: World) -> None:
    populate(world)
    world.store.command("SYSTEM STOP MERGES events")  # and with them deletions
    try:
        gone = "distinct_id = 'phone3' AND event = 'view'"
        world.store.command(f"ALTER TABLE events DELETE WHERE {gone} SETTINGS mutations_sync = 0")
        at_work = restamper(world)
        for _ in range(20):
            at_work.turn()
        assert world.rows("SELECT count() FROM restamps WHERE {project:String} != ''") == [(0,)]
    finally:
        world.store.command("SYSTEM START MERGES events")
    while unfinished(world.store, "events"):
        time.sleep(0.01)
    before = rows(world)
    finish(at_work)
    assert [row for row in before if row[5:7] == ("view", "phone3")] == []
    assert (rows(world), overrides(world)) == (before, 0)


def test_a_query_that_is_running_counts_nobody_twice(world: World) -> None:
    world.append(*(track("view", f"d{n}") for n in range(400)))
    world.process()
    world.append(*(sign_up(f"d{n}", f"c{n}") for n in range(400)), received_at=NOON + 1)
    world.process()
    sql = f"SELECT {PERSON} FROM events WHERE event = 'view' SETTINGS max_block_size = 16, max_threads = 1"
    at_work = Restamper(
        world.store,
        world.processor,
        clock=lambda: world.now,
        options=RestampOptions(from_overrides=1, rows_per_turn=100, longest_query_seconds=3600),
    )
    stream = world.store.stream(Query(sql))
    persons = next(stream)[0].tolist()
    finish(at_work)
    assert world.rows("SELECT count() FROM restamps WHERE state = 'done' AND {project:String} != ''") == [
        (1,)
    ]
    for (more,) in stream:
        persons += more.tolist()
    assert sorted(persons) == sorted(world.key(f"c{n}") for n in range(400))
    assert overrides(world) == 400, "a query that began before may still be reading what was replaced"


@dataclass
class Disturbed:
    """A store whose next command that has the word in it fails, before or after it was done."""

    store: Store
    word: str
    fails_after: bool
    failures: int = 1

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self.store.insert(table, rows, token)

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows:
        return self.store.rows(query, limits)

    def command(self, sql: str) -> None:
        fails = self.word in sql and self.failures > 0
        self.failures -= fails
        if not fails or self.fails_after:
            self.store.command(sql)
        if fails:
            raise StoreUnavailable("the store is away")


@pytest.mark.parametrize("fails_after", [False, True])
@pytest.mark.parametrize(
    "part", ["INSERT INTO events_restamped", "REPLACE PARTITION", "ALTER TABLE overrides"]
)
def test_a_store_that_is_away_for_a_moment_costs_a_pass_at_most(
    world: World, part: str, fails_after: bool
) -> None:
    populate(world)
    before = rows(world)
    flaky = Disturbed(world.store, part, fails_after)
    stop, failed = threading.Event(), 0
    at_work = restamper(world, flaky)
    for _ in range(100):
        try:
            if not at_work.turn(stop):
                break
        except StoreUnavailable:
            failed += 1
            at_work.give_up()
        assert rows(world) == before
    assert (failed, overrides(world)) == (1, 0)


def test_when_it_is_unknown_what_happened_nothing_more_is_inserted_until_a_new_start(world: World) -> None:
    populate(world)
    before = rows(world)
    stop = threading.Event()
    stop.set()
    at_work = restamper(world, Disturbed(world.store, "REPLACE PARTITION", fails_after=True))
    with pytest.raises(Unsure):
        finish_with(at_work, stop)
    world.append(track("view", "phone1"))
    with pytest.raises(Unsure):
        world.processor.step()
    world.start()
    restamper(world).recover()
    assert rows(world) == before
    world.process()
    finish(restamper(world))
    assert (len(rows(world)), overrides(world)) == (len(before) + 1, 0)


@dataclass
class Away(Disturbed):
    """A store that goes away with the replacement of a month, and stays away."""

    word: str = "REPLACE PARTITION"
    fails_after: bool = True
    since: threading.Event = field(default_factory=threading.Event)

    def rows(self, query: Query, limits: QueryLimits | None = None) -> Rows:
        if self.since.is_set():
            raise StoreUnavailable("the store is away")
        return super().rows(query, limits)

    def command(self, sql: str) -> None:
        try:
            super().command(sql)
        except StoreUnavailable:
            self.since.set()
            raise


def test_a_store_that_is_away_while_a_month_is_replaced_does_not_keep_the_engine_from_ending(
    world: World,
) -> None:
    populate(world)
    before = rows(world)
    away = Away(world.store)
    ended = threading.Event()
    processing = ProcessorThread(world.processor, world.log, drain_seconds=0.1, when_ended=ended.set)
    processing.start()
    with running(restamper(world, away)) as rewriting:
        assert away.since.wait(60)
        begin_drain((rewriting,), processing, signal.SIGTERM)
        assert ended.wait(60)
    assert rows(world) == before


def finish_with(restamper: Restamper, stop: threading.Event) -> None:
    while restamper.turn(stop):
        pass


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("point", ["R1", "R2", "R3", "R4", "R5", "R6"])
def test_a_crash_costs_no_row(world: World, point: str) -> None:
    populate(world)
    before = rows(world)
    hits = 0

    def die(reached: str) -> None:
        nonlocal hits
        hits += reached == point
        if reached == point and hits == 1:
            raise Crash(point)

    crash_points.observe(die)
    try:
        with pytest.raises(Crash):
            finish(restamper(world))
        world.start()
        again = restamper(world)
        again.recover()
        world.processor.recover()
        world.store.command("SYSTEM RELOAD DICTIONARY overrides_map")  # as a new process does
        assert rows(world) == before
        world.append(track("view", "phone1"))
        world.process()
        finish(again)
    finally:
        crash_points.observe(None)
    assert (len(rows(world)), overrides(world)) == (len(before) + 1, 0)


PROGRAM = """
import os
import sys
from pathlib import Path
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.topology import Topology
from tests.processor_world import World
from tests.test_restamp import finish, overrides, populate, restamper, rows
from footfall.eventlog.sqlite_log import SqliteLog
home = Path(sys.argv[1])
store = open_store(f"chdb://{home}/store", scratch=home / "scratch")
migrate(store, Topology())
world = World(store, "p", log=SqliteLog(home / "log", max_bytes=1 << 30), partition=0)
at_work = restamper(world)
if sys.argv[2] == "work":
    populate(world)
    print("", len(rows(world)), sep="\\n", flush=True)
    os.dup2(2, 1)
    finish(at_work)
else:
    at_work.recover()
    world.processor.recover()
    found = rows(world)
    finish(at_work)
    assert rows(world) == found
    print(len(found), overrides(world), world.persons()["phone1"] == "c1")
    world.writer.close()
    world.log.close()
    store.close()
"""


@pytest.mark.parametrize("point", ["R1:3", "R3:2", "R4:1"])
def test_a_killed_process_leaves_every_row_once(tmp_path: Path, point: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk' / 'python'}"}

    def run(what: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path), what],
            cwd=ROOT,
            env=environment | {"FOOTFALL_FAULT": fault},
            capture_output=True,
            text=True,
            check=False,
        )

    killed = run("work", point)
    assert killed.returncode == 137, killed.stderr
    after = run("look")
    assert after.returncode == 0, after.stderr
    stored = killed.stdout.split()[-1]
    assert after.stdout.split()[-3:] == [stored, "0", "True"]


async def test_answers_stay_and_people_are_found_when_rows_were_rewritten(system: System) -> None:
    query = {"range": {"from": "2026-10-01", "to": "2026-12-31"}, "interval": "total"}
    query["series"] = [{"event": "view", "measure": measure} for measure in ("users", "events")]
    for number in range(6):
        await system.send({"event": "view", "distinct_id": f"phone{number}", "time": NOON})
    await system.settle()
    for number in range(6):
        await system.send(
            {
                "type": "track_signup",
                "original_id": f"phone{number}",
                "distinct_id": f"c{number % 3}",
                "time": NOON,
            }
        )
    await system.settle()
    before = await system.ask("trends", query)
    assert [series["total"] for series in before["series"]] == [3, 6]
    await system.restamp()
    assert await system.ask("trends", query | {"refresh": True}) == before
    person = (await system.query_api.get("/api/v1/users/phone4")).json()
    assert person["distinct_ids"] == ["c1", "phone1", "phone4"]
    events = (await system.query_api.get("/api/v1/users/phone4/events")).json()["events"]
    assert sorted(one["distinct_id"] for one in events if one["event"] == "view") == ["phone1", "phone4"]
    assert system.rows("SELECT count() FROM overrides") == [(0,)]


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["bind", "unbind", "merge", "unmerge", "sign_up", "track", "turn", "turn", "finish"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=14,
)


@given(MOVES, st.sampled_from(["many_to_one", "one_to_one", "global"]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_with_passes_at_any_time_gives_what_it_gives_without(
    own_store: Store, new_name: Callable[[str], str], moves: list[tuple[str, int, int]], strategy: str
) -> None:
    plain, rewritten = (World(own_store, new_name("restamp"), IdentityRules(strategy)) for _ in range(2))
    at_work = restamper(rewritten)
    for number, (move, device, login) in enumerate(moves):
        if move in ("turn", "finish"):
            finish(at_work) if move == "finish" else at_work.turn()
        for each in (plain, rewritten):
            each.now = NOON + number
            say(each, move, f"phone{device}", f"c{login}", NOON + number)
            each.process()
        assert rewritten.persons() == plain.persons()
    finish(at_work)
    assert rewritten.persons() == plain.persons()


def say(world: World, move: str, device: str, login: str, now: int) -> None:
    if move == "track":
        world.append(track("view", device), track("view", login, login_id=login), received_at=now)
    elif move == "sign_up":
        world.append(sign_up(device, login), received_at=now)
    elif move in ("bind", "unbind"):
        world.append(word(move, device, login), received_at=now, **ADMINISTRATOR)
    elif move in ("merge", "unmerge"):
        world.append(word(move, login, "c9"), received_at=now, **ADMINISTRATOR)


def test_hundreds_of_identities_come_and_go_while_events_arrive(world: World) -> None:
    figures = churn(world, 240, seed=7, quiet_points=4)
    assert figures.quiet_points >= 4
    assert figures.passes > 1
    assert figures.most_overrides < 240
    assert figures.overrides_left == 0
    assert figures.copied_again == 0, "the comparison mended what a slice had wrong"
