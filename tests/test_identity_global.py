"""Who is behind an id under the strategy `global`: the pure rules and the processor against the slow model of
tests/reference/identity_graph.py, and what each case comes to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.events.components import resolve_graph
from footfall.events.identity import ResolutionRules
from footfall.events.identity_graph import NO_NODE_TIES, NodeTies, reach, tie_node
from footfall.events.identity_keys import ANONYMOUS, LOGIN, IdentityKey, IdentityKeys
from footfall.storage.store import Store
from footfall.workspace import IdentityRules
from tests.processor_world import ADMINISTRATOR, NOON, World, new_event_id, track, word
from tests.reference.identity import Word
from tests.reference.identity_graph import Key, Model, Told

MOBILE, CARD, COOKIE, UNION, OPEN = "mobile", "card", "cookie", "union", "open"
KEYS = (
    IdentityKey(LOGIN, "one"),
    IdentityKey(MOBILE, "one"),
    IdentityKey(CARD, "one", overflow="replace"),
    IdentityKey(UNION),
    IdentityKey(OPEN, parent=UNION),
    IdentityKey(ANONYMOUS),
    IdentityKey(COOKIE, most=2),
)
MODEL_KEYS = (
    Key("login", 1),
    Key(MOBILE, 1),
    Key(CARD, 1, replaces=True),
    Key(UNION),
    Key(OPEN, parent=UNION),
    Key("plain"),
    Key(COOKIE, 2),
)
LOGINS = ["L1", "L2", "L3"]
PLAIN = ["a", "b"]
DECLARED = [f"{name}+{n}" for name in (MOBILE, CARD, COOKIE, UNION, OPEN) for n in (1, 2)]
IDS = [*LOGINS, *PLAIN, *DECLARED]
NUMBERS = {id_: number for number, id_ in enumerate(IDS, start=1)}


class Fact(NamedTuple):
    """A word as the rules take it."""

    kind: str
    one_key: int
    other_key: int
    one_name: str
    other_name: str
    one_id: str
    other_id: str
    received_at: int
    seq: int
    event_key: int
    trusted: bool


@st.composite
def tellings(draw: Any) -> Told:
    kind = draw(st.sampled_from(["link", "link", "link", "bind", "unbind"]))
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True))
    if kind == "unbind":
        ids = ids[:2]
    logins = [id_ for id_ in ids if id_ in LOGINS][:1]
    ids = [id_ for id_ in ids if id_ not in LOGINS or id_ in logins]
    return Told(
        kind, tuple(ids), frozenset(logins), draw(st.booleans()),
        draw(st.integers(1, 4)), draw(st.integers(0, 1)), draw(st.integers(0, 9)),
    )  # fmt: skip


def name_of(id_: str, told: Told) -> str:
    if "+" in id_:
        return id_.partition("+")[0]
    return LOGIN if id_ in told.logins else ANONYMOUS


def facts_of(told: Told) -> list[Fact]:
    """As processor/links.py makes them of a record."""
    keys = IdentityKeys(KEYS)
    ids = sorted(told.ids, key=lambda id_: keys.priority(name_of(id_, told)))
    rest = (*told.when, told.trusted)

    def fact(kind: str, one: str, other: str) -> Fact:
        names = [name_of(each, told) if each else "" for each in (one, other)]
        return Fact(kind, NUMBERS.get(one, 0), NUMBERS.get(other, 0), *names, one, other, *rest)

    if told.kind == "unbind":
        return [fact("unbind", ids[0], other) for other in ids[1:]] or [fact("unbind", "", ids[0])]
    found = [] if len(ids) > 1 else [fact("told", ids[0], "")]
    for id_ in ids[1:]:
        parent = keys.parent(name_of(id_, told))
        one = next((each for each in ids if name_of(each, told) == parent), ids[0])
        found.append(fact(told.kind, one, id_))
    return found


class Source:
    """Ties in a dict."""

    def __init__(self, facts: list[Fact]) -> None:
        self.ties = {number: tie_node(number, NO_NODE_TIES, facts) for number in NUMBERS.values()}

    def node_ties(self, keys: Any) -> dict[int, NodeTies]:
        return {key: self.ties[key] for key in keys}


many = st.lists(tellings(), max_size=9, unique_by=lambda told: told.when)


@given(many, st.booleans(), st.integers(1, 2))
@settings(max_examples=300, deadline=None)
def test_resolves_the_graph_as_the_model_does(said: list[Told], only_trusted: bool, limit: int) -> None:
    rules = ResolutionRules(only_trusted, limit, keys=IdentityKeys(KEYS))
    source = Source([fact for told in said for fact in facts_of(told)])
    expected = Model(MODEL_KEYS, said, only_trusted=only_trusted, limit=limit).persons(IDS)
    at_once = resolve_graph(reach(NUMBERS.values(), source, rules), rules).persons
    assert {id_: IDS[at_once[NUMBERS[id_]] - 1] for id_ in IDS} == expected
    for id_ in IDS:  # what is looked up for one id is enough for it
        alone = resolve_graph(reach([NUMBERS[id_]], source, rules), rules).persons
        assert IDS[alone[NUMBERS[id_]] - 1] == expected[id_]


@given(many, st.randoms(use_true_random=False), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_ties_do_not_mind_order_and_splits(said: list[Told], random: Any, cut: int) -> None:
    facts = [fact for told in said for fact in facts_of(told)]
    shuffled = list(facts)
    random.shuffle(shuffled)
    for key in NUMBERS.values():
        at_once = tie_node(key, NO_NODE_TIES, facts)
        in_parts = tie_node(key, tie_node(key, NO_NODE_TIES, shuffled[:cut]), shuffled[cut:])
        assert in_parts == at_once


# Through the real stack -------------------------------------------------------------------------------------


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("global"), IdentityRules("global"))


def identities(**named: Any) -> dict[str, Any]:
    return {f"$identity_{name}": value for name, value in named.items()}


def whose(world: World) -> dict[str, str]:
    """Each event's name -> the id that stands for its person."""
    names = {world.key(id_): id_ for (id_,) in world.rows(_IDS)} | {0: "nobody"}
    found: dict[str, set[str]] = {}
    for event, person in world.rows(_WHOSE):
        found.setdefault(event, set()).add(names.get(person, str(person)))
    assert all(len(persons) == 1 for persons in found.values()), found
    return {event: persons.pop() for event, persons in found.items()}


