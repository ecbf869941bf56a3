"""Two processors that both think that a number of the log is theirs store everything once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from footfall.eventlog.lanes import BACKFILL
from footfall.eventlog.memory_log import MemoryLog
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import topology_of
from processor.turns import ThreadTurns
from tests.processor_world import NOON, profile, sign_up, track
from tests.several import Company, Died, crashing, stopped_at


@pytest.fixture(scope="module")
def shared(
    store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, MemoryLog]]:
    """A store and a log for the tests of this module."""
    url = f"{store_url}?database=fence"
    opened = open_store(url, scratch=tmp_path_factory.mktemp("scratch"))
    migrate(opened, topology_of(url))
    yield opened, MemoryLog(max_bytes=1 << 30, routes=True, numbers=2)
    opened.close()


@pytest.fixture
def company(shared: tuple[Store, MemoryLog], new_name: Callable[[str], str]) -> Company:
    return Company(*shared, new_name("fence"))


def some_of_all(company: Company, number: int) -> None:
    """A record that writes to most tables."""
    company.append(
        track("view", "device", properties={"n": 1}),
        sign_up("device", "lin"),
        profile("set", "lin", name="Lin"),
        profile("increment", "device", coins=3),
        {"type": "item_set", "item_type": "fund", "item_id": "7", "time": NOON, "properties": {"risk": "low"},
         "distinct_id": "x"},
        track("buy", "lin", event_id="bought"),
        number=number,
    )  # fmt: skip


def plain(company: Company, number: int, **fields: Any) -> None:
    company.append(track("view", "device", **fields), number=number)


def check(company: Company, events: int, *, views: int) -> None:
    """Everything once, and the proof is closed."""
    assert company.lag() == 0
    world = company.world
    counts = world.rows(
        "SELECT count(), countIf(event = 'view') FROM events WHERE project = {project:String}"
    )
    assert counts == [(events, views)]
    assert set(world.persons().values()) <= {"lin"}
    assert company.findings() == []
    ids = world.rows(
        "SELECT count(), uniqExact(event_id) FROM event_ids WHERE log_partition % 1000 IN {n:Array(UInt16)} "
        "AND {project:String} != ''", n=sorted(company.numbers),
    )  # fmt: skip
    assert ids[0][0] == ids[0][1]


POINTS = [("P4", 1), ("P5", 1), *(("P6", hits) for hits in (1, 2, 5, 8, 13)), ("P7", 1), ("P8", 1)]


@pytest.mark.parametrize(("point", "hits"), POINTS)
def test_the_next_owner_ends_what_a_dead_one_began(company: Company, point: str, hits: int) -> None:
    plain(company, 0)
    first = company.member(0)
    first.process()
    some_of_all(company, 0)
    with crashing(point, hits), pytest.raises(Died):
        first.process()
    plain(company, 0, event_id="late")
    company.now += 60_000
    company.member(0).process()
    check(company, 5, views=3)
    assert company.world.profiles() == {"lin": {"name": "Lin", "coins": "3"}}


@pytest.mark.parametrize(
    ("point", "hits", "knows"), [*((*place, False) for place in POINTS), ("P4", 1, True), ("P6", 5, True)]
)
def test_a_zombie_that_goes_on_after_its_successor_changes_nothing(
    company: Company, point: str, hits: int, knows: bool
) -> None:
    """`knows`: it finds that its turn was lost; else nothing at all tells it."""
    plain(company, 0)
    zombie = company.member(0)
    zombie.process()
    some_of_all(company, 0)
    with stopped_at(point, hits, zombie.process):
        if knows:
            company.turns.take_away()
        plain(company, 0, event_id="late")
        heir = company.member(0, turns=company.turns if knows else ThreadTurns())
        heir.process()
        some_of_all(company, 0)  # the zombie reads it, too
    heir.process()
    check(company, 7, views=4)
    assert company.world.profiles() == {"lin": {"name": "Lin", "coins": "6"}}


@pytest.mark.parametrize(("point", "hits"), [("P4", 1), ("P6", 2), ("P6", 12)])
def test_a_zombie_may_end_the_block_in_which_its_successor_died(
    company: Company, point: str, hits: int
) -> None:
    some_of_all(company, 0)
    zombie, heir = company.member(0), company.member(0, turns=ThreadTurns())
    with stopped_at("P6", 4, zombie.process, others_die_at=(point, hits)), pytest.raises(Died):
        heir.process()
    company.member(0, turns=ThreadTurns()).process()
    check(company, 3, views=1)


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("most_of_heir", [2, 3, 20_000])
def test_blocks_of_other_lengths_are_those_that_were_planned_first(
    company: Company, most: int, most_of_heir: int
) -> None:
    """The same block, a shorter one, a longer one that contains it, and ones that overlap."""
    for number in range(7):
        plain(company, 0, event_id=f"event {number}")
    zombie = company.member(0, most=most)
    with stopped_at("P4", 1, zombie.process):
        heir = company.member(0, turns=ThreadTurns(), most=most_of_heir)
        assert heir.processor.step()
    while heir.processor.step() | zombie.processor.step():
        pass
    assert company.lag() == 0
    assert company.world.rows("SELECT count() FROM events WHERE project = {project:String}") == [(7,)]
    assert company.findings() == []


def test_a_repeat_in_another_lane_is_found_whoever_does_which(company: Company) -> None:
    """Two that own the same number cannot do a block of one lane each and not know of each other."""
    zombie, heir = company.member(0), company.member(0, turns=ThreadTurns())
    zombie.processor.recover()
    heir.processor.recover()
    plain(company, 0, event_id="same")
    company.append(track("view", "device", event_id="same"), lane=BACKFILL, number=0)
    assert zombie.processor.step()
    while heir.processor.step() | zombie.processor.step():
        pass
    assert company.world.rows("SELECT count() FROM events WHERE project = {project:String}") == [(1,)]
    assert company.lag() == 0
    assert company.findings() == []


def test_what_is_revoked_is_let_go_and_what_is_assigned_is_gone_on_with(company: Company) -> None:
    one, other = company.member(0, 1), company.member()
    for number in (0, 1):
        plain(company, number, event_id=f"first {number}")
    one.process()
    other.process()
    one.ownership.revoke([company.base + 1])
    other.ownership.assign([company.base + 1])
    for number in (0, 1):
        plain(company, number, event_id=f"first {number}")  # repeats: the new owner knows them
        plain(company, number, event_id=f"second {number}")
    one.process()
    assert company.lag() == 2
    other.process()
    assert company.lag() == 0
    assert company.world.rows("SELECT count() FROM events WHERE project = {project:String}") == [(4,)]
    assert company.findings() == []


def test_revoking_waits_for_the_block_and_then_cuts_it_off(company: Company) -> None:
    some_of_all(company, 0)
    member = company.member(0)
    with stopped_at("P6", 4, member.process):
        member.ownership.revoke([company.base], seconds=0.05)
        assert member.ownership.owned() == frozenset()
    assert company.lag() == 1
    company.member(0).process()
    check(company, 3, views=1)
