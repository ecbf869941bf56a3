"""Who is behind an id: the pure rules, and the processor against the slow model of
tests/reference/identity.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall import crash_points
from footfall.events.identity import (
    NO_TIES,
    Binding,
    ResolutionRules,
    Ruling,
    decide,
    owner_of,
    tie,
)
from footfall.events.nobody import NOBODY_IDS, identifies_nobody
from footfall.events.persons import NO_MERGES, owners, resolve
from footfall.storage.store import Store
from footfall.storage.ties import StoredTies
from footfall.workspace import IdentityRules
from tests.processor_world import ADMINISTRATOR, NOON, World, new_event_id, sign_up, track, word
from tests.reference.identity import Claim, Word, persons

IDS = ["a", "b", "c", "L", "M", "N", "O", "P"]
KEYS = {id_: number for number, id_ in enumerate(IDS, start=1)}

claims = st.builds(
    Claim,
    anonymous=st.sampled_from(IDS),
    login=st.sampled_from(IDS),
    received_at=st.integers(1, 3),
    seq=st.integers(0, 1),
    event_id=st.integers(0, 3),
    trusted=st.booleans(),
)
rules = st.builds(
    ResolutionRules,
    only_trusted=st.booleans(),
    shared_device_limit=st.integers(1, 3),
    one_to_one=st.booleans(),
)
words = st.builds(
    Word,
    kind=st.sampled_from(["bind", "unbind", "unbind", "merge", "unmerge"]),
    subject=st.sampled_from(IDS),
    login=st.sampled_from(IDS),
    received_at=st.integers(1, 4),
    seq=st.integers(0, 1),
    event_id=st.integers(4, 9),
).filter(lambda word: word.subject != word.login)


def bindings_of(told: list[Claim]) -> list[Binding]:
    return [
        Binding(KEYS[c.anonymous], KEYS[c.login], c.trusted, c.received_at, c.seq, c.event_id) for c in told
    ]


def rulings_of(told: list[Word]) -> list[Ruling]:
    return [Ruling(w.kind, KEYS[w.subject], KEYS.get(w.login, 0), *w[3:]) for w in told]  # type: ignore[arg-type]


def stated(told: list[Word]) -> list[Claim]:
    """What is said on purpose is a claim, too."""
    return [Claim(w.subject, w.login, *w[3:], trusted=True) for w in told if w.kind == "bind"]


def unique(claim: Claim | Word) -> tuple[int, int, int]:
    return (claim.received_at, claim.seq, claim.event_id)


@given(st.lists(claims, max_size=12, unique_by=unique), st.lists(words, max_size=6, unique_by=unique), rules)
def test_resolves_ids_as_the_model_does(told: list[Claim], said: list[Word], rules: ResolutionRules) -> None:
    told = told + stated(said)
    expected = persons(
        told,
        IDS,
        only_trusted=rules.only_trusted,
        limit=rules.shared_device_limit,
        strategy="one_to_one" if rules.one_to_one else "many_to_one",
        words=said,
    )
    found = resolve(bindings_of(told), rules, rulings_of(said))
    assert {id_: found.get(KEYS[id_], KEYS[id_]) for id_ in IDS} == {
        id_: KEYS[person] for id_, person in expected.items()
    }


@given(st.lists(claims, max_size=8), rules, st.randoms(use_true_random=False), st.integers(0, 8))
def test_no_order_and_no_split_of_bindings_changes_a_person(
    told: list[Claim], rules: ResolutionRules, random: object, cut: int
) -> None:
    ordered = bindings_of(told)
    shuffled = list(ordered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for key in KEYS.values():
        at_once = tie(key, NO_TIES, ordered)
        in_parts = tie(key, tie(key, NO_TIES, shuffled[:cut]), shuffled[cut:])
        assert in_parts == at_once
        assert owner_of(key, in_parts, rules) == owner_of(key, at_once, rules)


def test_the_first_binding_of_an_anonymous_id_wins_and_says_so() -> None:
    first, second = Binding(1, 8, False, 100, 0, 5), Binding(1, 9, False, 101, 0, 1)
    ties = tie(1, NO_TIES, [second, first])
    assert owner_of(1, ties, ResolutionRules()) == 8
    assert decide(first, ties, 8, ResolutionRules()) == "accepted"
    assert decide(second, ties, 8, ResolutionRules()) == "login_conflict"


def test_a_trusted_binding_beats_an_earlier_untrusted_one() -> None:
    claimed, proved = Binding(1, 8, False, 100, 0, 5), Binding(1, 9, True, 200, 0, 1)
    assert owner_of(1, tie(1, NO_TIES, [claimed, proved]), ResolutionRules()) == 9


def test_two_logins_never_merge_by_an_event() -> None:
    claim = Binding(8, 9, False, 100, 0, 5)
    ties = tie(8, NO_TIES, [claim, Binding(1, 8, False, 50, 0, 1)])
    assert owner_of(8, ties, ResolutionRules()) == 8
    assert decide(claim, ties, 8, ResolutionRules()) == "login_conflict"


def test_a_shared_device_stops_lending_its_events() -> None:
    told = [Binding(1, login, False, login, 0, 0) for login in (6, 7, 8, 9)]
    assert owner_of(1, tie(1, NO_TIES, told[:3]), ResolutionRules()) == 6
    ties = tie(1, NO_TIES, told)
    assert owner_of(1, ties, ResolutionRules()) == 1
    assert decide(told[0], ties, 1, ResolutionRules()) == "shared_device"


def test_claims_count_for_nothing_where_only_trusted_bindings_do() -> None:
    claim = Binding(1, 8, False, 100, 0, 5)
    rules = ResolutionRules(only_trusted=True)
    assert owner_of(1, tie(1, NO_TIES, [claim]), rules) == 1
    assert decide(claim, tie(1, NO_TIES, [claim]), 1, rules) == "untrusted"


@pytest.mark.parametrize("id_", [*NOBODY_IDS, "NULL", " none ", "000000000000000", "00:00:00:00:00:00"])
def test_ids_that_identify_nobody(id_: str) -> None:
    assert identifies_nobody(id_)


def test_ordinary_ids_identify_somebody() -> None:
    assert not any(identifies_nobody(id_) for id_ in ("1", "00a0", "nobody@bank.example", "guest7", "匿名"))


def test_the_documentation_lists_the_ids_that_identify_nobody() -> None:
    text = Path("docs/identity.md").read_text("utf-8")
    assert [id_ for id_ in NOBODY_IDS if f"`{id_ or '(empty)'}`" not in text] == []


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("identity"))


def test_a_sign_up_attributes_the_past_to_the_login(world: World) -> None:
    world.append(track("view", "device"))
    world.process()
    assert world.persons() == {"device": "device"}
    world.append(sign_up("device", "lin"), track("view", "device"))
    world.process()
    assert world.persons() == {"device": "lin", "lin": "lin"}
    assert {row[0] for row in world.events("user_key")} == {world.key("device"), world.key("lin")}


def test_queries_follow_a_claim_before_its_block_counts_as_processed(world: World) -> None:
    world.append(track("view", "device"), track("view", "lin"), track("view", "wang", login_id="wang"))
    world.process()
    found: list[dict[str, str]] = []
    crash_points.observe(lambda point: found.append(world.persons()) if point == "P7" else None)
    try:
        for number, claim in enumerate([
            sign_up("device", "lin"),
            word("merge", "lin", "wang"),
            word("unmerge", "lin", "wang"),
            word("unbind", "device", "lin"),
        ]):  # fmt: skip
            door = {} if claim["type"] == "track_signup" else ADMINISTRATOR
            world.append(claim, received_at=NOON + number, **door)
            world.process()
    finally:
        crash_points.observe(None)
    assert [persons["device"] for persons in found] == ["lin", "wang", "lin", "device"]


def test_a_record_with_both_ids_binds_them(world: World) -> None:
    world.append(track("view", "device"))
    world.append(track("view", "lin", anonymous_id="device", login_id="lin"))
    world.process()
    assert world.persons() == {"device": "lin", "lin": "lin"}


def test_a_bind_record_binds_the_device_to_the_login(world: World) -> None:
    identities = {"$identity_login_id": "lin", "$identity_cookie_id": "cookie"}
    world.append(track("view", "cookie"))
    world.append(track("$BindID", "lin") | {"type": "track_id_bind", "identities": identities})
    world.process()
    assert world.persons() == {"cookie": "lin", "lin": "lin"}


def test_an_id_that_says_it_is_a_login_is_never_bound_to_another(world: World) -> None:
    world.append(track("view", "lin", properties={"$is_login_id": True}))
    world.append(sign_up("lin", "wang"), track("view", "lin"))
    world.process()
    assert world.persons() == {"lin": "lin", "wang": "wang"}
    assert "$is_login_id" not in dict(world.events("properties")[0][0])


def test_a_binding_that_comes_late_re_attributes_the_past(world: World) -> None:
    world.append(track("view", "device"), sign_up("device", "wang"), received_at=NOON + 10)
    world.process()
    assert world.persons()["device"] == "wang"
    world.append(sign_up("device", "lin"), received_at=NOON)
    world.process()
    assert world.persons()["device"] == "lin"


def test_a_device_of_more_logins_than_the_limit_belongs_to_none(world: World) -> None:
    world.append(track("view", "tablet"))
    for login in ("an", "bo", "chen", "dai"):
        world.append(sign_up("tablet", login))
        world.process()
    assert world.persons()["tablet"] == "tablet"


def test_ids_that_identify_nobody_own_no_person_and_never_bind(world: World) -> None:
    world.append(track("view", "NULL"), sign_up("undefined", "lin"), track("view", "x", login_id="0"))
    world.process()
    assert [row[0] for row in world.events("user_key")] == [0, world.key("lin"), world.key("x")]
    found = world.rows(
        "SELECT anonymous_id, login_id FROM bindings WHERE project = {project:String} ORDER BY ALL"
    )
    assert found == [("lin", "lin"), ("undefined", "lin")]
    assert decisions(world) == {("undefined", "lin"): "identifies_nobody"}


def test_an_id_that_identifies_nobody_is_as_good_as_absent(world: World) -> None:
    world.append(
        track("view", "device", anonymous_id="device", login_id="null"),
        track("view", "Undefined", anonymous_id="device-2"),
        track("view", "null", login_id="lin", anonymous_id="device-3"),
        track("view", "device-3"),
        sign_up("device-2", "none") | {"login_id": "wang"},
    )
    world.process()
    expected = [world.key(id_) for id_ in ("device", "wang", "lin", "lin", "wang")]
    assert [row[0] for row in world.events("user_key")] == expected


def test_a_bind_record_binds_every_id_of_a_list(world: World) -> None:
    identities = {"$identity_login_id": ["", "lin"], "$identity_cookie_id": ["c1", "null", "c2"]}
    world.append(track("$BindID", "lin") | {"type": "track_id_bind", "identities": identities})
    world.append(track("view", "c1"), track("view", "c2"), track("view", "c3"))
    world.process()
    assert world.persons() == {"lin": "lin", "c1": "lin", "c2": "lin", "c3": "c3"}


def test_a_repeated_binding_is_kept_once(world: World) -> None:
    for moment in range(3):
        world.append(track("view", "lin", anonymous_id="device", login_id="lin"), received_at=NOON + moment)
        world.process()
    count = "SELECT count() FROM bindings WHERE project = {project:String}"
    assert world.rows(count) == [(1,)]


def test_an_event_with_a_login_is_the_logins_whatever_device_it_came_from(world: World) -> None:
    world.append(sign_up("device", "lin"), track("view", "device"))
    both = track("view", "wang", login_id="wang", anonymous_id="device")
    world.append(both, track("view", "device"), received_at=NOON + 5)
    world.process()
    assert world.persons() == {"lin": "lin", "wang": "wang", "device": "lin"}


def test_a_servers_word_beats_what_a_client_said_before(world: World) -> None:
    world.append(track("view", "device"), sign_up("device", "wang"))
    world.process()
    world.append(sign_up("device", "lin"), received_at=NOON + 5, trusted=True)
    world.process()
    assert world.persons()["device"] == "lin"


def decisions(world: World) -> dict[tuple[str, str], str]:
    """What became of each binding that is stored, told from what is stored alone; it must be what the log of
    decisions says.
    """
    rows = world.rows(
        "SELECT anonymous_id, login_id, trusted, anonymous_key, login_key, trusted, "
        "toUnixTimestamp64Milli(received_at), seq, event_key FROM bindings WHERE project = {project:String}"
    )
    rules = world.rules.resolution
    bindings = {Binding(*row[3:]): row[:3] for row in rows}
    every = {key for binding in bindings for key in binding[:2] if key}
    ties = StoredTies(world.store.rows).ties_of(every)
    owned = owners(ties, rules)
    found = {
        names: decide(
            binding,
            ties[binding.anonymous_key or binding.login_key],
            owned.get(binding[0], binding[0]),
            rules,
        )
        for binding, names in bindings.items()
        if binding.anonymous_key != binding.login_key
    }
    logged = world.rows(
        "SELECT subject_id, login_id, trusted, argMax(if(outcome = 'accepted', outcome, reason), decided_at) "
        "FROM binding_decisions WHERE project = {project:String} AND kind = 'bind' GROUP BY 1, 2, 3"
    )
    assert {row[:3]: row[3] for row in logged} == found
    return {names[:2]: decision for names, decision in found.items()}


def test_refused_bindings_are_kept_with_all_that_tells_why(world: World) -> None:
    world.append(sign_up("phone", "lin"), sign_up("phone", "wang"), sign_up("lin", "wang"))
    world.append(*(sign_up("tablet", login) for login in ("an", "bo", "chen", "dai")))
    world.process()
    assert decisions(world) == {
        ("phone", "lin"): "accepted",
        ("phone", "wang"): "login_conflict",
        ("lin", "wang"): "login_conflict",
        **{("tablet", login): "shared_device" for login in ("an", "bo", "chen", "dai")},
    }


def test_a_clients_bindings_are_kept_as_claims_where_only_the_servers_count(world: World) -> None:
    world.rules = IdentityRules(bindings="trusted")
    world.append(track("view", "device"), sign_up("device", "wang"))
    world.process()
    assert world.persons()["device"] == "device"
    world.append(sign_up("device", "lin"), received_at=NOON + 5, trusted=True)
    world.process()
    assert world.persons()["device"] == "lin"
    assert decisions(world) == {("device", "wang"): "untrusted", ("device", "lin"): "accepted"}


def test_no_override_where_nothing_changed(world: World) -> None:
    world.append(track("view", "lin", login_id="lin"), track("view", "device"))
    world.process()
    overrides = (
        "SELECT count() FROM overrides WHERE id_key IN {keys:Array(UInt64)} AND {project:String} != ''"
    )
    assert world.rows(overrides, keys=[world.key("lin"), world.key("device")]) == [(0,)]


SAID = st.one_of(claims, claims, words)


@given(
    st.lists(SAID, min_size=1, max_size=8, unique_by=lambda c: (c.received_at, c.seq)),
    st.permutations(range(8)),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.booleans(),
    st.sampled_from(["many_to_one", "one_to_one"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_and_any_split_in_blocks_gives_the_models_persons(
    store: Store,
    new_name: Callable[[str], str],
    told: list[Claim | Word],
    order: list[int],
    cuts: list[bool],
    only_trusted: bool,
    strategy: str,
) -> None:
    rules = IdentityRules(strategy, "trusted" if only_trusted else "any", shared_device_limit=2)
    world = World(store, new_name("identity"), rules)
    arrivals = [told[place] for place in order if place < len(told)]
    world.append(*(track("view", id_) for id_ in IDS[:5]))
    for each, cut in zip(arrivals, cuts, strict=False):
        say(world, each)
        if cut:
            world.process()
    world.append(*(track("view", id_) for id_ in IDS[5:]))
    world.process()
    said = [each for each in told if isinstance(each, Word)]
    every = [each for each in told if isinstance(each, Claim)] + stated(said)
    # A trusted sign-up is said on purpose.
    said += [
        Word("bind", c.anonymous, c.login, *c[2:5]) for c in every if c.trusted and c.anonymous != c.login
    ]
    expected = persons(every, IDS, only_trusted=only_trusted, limit=2, strategy=strategy, words=said)
    found = world.persons()
    assert {id_: found[id_] for id_ in IDS} == expected
    decisions(world)


def say(world: World, said: Claim | Word) -> None:
    """A record says its place in its request by where it stands there."""
    before = [track("view", "x")] * said.seq
    ids = [new_event_id(world.project, None) for _ in before]
    ids.append(said.event_id.to_bytes(8, "little").hex() + new_event_id(world.project, None)[16:])
    received_at = NOON + said.received_at
    if isinstance(said, Claim):
        record = sign_up(said.anonymous, said.login)
        world.append(*before, record, event_ids=ids, received_at=received_at, trusted=said.trusted)
    else:
        world.append(*before, word(*said[:3]), event_ids=ids, received_at=received_at, **ADMINISTRATOR)


def test_with_one_to_one_a_login_owns_its_first_device_only(world: World) -> None:
    world.rules = IdentityRules("one_to_one")
    world.append(track("view", "phone"), track("view", "tablet"))
    world.append(sign_up("phone", "lin"), sign_up("tablet", "lin"))
    both = track("view", "tablet", login_id="lin", anonymous_id="tablet")
    world.append(both, track("view", "tablet"), received_at=NOON + 1)
    world.process()
    assert world.persons() == {"phone": "lin", "tablet": "tablet", "lin": "lin"}
    assert decisions(world) == {("phone", "lin"): "accepted", ("tablet", "lin"): "one_to_one"}
    world.append(sign_up("tablet", "wang"), received_at=NOON + 2)
    world.process()
    assert world.persons()["tablet"] == "wang"


def test_with_one_to_one_an_earlier_binding_that_comes_late_moves_a_whole_chain(world: World) -> None:
    world.rules = IdentityRules("one_to_one")
    world.append(*(track("view", id_) for id_ in ("a", "b", "c")))
    world.append(sign_up("a", "L"), received_at=NOON + 5)
    world.append(sign_up("b", "L"), sign_up("b", "M"), sign_up("c", "M"), received_at=NOON + 6)
    world.process()
    assert {id_: world.persons()[id_] for id_ in "abc"} == {"a": "L", "b": "M", "c": "c"}
    world.append(sign_up("a", "N"), received_at=NOON)
    world.process()
    assert {id_: world.persons()[id_] for id_ in "abc"} == {"a": "N", "b": "L", "c": "M"}
    decisions(world)


def test_a_binding_that_is_taken_back_gives_the_rows_back(world: World) -> None:
    world.append(track("view", "device"), sign_up("device", "lin"), track("view", "device"))
    world.process()
    world.append(word("unbind", "device", "lin"), received_at=NOON + 1, **ADMINISTRATOR)
    world.process()
    assert world.persons()["device"] == "device"
    assert decisions(world)["device", "lin"] == "taken_back"
    both = track("view", "lin", anonymous_id="device", login_id="lin")
    world.append(both, sign_up("device", "lin"), received_at=NOON + 2)
    world.process()
    assert world.persons()["device"] == "device", "a client's word brings nothing back"
    world.append(word("bind", "device", "lin"), received_at=NOON + 3, **ADMINISTRATOR)
    world.process()
    assert world.persons()["device"] == "lin"
    assert decisions(world)["device", "lin"] == "accepted"


def test_a_server_takes_back_whatever_an_id_was_bound_to_and_a_client_nothing(world: World) -> None:
    world.append(track("view", "device"), sign_up("device", "lin"))
    world.process()
    unbind = track("$UnbindID", "device") | {"type": "track_id_unbind"}
    unbind |= {"identities": {"$identity_cookie_id": "device"}}
    world.append(unbind, received_at=NOON + 1)
    world.process()
    assert world.persons()["device"] == "lin"
    world.append(unbind, received_at=NOON + 2, trusted=True)
    world.process()
    assert world.persons()["device"] == "device"
    world.append(sign_up("device", "wang"), received_at=NOON + 3)
    world.process()
    assert world.persons()["device"] == "wang"
    logged = world.rows(
        "SELECT outcome, reason, trusted FROM binding_decisions "
        "WHERE project = {project:String} AND kind = 'unbind' ORDER BY received_at"
    )
    assert logged == [("refused", "untrusted", False), ("accepted", "", True)]


def test_an_unbind_that_names_no_device_is_refused_and_says_so(world: World) -> None:
    world.append(track("view", "device"), sign_up("device", "lin"))
    unbind = track("$UnbindID", "lin") | {"type": "track_id_unbind"}
    for identities in ({}, {"$identity_cookie_id": "null"}):
        told = unbind | {"identities": identities | {"$identity_login_id": "lin"}}
        world.append(told, received_at=NOON + 1, trusted=True)
    world.append(told, received_at=NOON + 2)
    world.process()
    assert world.persons()["device"] == "lin"
    logged = world.rows(
        "SELECT subject_id, login_id, outcome, reason, trusted FROM binding_decisions "
        "WHERE project = {project:String} AND kind = 'unbind' ORDER BY received_at"
    )
    refused = ("", "lin", "refused")
    assert logged == [(*refused, "identifies_nobody", True)] * 2 + [(*refused, "untrusted", False)]


def test_an_administrator_merges_two_logins_and_takes_it_back(world: World) -> None:
    world.append(track("view", "phone"), sign_up("phone", "lin"), track("view", "wang", login_id="wang"))
    world.process()
    world.append(word("merge", "lin", "wang"), received_at=NOON + 1, **ADMINISTRATOR)
    world.process()
    assert world.persons() == {"phone": "wang", "lin": "wang", "wang": "wang"}
    world.append(track("view", "tablet"), sign_up("tablet", "lin"), received_at=NOON + 2)
    world.process()
    assert world.persons()["tablet"] == "wang"
    world.append(word("merge", "wang", "lin"), received_at=NOON + 3, **ADMINISTRATOR)
    world.process()
    world.append(word("unmerge", "lin", "wang"), received_at=NOON + 4, **ADMINISTRATOR)
    world.process()
    assert world.persons() == {"phone": "lin", "tablet": "lin", "lin": "lin", "wang": "lin"}
    logged = world.rows(
        "SELECT kind, subject_id, outcome, reason FROM binding_decisions WHERE project = {project:String} "
        "AND kind LIKE '%merge' ORDER BY decided_at, received_at"
    )
    assert logged == [
        ("merge", "lin", "accepted", ""),
        ("merge", "wang", "refused", "circle"),
        ("merge", "lin", "refused", "taken_back"),
        ("merge", "wang", "accepted", ""),
        ("unmerge", "lin", "accepted", ""),
    ]


def test_nobody_but_an_administrator_merges_logins(world: World) -> None:
    world.append(track("view", "lin", login_id="lin"), track("view", "wang", login_id="wang"))
    world.append(word("merge", "lin", "wang"), received_at=NOON + 1, trusted=True)
    world.process()
    assert world.persons() == {"lin": "lin", "wang": "wang"}


def test_merges_survive_a_restart(world: World) -> None:
    world.append(track("view", "lin", login_id="lin"))
    world.process()
    world.append(word("merge", "lin", "wang"), **ADMINISTRATOR)
    world.process()
    world.start()
    world.append(track("view", "lin", login_id="lin"))
    world.process()
    assert [row[0] for row in world.events("user_key")] == [world.key(id_) for id_ in ("lin", "wang", "wang")]
    assert world.persons() == {"lin": "wang", "wang": "wang"}


def test_a_merged_login_that_no_record_bound_is_stamped_right(world: World) -> None:
    world.append(word("merge", "lin", "wang"), **ADMINISTRATOR)
    world.process()
    world.append(track("view", "lin"))
    world.process()
    assert world.events("user_key")[-1] == (world.key("wang"),)


def test_a_project_says_which_ids_identify_nobody(store: Store, new_name: Callable[[str], str]) -> None:
    rules = IdentityRules(nobody_ids=("visitor",), somebody_ids=("0",))
    world = World(store, new_name("identity"), rules)
    world.append(track("view", "Visitor"), track("view", "0"), sign_up("visitor", "lin"))
    world.process()
    assert [row[0] for row in world.events("user_key")] == [0, world.key("0"), world.key("lin")]
    assert decisions(world) == {("visitor", "lin"): "identifies_nobody"}


def test_merges_that_are_no_merges_change_nothing() -> None:
    said = [Ruling("bind", 1, 2, 0, 0, 0), Ruling("unbind", 1, 0, 1, 0, 0)]
    assert NO_MERGES.with_rulings(said) is NO_MERGES
