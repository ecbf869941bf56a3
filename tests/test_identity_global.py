"""Who is behind an id under the strategy `global`: the pure rules and the processor against the slow model of
tests/reference/identity_graph.py, and what each case comes to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from footfall import crash_points
from footfall.events.components import resolve_graph
from footfall.events.identity import ResolutionRules
from footfall.events.identity_graph import NO_NODE_TIES, NodeTies, reach, tie_node
from footfall.events.identity_keys import ANONYMOUS, LOGIN, IdentityKey, IdentityKeys
from footfall.storage.store import Store
from footfall.workspace import IdentityRules
from tests.captured import captured_requests
from tests.processor_world import ADMINISTRATOR, NOON, World, new_event_id, profile, sign_up, track, word
from tests.reference.identity import Word
from tests.reference.identity_graph import Key, Model, Told

EXAMPLES = int(os.environ.get("IDENTITY_EXAMPLES", "8"))  # through the real stack: most of a second each
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
THEMES = [
    ["a", "b", "cookie+1"],
    ["L1", "L2", "mobile+1", "mobile+2", "a"],
    ["L1", "card+1", "card+2", "cookie+1"],
    ["L1", "union+1", "open+1", "open+2"],
    ["L1", "L2", "L3", "a", "cookie+2"],
]
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
def tellings(draw: Any, among: list[str]) -> Told:
    kind = draw(st.sampled_from(["link", "link", "link", "bind", "unbind", "unbind"]))
    ids = draw(st.lists(st.sampled_from(among), min_size=1, max_size=3, unique=True))
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


@st.composite
def histories(draw: Any, most: int = 12) -> list[Told]:
    """Of few ids, so that what is said meets."""
    any_ids = st.lists(st.sampled_from(IDS), min_size=2, max_size=6, unique=True)
    among = draw(st.sampled_from(THEMES) | any_ids)
    told: list[Told] = draw(st.lists(tellings(among), max_size=most, unique_by=lambda each: each.when))
    return told


def said_of_a_pair(kind: str, when: int, *, trusted: bool) -> Told:
    return Told(kind, ("L1", "mobile+1"), frozenset({"L1"}), trusted, when, 0, when)


BOUND_AGAIN_BY_A_SERVER = [
    said_of_a_pair("link", 1, trusted=False),
    said_of_a_pair("unbind", 2, trusted=False),
    said_of_a_pair("bind", 3, trusted=True),
]
"""What the client said stands again, too: drawn histories seldom have it."""


@given(histories(), st.booleans(), st.integers(1, 2))
@example(BOUND_AGAIN_BY_A_SERVER, False, 2)
@settings(max_examples=400, deadline=None)
def test_resolves_the_graph_as_the_model_does(said: list[Told], only_trusted: bool, limit: int) -> None:
    rules = ResolutionRules(only_trusted, limit, keys=IdentityKeys(KEYS))
    source = Source([fact for told in said for fact in facts_of(told)])
    model = Model(MODEL_KEYS, said, only_trusted=only_trusted, limit=limit)
    expected = model.persons(IDS)
    at_once, decided = resolve_graph(reach(NUMBERS.values(), source, rules), rules)
    assert {id_: IDS[at_once[NUMBERS[id_]] - 1] for id_ in IDS} == expected
    assert {place for place, decision in decided.items() if decision == "accepted"} == {
        (*sorted(NUMBERS[each] for each in link.ends), link.trusted) for link in model.accepted()
    }
    for id_ in IDS:  # what is looked up for one id is enough for it
        alone = resolve_graph(reach([NUMBERS[id_]], source, rules), rules).persons
        assert IDS[alone[NUMBERS[id_]] - 1] == expected[id_]


@given(histories(), st.randoms(use_true_random=False), st.integers(0, 9))
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
    """Each event's name -> the ids that stand for its persons."""
    names = {world.key(id_): id_ for (id_,) in world.rows(_IDS)} | {0: "nobody"}
    found: dict[str, set[str]] = {}
    for event, person in world.rows(_WHOSE):
        found.setdefault(event, set()).add(names.get(person, str(person)))
    return {event: ", ".join(sorted(persons)) for event, persons in found.items()}


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
    st.tuples(histories(6), st.lists(merges, max_size=2, unique_by=lambda each: each.event_id)).map(
        lambda told: [*told[0], *told[1]]
    ),
    st.permutations(range(8)),
    st.lists(st.sampled_from(["", "process", "restart"]), min_size=8, max_size=8),
    st.booleans(),
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