_IDS = """
SELECT arrayJoin([one_id, other_id]) FROM identity_links WHERE project = {project:String}
UNION DISTINCT SELECT arrayJoin([distinct_id, login_id]) FROM events WHERE project = {project:String}"""

_WHOSE = """
SELECT event, dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key)
FROM events WHERE project = {project:String}"""


def decisions(world: World) -> dict[tuple[str, str], str]:
    """What the log says last of each link and unbinding: "accepted", or why not."""
    rows = world.rows(
        "SELECT subject_id, login_id, argMax(if(outcome = 'accepted', outcome, reason), decided_at) "
        "FROM binding_decisions WHERE project = {project:String} GROUP BY 1, 2"
    )
    return {(subject, login): decision for subject, login, decision in rows}


def record_of(told: Told) -> dict[str, Any]:
    """A record that says it, and nothing else."""
    named: dict[str, list[str]] = {}
    for id_ in told.ids:
        named.setdefault(name_of(id_, told), []).append(id_.partition("+")[2] or id_)
    types = {"link": "track", "bind": "track_id_bind", "unbind": "track_id_unbind"}
    ids: dict[str, Any] = {name: each[0] if len(each) == 1 else each for name, each in named.items()}
    return track("said", "") | {"type": types[told.kind], "identities": ids}


def say(world: World, told: Told | Word) -> None:
    """A record says its place in its request by where it stands there."""
    before = [track("said", "")] * told.seq
    ids = [new_event_id(world.project, None) for _ in before]
    ids.append(told.event_id.to_bytes(8, "little").hex() + new_event_id(world.project, None)[16:])
    received_at = NOON + told.received_at
    if isinstance(told, Told):
        record = record_of(told)
        world.append(*before, record, event_ids=ids, received_at=received_at, trusted=told.trusted)
    else:
        record = word(*told[:3]) | {"event": "said"}
        world.append(*before, record, event_ids=ids, received_at=received_at, **ADMINISTRATOR)


merges = st.builds(
    Word,
    kind=st.sampled_from(["merge", "merge", "unmerge"]),
    subject=st.sampled_from(LOGINS),
    login=st.sampled_from(LOGINS),
    received_at=st.integers(1, 4),
    seq=st.integers(0, 1),
    event_id=st.integers(10, 19),
).filter(lambda word: word.subject != word.login)


@given(
    st.lists(tellings() | tellings() | merges, max_size=8, unique_by=lambda each: tuple(each[-3:])),
    st.permutations(range(8)),
    st.lists(st.sampled_from(["", "process", "restart"]), min_size=8, max_size=8),
    st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_and_any_split_in_blocks_gives_the_models_persons(
    store: Store,
    new_name: Callable[[str], str],
    said: list[Told | Word],
    order: list[int],
    cuts: list[str],
    only_trusted: bool,
) -> None:
    rules = IdentityRules("global", "trusted" if only_trusted else "any", 2, keys=KEYS)
    world = World(store, new_name("global"), rules)
    world.append(*(track(id_, id_) for id_ in IDS[::2]))
    for told, cut in zip((said[place] for place in order if place < len(said)), cuts, strict=False):
        say(world, told)
        if cut:
            world.process()
        if cut == "restart":
            world.start()
    world.append(*(track(id_, id_) for id_ in IDS[1::2]))
    world.process()
    model = Model(
        MODEL_KEYS, [each for each in said if isinstance(each, Told)], only_trusted=only_trusted, limit=2
    )
    found = whose_rows(world)
    assert {id_: found[id_] for id_ in IDS} == model.persons(
        IDS, [each for each in said if isinstance(each, Word)]
    )
    logged = {(frozenset((one, other)), trusted) for one, other, trusted in world.rows(_ACCEPTED)}
    assert logged == {(frozenset(link.ends), link.trusted) for link in model.accepted()}


_ACCEPTED = """
SELECT subject_id, login_id, trusted FROM binding_decisions WHERE project = {project:String} AND kind = 'bind'
GROUP BY 1, 2, 3 HAVING argMax(outcome, decided_at) = 'accepted'"""


def whose_rows(world: World) -> dict[str, str]:
    """Each event's own id -> the id that stands for its person; of events that are named as their id."""
    names = {world.key(id_): id_ for id_ in IDS}
    return {event: names[person] for event, person in world.rows(_WHOSE) if event in IDS}
