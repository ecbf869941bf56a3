"""Who is behind an id: the pure rules, and the processor against the slow model of
tests/reference/identity.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.events.identity import (
    NO_TIES,
    Binding,
    ResolutionRules,
    decide,
    person_of,
    resolve,
    tie,
)
from footfall.events.nobody import NOBODY_IDS, identifies_nobody
from footfall.storage.store import Store
from footfall.workspace import IdentityRules
from tests.processor_world import NOON, World, sign_up, track
from tests.reference.identity import Claim, persons

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
rules = st.builds(ResolutionRules, only_trusted=st.booleans(), shared_device_limit=st.integers(1, 3))


def bindings_of(told: list[Claim]) -> list[Binding]:
    return [
        Binding(KEYS[c.anonymous], KEYS[c.login], c.trusted, c.received_at, c.seq, c.event_id) for c in told
    ]


@given(st.lists(claims, max_size=12, unique_by=lambda c: (c.received_at, c.seq, c.event_id)), rules)
def test_resolves_ids_as_the_model_does(told: list[Claim], rules: ResolutionRules) -> None:
    expected = persons(told, IDS, only_trusted=rules.only_trusted, limit=rules.shared_device_limit)
    found = resolve(bindings_of(told), rules)
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
        at_once = person_of(key, tie(key, NO_TIES, ordered), rules)
        in_parts = tie(key, tie(key, NO_TIES, shuffled[:cut]), shuffled[cut:])
        assert person_of(key, in_parts, rules) == at_once


def test_the_first_binding_of_an_anonymous_id_wins_and_says_so() -> None:
    first, second = Binding(1, 8, False, 100, 0, 5), Binding(1, 9, False, 101, 0, 1)
    ties = tie(1, NO_TIES, [second, first])
    assert person_of(1, ties, ResolutionRules()) == 8
    assert decide(first, ties, ResolutionRules()) == "accepted"
    assert decide(second, ties, ResolutionRules()) == "bound_before"


def test_a_trusted_binding_beats_an_earlier_untrusted_one() -> None:
    claimed, proved = Binding(1, 8, False, 100, 0, 5), Binding(1, 9, True, 200, 0, 1)
    assert person_of(1, tie(1, NO_TIES, [claimed, proved]), ResolutionRules()) == 9


def test_two_logins_never_merge_by_an_event() -> None:
    claim = Binding(8, 9, False, 100, 0, 5)
    ties = tie(8, NO_TIES, [claim, Binding(1, 8, False, 50, 0, 1)])
    assert person_of(8, ties, ResolutionRules()) == 8
    assert decide(claim, ties, ResolutionRules()) == "login_conflict"


def test_a_shared_device_stops_lending_its_events() -> None:
    told = [Binding(1, login, False, login, 0, 0) for login in (6, 7, 8, 9)]
    assert person_of(1, tie(1, NO_TIES, told[:3]), ResolutionRules()) == 6
    ties = tie(1, NO_TIES, told)
    assert person_of(1, ties, ResolutionRules()) == 1
    assert decide(told[0], ties, ResolutionRules()) == "shared_device"


def test_claims_count_for_nothing_where_only_trusted_bindings_do() -> None:
    claim = Binding(1, 8, False, 100, 0, 5)
    rules = ResolutionRules(only_trusted=True)
    assert person_of(1, tie(1, NO_TIES, [claim]), rules) == 1
    assert decide(claim, tie(1, NO_TIES, [claim]), rules) == "untrusted"


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
    assert world.rows("SELECT anonymous_id, login_id FROM bindings WHERE project = {project:String}") == [
        ("lin", "lin")
    ]


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
    """What became of each binding that is stored, told from what is stored alone."""
    rows = world.rows(
        "SELECT anonymous_id, login_id, anonymous_key, login_key, trusted, "
        "toUnixTimestamp64Milli(received_at), seq, event_key FROM bindings WHERE project = {project:String}"
    )
    rules = ResolutionRules(world.rules.bindings == "trusted", world.rules.shared_device_limit)
    bindings = {(row[0], row[1]): Binding(*row[2:]) for row in rows}
    return {
        ids: decide(binding, tie(binding.anonymous_key, NO_TIES, bindings.values()), rules)
        for ids, binding in bindings.items()
        if binding.anonymous_key != binding.login_key
    }


def test_refused_bindings_are_kept_with_all_that_tells_why(world: World) -> None:
    world.append(sign_up("phone", "lin"), sign_up("phone", "wang"), sign_up("lin", "wang"))
    world.append(*(sign_up("tablet", login) for login in ("an", "bo", "chen", "dai")))
    world.process()
    assert decisions(world) == {
        ("phone", "lin"): "accepted",
        ("phone", "wang"): "bound_before",
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


@given(
    st.lists(claims, min_size=1, max_size=6, unique_by=lambda c: (c.received_at, c.seq)),
    st.permutations(range(6)),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_and_any_split_in_blocks_gives_the_models_persons(
    store: Store,
    new_name: Callable[[str], str],
    told: list[Claim],
    order: list[int],
    cuts: list[bool],
    only_trusted: bool,
) -> None:
    rules = IdentityRules(bindings="trusted" if only_trusted else "any", shared_device_limit=2)
    world = World(store, new_name("identity"), rules)
    arrivals = [told[place] for place in order if place < len(told)]
    world.append(*(track("view", id_) for id_ in IDS[:5]))
    for claim, cut in zip(arrivals, cuts, strict=False):
        # A record says its place in its request by where it stands there.
        events = [track("view", "x")] * claim.seq + [sign_up(claim.anonymous, claim.login)]
        world.append(*events, received_at=NOON + claim.received_at, trusted=claim.trusted)
        if cut:
            world.process()
    world.append(*(track("view", id_) for id_ in IDS[5:]))
    world.process()
    expected = persons(told, IDS, only_trusted=only_trusted, limit=2)
    found = world.persons()
    assert {id_: found[id_] for id_ in IDS} == expected
