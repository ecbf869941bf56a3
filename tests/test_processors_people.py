"""Persons come out the same however many processors there are, whatever happens to them."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from footfall.eventlog.memory_log import MemoryLog
from footfall.storage.migrate import migrate
from footfall.storage.opening import open_store
from footfall.storage.store import Store
from footfall.storage.topology import topology_of
from footfall.workspace import IdentityRules
from processor.restamp import Restamper, RestampOptions
from tests.processor_world import ADMINISTRATOR, NOON, profile, sign_up, track, word
from tests.reference.identity import Claim, Word, persons
from tests.reference.identity_graph import Model, Told
from tests.several import Company, Died, Member, crashing
from tests.test_identity import IDS, claims, say, stated, words
from tests.test_identity_global import IDS as GLOBAL_IDS
from tests.test_identity_global import KEYS, MODEL_KEYS, histories, merges, whose_rows
from tests.test_identity_global import say as say_globally

EXAMPLES = int(os.environ.get("IDENTITY_EXAMPLES", "8"))  # through the real stack: a second or two each
FEW = settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
EAGER = RestampOptions(from_overrides=1, rows_per_turn=1_000, longest_query_seconds=0)


@pytest.fixture(scope="module")
def shared(
    store: Store, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, MemoryLog]]:
    """A store and a log for the tests of this module."""
    url = f"{store_url}?database=people_of_several"
    opened = open_store(url, scratch=tmp_path_factory.mktemp("scratch"))
    migrate(opened, topology_of(url))
    yield opened, MemoryLog(max_bytes=1 << 30, routes=True, numbers=2)
    opened.close()


STEPS = st.sampled_from(["", "first", "second", "both", "dies", "restart", "swap", "restamp"])


class Play:
    """Two processors, each of which owns a number of the log, and what happens to them."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.members = [company.member(0), company.member(1)]

    def act(self, step: str, point: tuple[str, int]) -> None:
        first, second = self.members
        if step in ("first", "both"):
            first.process()
        if step in ("second", "both"):
            second.process()
        if step == "dies":
            try:
                with crashing(*point):
                    first.process()
            except Died:
                self.members[0] = self._heir(first)
        if step == "restart":
            self.members[1] = self._heir(second)
        if step == "swap":
            owned = [member.ownership.owned() for member in self.members]
            for member, numbers in zip(self.members, owned, strict=True):
                member.ownership.revoke(numbers)
            for member, numbers in zip(self.members, reversed(owned), strict=True):
                member.ownership.assign(numbers)
        if step == "restamp":
            restamp(self.company, first)

    def _heir(self, member: Member) -> Member:
        return self.company.member(*(number - self.company.base for number in member.ownership.owned()))

    def end(self) -> None:
        for _ in range(50):
            for member in self.members:
                member.process()
            if not self.company.lag():
                return
        raise AssertionError(f"{self.company.lag()} records were never processed")


def restamp(company: Company, member: Member) -> None:
    restamper = Restamper(company.store, member.processor, clock=lambda: company.now, options=EAGER)
    for _ in range(20):
        if not restamper.turn():
            return


def overrides(company: Company) -> int:
    return int(company.world.rows("SELECT count() FROM overrides WHERE {project:String} != ''")[0][0])


SAID = st.one_of(claims, claims, words)
POINTS = st.sampled_from([("P4", 1), ("P5", 1), ("P7", 1), *(("P6", hits) for hits in range(1, 10))])


@given(
    st.lists(SAID, min_size=2, max_size=8, unique_by=lambda each: (each.received_at, each.seq)),
    st.lists(st.tuples(st.integers(0, 1), STEPS, POINTS), min_size=8, max_size=8),
    st.sampled_from(["many_to_one", "one_to_one"]),
)
@FEW
def test_two_processors_give_the_models_persons(
    shared: tuple[Store, MemoryLog],
    new_name: Callable[[str], str],
    told: list[Claim | Word],
    plays: list[tuple[int, str, tuple[str, int]]],
    strategy: str,
) -> None:
    company = Company(*shared, new_name("people"), IdentityRules(strategy, shared_device_limit=2))
    play = Play(company)
    for number, id_ in enumerate(IDS[:5]):
        company.append(track("view", id_), number=number % 2)
    for each, (number, step, point) in zip(told, plays, strict=False):
        company.number = number
        say(company, each)  # type: ignore[arg-type]
        play.act(step, point)
    company.number = None
    for number, id_ in enumerate(IDS[5:]):
        company.append(track("view", id_), number=number % 2)
    play.end()
    said = [each for each in told if isinstance(each, Word)]
    every = [each for each in told if isinstance(each, Claim)] + stated(said)
    said += [
        Word("bind", c.anonymous, c.login, *c[2:5]) for c in every if c.trusted and c.anonymous != c.login
    ]
    expected = persons(every, IDS, only_trusted=False, limit=2, strategy=strategy, words=said)
    found = company.world.persons()
    assert {id_: found[id_] for id_ in IDS} == expected
    restamp(company, play.members[0])
    assert overrides(company) == 0
    found = company.world.persons()
    assert {id_: found[id_] for id_ in IDS} == expected
    assert company.findings() == []