# What each case comes to (docs/identity.md) -----------------------------------------------------------------


def visit(name: str, cookie: str, login: str = "", **more: str) -> dict[str, Any]:
    """As the Web SDK sends an event of a visitor, who may have logged in."""
    ids = identities(cookie_id=cookie, **more)
    ids |= identities(login_id=login) if login else identities(anonymous_id=cookie)
    record = track(name, login or cookie, anonymous_id=cookie, identities=ids)
    return record | ({"login_id": login} if login else {})


def sign(cookie: str, login: str, **more: str) -> dict[str, Any]:
    """The sign-up of the Web SDK."""
    record = sign_up(cookie, login) | {"login_id": login, "anonymous_id": cookie}
    return record | {"identities": identities(cookie_id=cookie, login_id=login, anonymous_id=cookie, **more)}


def unbinding(distinct_id: str, **named: str) -> dict[str, Any]:
    return track("$UnbindID", distinct_id) | {"type": "track_id_unbind", "identities": identities(**named)}


def binding(distinct_id: str, **named: Any) -> dict[str, Any]:
    return track("$BindID", distinct_id) | {"type": "track_id_bind", "identities": identities(**named)}


def arrive(world: World, *records: dict[str, Any], **header: Any) -> None:
    """Each in a request of its own, a second after the one before."""
    for record in records:
        world.now += 1_000
        world.append(record, received_at=world.now, **header)
    world.process()


def test_the_first_sign_up_makes_one_person_of_all_ids_and_takes_the_past_along(world: World) -> None:
    arrive(world, visit("before", "c1"), sign("c1", "lin"), visit("after", "c1", "lin"), visit("out", "c1"))
    arrive(world, track("server", "lin"), track("plain", "c1"))
    assert set(whose(world).values()) == {"lin"}
    assert decisions(world) == {
        ("c1", "lin"): "accepted",
        ("$identity_cookie_id+c1", "lin"): "accepted",
        ("$identity_cookie_id+c1", "c1"): "accepted",
    }


def test_a_login_has_many_devices_and_their_past(world: World) -> None:
    arrive(world, visit("first", "c1"), sign("c1", "lin"), visit("second", "c2"), sign("c2", "lin"))
    assert set(whose(world).values()) == {"lin"}


def test_a_second_login_on_a_device_is_a_person_of_its_own_and_the_device_stays_the_firsts(
    world: World,
) -> None:
    arrive(world, sign("c1", "lin"), visit("lin out", "c1"), sign("c1", "wang"))
    arrive(world, visit("wang in", "c1", "wang"), visit("wang out", "c1"))
    found = whose(world)
    assert (found["lin out"], found["wang in"], found["wang out"]) == ("lin", "wang", "lin")
    assert decisions(world)["c1", "wang"] == "login_conflict"
    assert decisions(world)["$identity_cookie_id+c1", "wang"] == "login_conflict"


def test_an_anonymous_person_and_a_login_with_histories_become_one(world: World) -> None:
    arrive(world, visit("anonymous", "c1"), track("login", "lin", login_id="lin"))
    assert set(whose(world).values()) == {"c1", "lin"}
    arrive(world, sign("c1", "lin"))
    assert set(whose(world).values()) == {"lin"}


def test_two_persons_with_logins_never_merge_by_another_id(world: World) -> None:
    arrive(
        world, binding("lin", login_id="lin", mobile="138"), binding("wang", login_id="wang", mobile="139")
    )
    arrive(world, binding("wang", login_id="wang", mobile="138"), trusted=True)
    arrive(world, track("lin", "lin"), track("wang", "wang"), track("138", "$identity_mobile+138"))
    found = whose(world)
    assert (found["lin"], found["wang"], found["138"]) == (
        "lin",
        "wang",
        "wang",
    )  # a server's word comes first
    assert decisions(world)["$identity_mobile+138", "lin"] == "login_conflict"
    assert decisions(world)["$identity_mobile+139", "wang"] == "second_value"


