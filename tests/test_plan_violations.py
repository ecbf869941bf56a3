"""What the processor makes of a tracking plan: counts of violations, types of properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest

from footfall.eventlog.log import Tally
from footfall.events.log_record import Header, PlanViolation, Refusal, write_log_record
from footfall.storage.store import Store
from tests.plan_violations import violations
from tests.processor_world import NOON, World, profile, track


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("plans"))


def noted(property_: str, *indexes: int, version: str = "8.1") -> PlanViolation:
    return PlanViolation("buy", property_, "wrong_type", "js", version, list(indexes))


def test_violations_are_counted_by_what_and_by_whom(world: World) -> None:
    world.append(
        track("buy", "a"), track("buy", "b"), track("buy", "c"), plan=1,
        violations=[noted("x", 0, 2), noted("x", 1, version="8.2"), noted("y", 2)],
    )  # fmt: skip
    world.append(track("buy", "d"), plan=1, violations=[noted("x", 0)])
    world.process()
    world.append(track("buy", "e"), plan=1, violations=[noted("x", 0)])
    world.process()
    assert violations(world, "property, lib, app_version, kind") == {
        ("x", "js", "8.1", "wrong_type"): 4,
        ("x", "js", "8.2", "wrong_type"): 1,
        ("y", "js", "8.1", "wrong_type"): 1,
    }


def test_a_repeat_is_no_second_violation_and_a_refusal_counts_each_time(world: World) -> None:
    for _ in range(2):
        world.append(
            track("buy", "a", event_id="same"), "refused", event_ids=["ab" * 16, ""], plan=1,
            refusals=[Refusal(1, "plan_wrong_type", "properties.x", "")],
            violations=[noted("x", 0, 1), noted("y", 0)],
        )  # fmt: skip
        world.process()
    assert violations(world, "property, refused") == {("x", False): 1, ("x", True): 2, ("y", False): 1}


def test_places_of_a_request_that_was_split_over_projects_are_its_own(world: World) -> None:
    world.append(track("buy", "a"), track("buy", "b"), indexes=[4, 9], plan=1, violations=[noted("x", 1)])
    world.process()
    assert violations(world) == {("buy", "x", "wrong_type", False): 1}


def test_days_are_the_projects_own(world: World) -> None:
    midnight = 1_795_017_600_000  # 2026-11-18 16:00 UTC: Shanghai's day begins
    for moment in (midnight - 1, midnight):
        world.append(track("buy", "a"), received_at=moment, plan=1, violations=[noted("x", 0)])
    world.process()
    found = violations(world, "day")
    assert found == {(date(2026, 11, 18),): 1, (date(2026, 11, 19),): 1}


def test_a_note_that_means_nothing_costs_nothing(world: World) -> None:
    world.append(track("buy", "a"), plan=1, violations=[noted("x", 7)])
    world.process()
    assert violations(world) == {}
    assert len(world.events()) == 1


class Plans:
    """Declares `rate` to be decimal from version 2 on."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.away = False

    def __call__(self, project: str, version: int) -> Mapping[Any, Mapping[str, str]]:
        if self.away:
            raise OSError("the workspace is away")
        self.asked.append((project, version))
        if version < 2:
            return {}
        types = {"rate": "decimal", "day": "datetime", "code": "string", "n": "number"}
        return {"event": types, "user": {"rate": "string"}}


def types_of(world: World) -> dict[tuple[str, str], str]:
    found = world.rows(
        "SELECT toString(source), property, toString(type) FROM property_catalogue "
        "WHERE project = {project:String}"
    )
    return {(source, name): type_ for source, name, type_ in found}


@pytest.fixture
def planned(store: Store, new_name: Callable[[str], str]) -> World:
    return World(store, new_name("plans"), types_of=Plans())


def test_a_declared_type_decides_the_type_when_a_property_is_first_seen(planned: World) -> None:
    properties = {
        "rate": 0.1234567, "day": "no day", "code": "2026-01-31 08:00:00", "other": 1,
    }  # fmt: skip
    planned.append(track("buy", "a", properties=properties), profile("set", "a", rate=1), plan=2)
    planned.process()
    assert types_of(planned) == {
        ("event", "rate"): "decimal",
        ("event", "day"): "datetime",
        ("event", "code"): "string",
        ("event", "other"): "number",
        ("user", "rate"): "string",
    }
    conflicts = planned.rows(
        "SELECT toString(source), property, type, sum(count) FROM type_conflicts "
        "WHERE project = {project:String} GROUP BY ALL"
    )
    assert sorted(conflicts) == [
        ("event", "day", "string", 1),
        ("event", "rate", "number", 1),
        ("user", "rate", "number", 1),
    ]


def test_decimals_of_a_plan_keep_every_digit(planned: World) -> None:
    digits = "12345678901234567890.100000"
    exact = f'[{{"event":"buy","distinct_id":"a","time":{NOON},"properties":{{"rate":{digits}}}}}]'
    header = Header(planned.project, "native", NOON, count=1, event_ids=["cd" * 16], plan=2)
    tally = Tally(planned.project, "native", NOON // 60_000, 1)
    planned.writer.append(write_log_record(header, exact.encode()), tally).result()
    planned.process()
    assert types_of(planned) == {("event", "rate"): "decimal"}
    assert planned.events("properties['rate']") == [(digits,)]


def test_what_was_seen_before_keeps_its_type(planned: World) -> None:
    planned.append(track("buy", "a", properties={"rate": "x"}), plan=1)
    planned.append(track("buy", "a", properties={"rate": 1.5}), plan=2)
    planned.process()
    assert types_of(planned) == {("event", "rate"): "string"}


def test_the_plan_that_counted_when_the_first_value_came_counts(planned: World) -> None:
    planned.append(track("buy", "a", properties={"n": "5"}), plan=2)
    planned.append(track("buy", "a", properties={"n": 7, "day": "none"}), plan=1)
    planned.append(track("buy", "a", properties={"rate": 7, "day": "2026-01-31 08:00:00"}), plan=2)
    planned.process()
    planned.append(track("buy", "a", properties={"code": "2026-01-31 08:00:00"}))
    planned.process()
    assert types_of(planned) == {
        ("event", "n"): "number",
        ("event", "day"): "string",
        ("event", "rate"): "decimal",
        ("event", "code"): "datetime",
    }


def test_a_block_waits_while_the_workspace_cannot_say_what_a_plan_declares(planned: World) -> None:
    plans = planned.types_of
    assert isinstance(plans, Plans)
    plans.away = True
    planned.append(track("buy", "a", properties={"rate": 1}), plan=2)
    with pytest.raises(OSError, match="away"):
        planned.processor.step()
    plans.away = False
    planned.process()
    assert types_of(planned) == {("event", "rate"): "decimal"}
    assert planned.ledger() == {"received": 1, "stored": 1}
    assert plans.asked == [(planned.project, 2)]