@given(
    st.tuples(histories(6), st.lists(merges, max_size=2, unique_by=lambda each: each.event_id)).map(
        lambda told: [*told[0], *told[1]]
    ),
    st.lists(st.tuples(st.integers(0, 1), STEPS, POINTS), min_size=8, max_size=8),
)
@FEW
def test_two_processors_give_the_models_persons_of_declared_keys(
    shared: tuple[Store, MemoryLog],
    new_name: Callable[[str], str],
    said: list[Told | Word],
    plays: list[tuple[int, str, tuple[str, int]]],
) -> None:
    company = Company(*shared, new_name("global"), IdentityRules("global", "any", 2, keys=KEYS))
    play = Play(company)
    for number, id_ in enumerate(GLOBAL_IDS[::2]):
        company.append(track(id_, id_), number=number % 2)
    for told, (number, step, point) in zip(said, plays, strict=False):
        company.number = number
        say_globally(company, told)  # type: ignore[arg-type]
        play.act(step, point)
    company.number = None
    for number, id_ in enumerate(GLOBAL_IDS[1::2]):
        company.append(track(id_, id_), number=number % 2)
    play.end()
    told_of = [each for each in said if isinstance(each, Told)]
    expected = Model(MODEL_KEYS, told_of, only_trusted=False, limit=2).persons(
        GLOBAL_IDS, [each for each in said if isinstance(each, Word)]
    )
    for _ in range(2):
        found = whose_rows(company.world)
        assert {id_: found[id_] for id_ in GLOBAL_IDS} == expected
        restamp(company, play.members[1])
    assert overrides(company) == 0


@pytest.fixture
def company(shared: tuple[Store, MemoryLog], new_name: Callable[[str], str]) -> Company:
    return Company(*shared, new_name("side"))


def test_two_at_work_at_once_give_the_models_persons(company: Company) -> None:
    """In threads: sign-ups of one id at both, merges, profiles; then restamped."""
    random, said, words_, views = Random(5), list[Claim](), list[Word](), Counter[str]()
    devices, logins = [f"d{n}" for n in range(12)], [f"c{n}" for n in range(6)]
    coins = Counter[str]()
    members = [company.member(0, most=10), company.member(1, most=10)]
    stop = threading.Event()
    threads = [threading.Thread(target=member.processor.run, args=(stop,)) for member in members]
    for thread in threads:
        thread.start()
    try:
        for moment in range(1, 120):
            company.number = random.randrange(2)
            device, login, other = random.choice(devices), *random.sample(logins, 2)
            match random.choice(["sign_up", "view", "view", "coin", "merge"]):
                case "sign_up":
                    said.append(Claim(device, login, moment, 0, 0, trusted=False))
                    company.append(sign_up(device, login), received_at=NOON + moment)
                case "view":
                    views[device] += 1
                    company.append(track("view", device), received_at=NOON + moment)
                case "coin":
                    coins[device] += 1
                    company.append(profile("increment", device, coins=1), received_at=NOON + moment)
                case "merge":
                    words_.append(Word("merge", login, other, moment, 0, 0))
                    company.append(word("merge", login, other), received_at=NOON + moment, **ADMINISTRATOR)
        give_up_at = time.monotonic() + 120
        while company.lag():
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    whose = persons(said, [*devices, *logins], only_trusted=False, limit=3, words=words_)
    seen, owned = Counter[str](), Counter[str]()
    for device in devices:
        seen[whose[device]] += views[device]
        owned[whose[device]] += coins[device]
    for _ in range(2):
        counted = company.world.rows(_VIEWS)
        assert dict(counted) == {company.world.key(person): n for person, n in (+seen).items()}
        restamp(company, members[0])
    assert overrides(company) == 0
    found = {person: int(each["coins"]) for person, each in company.world.profiles().items()}
    assert found == +owned
    assert company.findings() == []


_VIEWS = """
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key),
    count()
FROM events WHERE project = {project:String} AND event = 'view' GROUP BY 1"""


def test_a_block_that_says_something_waits_for_one_that_was_begun(company: Company) -> None:
    """Both bind the same id; the first dies between its binding and its overrides."""
    first, second = company.member(0), company.member(1)
    company.append(track("view", "device"), number=0)
    first.process()
    company.append(sign_up("device", "lin"), number=0, received_at=NOON + 1)
    with crashing("P6", 2), pytest.raises(Died):
        first.process()
    both = (sign_up("device", "lin"), sign_up("tablet", "lin"))
    company.append(*both, number=1, received_at=NOON + 2)
    company.append(track("view", "other"), number=1)
    assert not second.processor.step()
    assert company.lag() == 3
    second.ownership.assign([company.base])
    second.process()
    assert company.lag() == 0
    assert company.world.persons() == {"device": "lin", "lin": "lin", "other": "other"}
    assert company.findings() == []


def test_properties_have_one_type_whoever_sees_them_first(company: Company) -> None:
    first, second = company.member(0), company.member(1)
    for member in (first, second):
        member.processor.recover()
    company.append(track("view", "a", properties={"size": 5}), number=0)
    first.process()
    company.append(track("view", "b", properties={"size": "large"}), number=1)
    second.process()
    rows: list[Any] = company.world.rows(
        "SELECT property, toString(type) FROM property_catalogue "
        "WHERE project = {project:String} AND property = 'size'"
    )
    assert rows == [("size", "number")]
    conflicts = company.world.rows(
        "SELECT property, type FROM type_conflicts WHERE project = {project:String}"
    )
    assert conflicts == [("size", "string")]