def test_a_second_value_of_a_key_that_takes_one_is_refused_and_the_priority_says_whose_the_event_is(
    world: World,
) -> None:
    arrive(world, binding("lin", login_id="lin", mobile="138"), binding("lin", login_id="lin", mobile="139"))
    arrive(world, track("both", "x", identities=identities(login_id="lin", mobile="139")))
    arrive(world, track("number", "$identity_mobile+139", identities=identities(mobile="139")))
    found = whose(world)
    assert (found["both"], found["number"]) == ("lin", "$identity_mobile+139")
    assert decisions(world)["$identity_mobile+139", "lin"] == "second_value"


def test_an_unbound_id_goes_with_its_past_and_comes_back_when_it_is_bound_again(world: World) -> None:
    arrive(world, binding("lin", login_id="lin", mobile="138"))
    arrive(world, track("number", "$identity_mobile+138"), track("login", "lin"))
    arrive(world, unbinding("lin", mobile="138"))
    assert whose(world) | {"$BindID": ""} == {
        "number": "$identity_mobile+138", "login": "lin", "$UnbindID": "lin", "$BindID": ""
    }  # fmt: skip
    arrive(world, track("told", "lin", login_id="lin", identities=identities(login_id="lin", mobile="138")))
    assert whose(world)["number"] == "$identity_mobile+138"  # SDKs repeat what they know
    arrive(world, binding("wang", login_id="wang", mobile="138"))
    assert whose(world)["number"] == "wang"
    arrive(world, unbinding("wang", mobile="138"), binding("lin", login_id="lin", mobile="138"))
    assert whose(world)["number"] == "lin"


def test_what_a_server_bound_a_client_cannot_unbind_and_what_it_unbound_a_client_cannot_bind(
    world: World,
) -> None:
    arrive(world, binding("lin", login_id="lin", mobile="138"), trusted=True)
    arrive(world, track("number", "$identity_mobile+138"), unbinding("lin", mobile="138"))
    assert whose(world)["number"] == "lin"
    assert decisions(world)["$identity_mobile+138", ""] == "untrusted"
    arrive(world, unbinding("lin", mobile="138"), trusted=True)
    arrive(world, binding("lin", login_id="lin", mobile="138"))
    assert whose(world)["number"] == "$identity_mobile+138"


def test_of_several_words_against_a_pair_and_for_it_the_last_counts(world: World) -> None:
    both = binding("lin", login_id="lin", mobile="138")
    arrive(world, both, track("number", "$identity_mobile+138"))
    arrive(world, unbinding("lin", login_id="lin", mobile="138"))
    assert whose(world)["number"] == "$identity_mobile+138"
    arrive(world, both)
    assert whose(world)["number"] == "lin"
    arrive(world, unbinding("lin", mobile="138"))
    assert whose(world)["number"] == "$identity_mobile+138"
    world.append(both, received_at=world.now - 500)  # comes late, and is from before
    world.process()
    assert whose(world)["number"] == "$identity_mobile+138"


def test_a_person_without_a_login_is_named_by_the_first_linked_id_of_the_highest_key(world: World) -> None:
    arrive(
        world, visit("two", "c2"), visit("three", "c3", mp_unionid="u"), visit("one", "c1", mp_unionid="u")
    )
    assert whose(world) == {"two": "c2", "three": "$identity_mp_unionid+u", "one": "$identity_mp_unionid+u"}
    arrive(world, track("both", "c9", anonymous_id="c2"), track("other", "a0", anonymous_id="c9"))
    assert (whose(world)["both"], whose(world)["other"]) == ("c2", "c2")


def test_unbinding_a_parent_takes_its_children_along(world: World) -> None:
    child = identities(mp_unionid="u", mp_openid="o", login_id="lin")
    arrive(world, track("told", "lin", login_id="lin", identities=child))
    arrive(world, track("child", "$identity_mp_openid+o"), track("parent", "$identity_mp_unionid+u"))
    assert set(whose(world).values()) == {"lin"}
    arrive(world, unbinding("lin", mp_unionid="u"))
    found = whose(world)
    assert (found["child"], found["parent"]) == ("$identity_mp_unionid+u", "$identity_mp_unionid+u")
    assert found["told"] == "lin"


