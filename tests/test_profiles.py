"""Profiles: the fold against its slow model, and profiles and items through the processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.storage.store import Store
from processor.profiles import Operation, fold_profile, json_of
from processor.values import text_of
from tests.processor_world import NOON, World, new_event_id, profile, sign_up, track
from tests.reference import profiles as model

KEYS = {"login": 1, "phone": 2, "tablet": 3}


def said(id_: str, operation: str, name: str, value: Any, time: int, event_id: int) -> model.Said:
    """An operation; without a property or value where the operation has none."""
    if operation == "delete":
        return model.Said(id_, operation, "", None, time, event_id)
    return model.Said(id_, operation, name, None if operation == "unset" else value, time, event_id)


numbers = st.integers(-9, 9)
words = st.sampled_from(["gold", "silver"])
lists = st.lists(words, min_size=1, max_size=2)
values = {"set": st.one_of(numbers, words, lists), "increment": numbers, "append": lists}
operations = st.sampled_from(["set", "set_once", "increment", "append", "unset", "delete"]).flatmap(
    lambda operation: st.builds(
        said,
        id_=st.sampled_from(list(KEYS)),
        operation=st.just(operation),
        name=st.sampled_from(["p", "q"]),
        value=values.get(operation, values["set"]),
        time=st.integers(1, 4),
        event_id=st.integers(0, 99),
    )
)
histories = st.lists(operations, max_size=10, unique_by=lambda s: (s.time, s.event_id))


def as_operation(said: model.Said) -> Operation:
    value = "" if said.value is None else json_of(said.value)
    return Operation(KEYS[said.id], said.operation, said.property, value, said.time, said.event_id, 0, 0, 0)


@given(histories)
@settings(max_examples=500)
def test_folds_as_the_model_does(history: list[model.Said]) -> None:
    expected = {name: text_of(value) for name, value in model.profile("login", history).items()}
    assert fold_profile(KEYS["login"], map(as_operation, history)) == expected


@given(histories, st.randoms(use_true_random=False))
def test_no_order_of_arrival_changes_a_profile(history: list[model.Said], random: Any) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)
    folded = fold_profile(KEYS["login"], map(as_operation, history))
    assert fold_profile(KEYS["login"], map(as_operation, shuffled)) == folded


def fold(*told: model.Said) -> dict[str, str]:
    return fold_profile(KEYS["login"], map(as_operation, told))


def test_the_last_set_wins_by_event_time() -> None:
    assert fold(said("login", "set", "p", 2, 2, 0), said("login", "set", "p", 1, 1, 0)) == {"p": "2"}


def test_set_once_keeps_the_earliest_also_across_merged_ids() -> None:
    late, early = said("login", "set_once", "p", "b", 2, 0), said("phone", "set_once", "p", "a", 1, 0)
    assert fold(late, early) == {"p": "a"}


def test_the_logins_value_wins_over_a_later_one_of_the_device() -> None:
    assert fold(said("login", "set", "p", "x", 1, 0), said("phone", "set", "p", "y", 9, 0)) == {"p": "x"}


def test_increments_of_merged_ids_add_up_on_what_was_set() -> None:
    told = [said("login", "set", "p", 100, 5, 0), said("phone", "increment", "p", 7, 1, 0)]
    assert fold(*told, said("login", "increment", "p", 1, 6, 0)) == {"p": "108"}


def test_increments_keep_every_digit() -> None:
    def add(value: str, key: int) -> Operation:
        return Operation(1, "increment", "p", value, 1, key, 0, 0, 0)

    assert fold_profile(1, [add("0.1", 1), add("0.2", 2)]) == {"p": "0.3"}
    assert fold_profile(1, [add("9007199254740993", 1), add("0.50", 2), add("0.5", 3)]) == {
        "p": "9007199254740994"
    }


def test_an_appended_text_comes_once() -> None:
    told = [said("login", "append", "p", ["a", "b"], 1, 0), said("phone", "append", "p", ["b", "c"], 2, 0)]
    assert fold(*told) == {"p": '["a","b","c"]'}


def test_unset_takes_a_property_away_and_a_later_set_once_brings_one() -> None:
    gone = [said("login", "set", "p", 1, 1, 0), said("login", "unset", "p", None, 2, 0)]
    assert fold(*gone) == {}
    assert fold(*gone, said("login", "set_once", "p", 3, 3, 0)) == {"p": "3"}


def test_a_logins_delete_voids_all_before_it_and_a_devices_only_its_own() -> None:
    told = [said("login", "set", "p", 1, 1, 0), said("phone", "set", "q", 1, 1, 1)]
    assert fold(*told, said("phone", "delete", "", None, 2, 0)) == {"p": "1"}
    assert fold(*told, said("login", "delete", "", None, 2, 0)) == {}


def test_an_increment_of_a_text_does_nothing() -> None:
    assert fold(said("login", "set", "p", "x", 1, 0), said("login", "increment", "p", 1, 2, 0)) == {"p": "x"}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("profiles"))


def test_a_profile_is_in_the_store_with_its_persons_id(world: World) -> None:
    world.append(profile("set", "lin", name="Lin", level=3, vip=True, tags=["a"], big=2**70))
    world.process()
    assert world.profiles() == {
        "lin": {"name": "Lin", "level": "3", "vip": "true", "tags": '["a"]', "big": str(2**70)}
    }
    assert world.ledger() == {"received": 1, "stored": 1}
    assert world.events() == []


def test_a_binding_merges_profiles_and_the_devices_own_is_gone(world: World) -> None:
    world.append(profile("set", "device", name="?", theme="dark"))
    world.append(profile("set", "lin", name="Lin"))
    world.process()
    assert set(world.profiles()) == {"device", "lin"}
    world.append(sign_up("device", "lin"))
    world.process()
    assert world.profiles() == {"lin": {"name": "Lin", "theme": "dark"}}


def test_a_device_that_moves_to_another_login_takes_its_profile_along(world: World) -> None:
    world.append(profile("set", "device", theme="dark"), sign_up("device", "wang"), received_at=NOON + 5)
    world.process()
    assert world.profiles() == {"wang": {"theme": "dark"}}
    world.append(sign_up("device", "lin"), received_at=NOON)
    world.process()
    assert world.profiles() == {"lin": {"theme": "dark"}}


def test_a_deleted_profile_is_gone_until_something_is_set_again(world: World) -> None:
    world.append(profile("set", "lin", NOON, name="Lin"), profile("delete", "lin", NOON + 1))
    world.process()
    assert world.profiles() == {}
    world.append(profile("set", "lin", NOON + 2, level=1))
    world.process()
    assert world.profiles() == {"lin": {"level": "1"}}


def test_unset_says_nothing_of_a_propertys_type(world: World) -> None:
    world.append(profile("unset", "lin", name=True), profile("set", "lin", NOON - 1, name="Lin"))
    world.process()
    types = "SELECT property, type FROM property_catalogue WHERE project = {project:String}"
    assert world.rows(types) == [("name", "string")]


def test_ids_that_identify_nobody_have_no_profile_but_are_counted(world: World) -> None:
    world.append(profile("set", "undefined", name="Lin"))
    world.process()
    assert world.profiles() == {}
    assert world.ledger() == {"received": 1, "stored": 1}


def item(operation: str, time: int, **properties: Any) -> dict[str, Any]:
    record = {"type": f"item_{operation}", "item_type": "fund", "item_id": "007", "time": time}
    return record | {"properties": properties}


def items(world: World) -> list[tuple[Any, ...]]:
    return world.rows(
        "SELECT item_type, item_id, properties, deleted FROM items FINAL WHERE project = {project:String}"
    )


def test_an_item_has_its_newest_properties_whatever_came_first(world: World) -> None:
    world.append(item("set", NOON + 2, risk="low"))
    world.process()
    world.append(item("set", NOON + 1, risk="high", name="Fund"))
    world.process()
    assert items(world) == [("fund", "007", {"risk": "low", "name": "Fund"}, False)]


def test_a_deleted_item_is_marked(world: World) -> None:
    world.append(item("set", NOON, risk="low"), item("delete", NOON + 1))
    world.process()
    assert items(world) == [("fund", "007", {}, True)]


@given(histories, st.randoms(use_true_random=False), st.lists(st.booleans(), min_size=12, max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_arrival_and_any_split_in_blocks_gives_the_models_profile(
    store: Store, new_name: Callable[[str], str], history: list[model.Said], random: Any, cuts: list[bool]
) -> None:
    world = World(store, new_name("profiles"))
    records: list[tuple[dict[str, Any], str]] = [
        (sign_up(device, "login"), new_event_id(world.project, None)) for device in ("phone", "tablet")
    ]
    for each in history:
        properties = {each.property: True if each.operation == "unset" else each.value}
        record = profile(each.operation, each.id, NOON + each.time)
        record["properties"] = {} if each.operation == "delete" else properties
        # The processor orders by the first eight bytes, little endian: here the model's event id.
        unique = new_event_id(world.project, None)
        records.append((record, each.event_id.to_bytes(8, "little").hex() + unique[16:]))
    random.shuffle(records)
    for (record, event_id), cut in zip(records, cuts, strict=False):
        world.append(record, event_ids=[event_id])
        if cut:
            world.process()
    world.process()
    expected = {name: text_of(value) for name, value in model.profile("login", history).items()}
    assert world.profiles().get("login", {}) == expected, json.dumps([r for r, _ in records])


def test_events_do_not_make_profiles(world: World) -> None:
    world.append(track("view", "lin"))
    world.process()
    assert world.profiles() == {}