def test_a_device_of_many_logins_lends_its_events_to_none(world: World) -> None:
    arrive(world, *(sign("tablet", f"customer-{n}") for n in range(4)), visit("view", "tablet"))
    assert whose(world)["view"] == "tablet"
    assert decisions(world)["tablet", "customer-0"] == "shared_device"
    arrive(world, track("view 2", "customer-1"), track("view 3", "customer-0"))
    assert (whose(world)["view 2"], whose(world)["view 3"]) == ("customer-1", "customer-0")


def test_ids_that_identify_nobody_bind_nothing(world: World) -> None:
    arrive(
        world,
        binding("lin", login_id="lin", mobile="null"),
        track("a", "wang", identities=identities(mobile="null")),
    )
    arrive(world, track("nobody", "null", identities=identities(cookie_id="0")), sign_up("undefined", "lin"))
    assert whose(world) == {"a": "wang", "nobody": "nobody", "$SignUp": "lin", "$BindID": "lin"}
    assert decisions(world) == {
        ("$identity_mobile+null", "lin"): "identifies_nobody", ("undefined", "lin"): "identifies_nobody"
    }  # fmt: skip


def test_equal_values_of_different_keys_are_different_ids(world: World) -> None:
    arrive(
        world,
        track("card", "a", identities=identities(mobile="7")),
        track("mail", "b", identities=identities(email="7")),
    )
    arrive(world, track("login", "7", login_id="7"))
    assert whose(world) == {"card": "$identity_mobile+7", "mail": "$identity_email+7", "login": "7"}


def test_a_login_by_another_key_is_that_id(world: World) -> None:
    """loginWithKey: the plain ids are `key+value`."""
    ids = identities(mobile="138", cookie_id="c1")
    own = "$identity_mobile+138"
    arrive(world, visit("before", "c1"))
    arrive(world, sign_up("c1", own) | {"login_id": own, "anonymous_id": "c1", "identities": ids})
    arrive(world, track("after", own, login_id=own, anonymous_id="c1", identities=ids), track("server", own))
    assert set(whose(world).values()) == {own}


def test_profiles_follow_their_persons(world: World) -> None:
    arrive(world, profile("set", "c1", city="北京", age=1) | {"anonymous_id": "c1"})
    arrive(world, profile("increment", "$identity_mobile+138", visits=2))
    arrive(
        world, profile("set", "lin", city="上海") | {"login_id": "lin"}, profile("increment", "lin", visits=3)
    )
    assert set(world.profiles()) == {"c1", "$identity_mobile+138", "lin"}
    arrive(world, sign("c1", "lin", mobile="138"))
    assert world.profiles() == {"lin": {"city": "上海", "age": "1", "visits": "5"}}
    arrive(world, unbinding("lin", mobile="138"))
    assert world.profiles() == {
        "lin": {"city": "上海", "age": "1", "visits": "3"}, "$identity_mobile+138": {"visits": "2"}
    }  # fmt: skip
    arrive(world, profile("set", "wang", city="广州") | {"login_id": "wang"})
    arrive(world, word("merge", "lin", "wang"), **ADMINISTRATOR)
    assert world.profiles()["wang"] == {"city": "广州", "age": "1", "visits": "3"}
    assert set(whose(world).values()) == {"wang"}


def test_an_undeclared_key_that_passed_a_door_links_nothing(world: World) -> None:
    arrive(world, track("a", "a", identities={"other": "1"}), track("b", "b", identities={"other": "1"}))
    assert whose(world) == {"a": "a", "b": "b"}


def test_an_id_with_more_ids_than_any_person_has_stands_for_itself(world: World) -> None:
    ids = [str(number) for number in range(1_001)]
    world.append(*(track("view", "lin", login_id="lin", anonymous_id=f"c{id_}") for id_ in ids[:1_000]))
    world.append(track("device", "c0"))
    world.process()
    assert whose(world) == {"view": "lin", "device": "lin"}
    world.append(track("view", "lin", login_id="lin", anonymous_id="c1000"))
    world.process()
    assert whose(world) == {"view": "lin", "device": "c0"}
    assert decisions(world)["c0", "lin"] == "too_many_links"
    arrive(world, track("view", "lin", login_id="lin", anonymous_id="c1001"), track("late", "c1001"))
    assert whose(world)["late"] == "c1001"
    assert world.rows("SELECT count() FROM identity_links WHERE project = {project:String}") == [(1_001,)]


def test_what_the_web_sdk_really_sends_is_one_person_with_all_keys(world: World) -> None:
    """The requests that were captured from it: a visitor binds a number, logs in, and unbinds the number."""
    records = [
        each
        for sent in captured_requests()
        if sent.path.parent.name == "web_1.26.17_image"
        for each in sent.records
        if not each["type"].startswith("item")
    ]
    assert {"track_id_bind", "track_signup", "track_id_unbind"} <= {each["type"] for each in records}
    cookie = records[0]["anonymous_id"]
    arrive(world, *records, door="sensors")
    arrive(
        world,
        track("cookie", f"$identity_cookie_id+{cookie}"),
        track("number", "$identity_mobile+13800000000"),
    )
    found = whose(world)
    assert found.pop("number") == found.pop("$BindID") == "$identity_mobile+13800000000"
    assert set(found.values()) == {"cust-1"}
    assert set(world.profiles()) <= {"cust-1", "$identity_mobile+13800000000"}


def test_what_the_python_sdk_really_sends_binds_and_unbinds(world: World) -> None:
    records = [
        each
        for sent in captured_requests()
        if sent.path.parent.name == "python"
        for each in sent.records
        if each["type"].startswith("track_id")
    ]
    assert [each["type"] for each in records] == ["track_id_bind", "track_id_unbind"]
    arrive(world, records[0], track("number", "$identity_mobile+13800000000"))
    assert whose(world) == {"$BindID": "u2", "number": "u2"}
    arrive(world, records[1])
    assert whose(world)["number"] == "$identity_mobile+13800000000"


# Crashes, rewriting, proof ----------------------------------------------------------------------------------


def populate(world: World) -> None:
    """What touches every table of a project with declared keys."""
    arrive(world, visit("view", "c1"), visit("view", "c2"), profile("set", "c1", city="上海"))
    world.append(
        sign("c1", "lin", mobile="138"),
        visit("buy", "c2", "wang"),
        unbinding("wang", cookie_id="c2"),
        binding("wang", login_id="wang", mobile="138"),
        binding("lin", login_id="lin", email="null"),
        received_at=world.now + 1_000,
    )
    world.append(word("merge", "wang", "lin"), received_at=world.now + 2_000, **ADMINISTRATOR)


def state(world: World) -> dict[str, Any]:
    """Everything that answers about persons are made of."""
    tables = ("identity_links", "past_persons FINAL", "binding_decisions", "rulings", "profiles FINAL")
    return {
        "persons": whose(world),
        "profiles": world.profiles(),
        "decisions": decisions(world),
        "rows": {
            table: world.rows(f"SELECT count() FROM {table} WHERE project = {{project:String}}")
            for table in tables
        },
    }


@pytest.fixture(scope="module")
def undisturbed(store: Store) -> dict[str, Any]:
    world = World(store, "global_undisturbed", IdentityRules("global"))
    populate(world)
    world.process()
    found = state(world)
    assert all(count != [(0,)] for count in found["rows"].values()), found
    return found


class Crash(Exception):  # noqa: N818
    """Stands for the end of the process."""


@pytest.mark.parametrize("hits", range(1, 11))
def test_a_block_that_a_crash_cut_off_is_redone_exactly_once(
    store: Store, new_name: Callable[[str], str], hits: int, undisturbed: dict[str, Any]
) -> None:
    world = World(store, new_name("global"), IdentityRules("global"))
    populate(world)
    inserts = iter(range(1, hits + 1))

    def crash(point: str) -> None:
        if point == "P6" and next(inserts) == hits:
            raise Crash

    crash_points.observe(crash)
    try:
        with pytest.raises(Crash):
            world.processor.step()
    finally:
        crash_points.observe(None)
    world.start()
    world.process()
    assert state(world) == undisturbed
