"""The compiled plan finds what the slow reference finds, in every record and at every way in."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.events.names import KnownNames
from footfall.events.record import Record
from footfall.events.verdicts import IMPORT, Judge
from footfall.tracking_plan.batches import ActivePlan
from footfall.tracking_plan.judging import KINDS, REASONS, CompiledPlan, Violation, Words
from footfall.tracking_plan.plan import Plan, PlannedEvent, PlannedProperty
from tests.reference import tracking_plan as reference
from tests.tracking_plans import EVENTS, NAMES, NUMBERS, TEXTS, plans

NOW = 1_790_000_000_000
VALUES = (
    st.none()
    | st.booleans()
    | st.sampled_from((*TEXTS, *NUMBERS, 2**64 - 1, 2**64, -(2**63) - 1, 10**33, 1e40, "2026-02-30 00:00:00"))
    | st.lists(st.sampled_from(TEXTS), max_size=3)
)
OTHER_NAMES = ("extra", "$event_duration", "$utm_source", "$city", "$is_login_id")
TYPES = ("track", "track_signup", "track_id_bind", "profile_set", "profile_unset", "item_set", "item_delete")
LESSONS = 10
"""After so many batches a door knows their properties' names, and leaves properties undecoded."""


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(NAMES + OTHER_NAMES), VALUES, max_size=8))
    record = {"type": draw(st.sampled_from(TYPES)), "properties": properties}
    if record["type"].startswith("track"):
        record["event"] = draw(st.sampled_from((*EVENTS, "unheard_of", "$AppStart")))
    return record


def judged(plan: Plan, record: dict[str, Any]) -> list[Violation]:
    compiled = CompiledPlan(plan)
    return compiled.judge(msgspec.convert(record, Record)) if compiled.judges else []


@settings(max_examples=300)
@given(plans(), records())
def test_finds_what_the_reference_finds(plan: Plan, record: dict[str, Any]) -> None:
    found = judged(plan, record)
    assert [tuple(each) for each in found] == reference.violations(plan, record)
    refused = CompiledPlan(plan).refused_for(found)
    assert (refused is not None) == reference.is_refused(plan, [tuple(each) for each in found])


@settings(max_examples=100)
@given(plans(), st.lists(records(), max_size=6))
def test_a_batch_is_judged_the_same_however_it_was_decoded(plan: Plan, batch: list[dict[str, Any]]) -> None:
    sendable = [{"distinct_id": "a", "time": NOW, **each} for each in batch]
    sendable = [
        {**each, **({"item_type": "fund", "item_id": "1"} if each["type"].startswith("item") else {})}
        for each in sendable
        if each["type"] in ("track", "profile_set", "item_set") and not _has_huge_numbers(each)
    ]
    judge = Judge(IMPORT, KnownNames())
    body = orjson.dumps(sendable)
    slow = judge.judge_elements([orjson.dumps(each) for each in sendable], NOW)
    for _ in range(LESSONS):
        fast = judge.judge_array(body, NOW)
    assert fast is not None
    active = ActivePlan(7, plan)
    assert active.judge(slow, tell=True) == active.judge(fast, tell=True)
    expected = [reference.violations(plan, each) for each in sendable]
    found = active.judge(slow)
    counted: dict[int, list[tuple[str, str]]] = {}
    for violation in found.violations:
        for index in violation.indexes:
            counted.setdefault(index, []).append((violation.kind, violation.property))
    assert {index: sorted(each) for index, each in counted.items()} == {
        index: sorted(each) for index, each in enumerate(expected) if each
    }
    assert [refusal.index for refusal in found.refusals] == [
        index for index, each in enumerate(expected) if reference.is_refused(plan, each)
    ]


def test_properties_that_a_door_left_undecoded_are_judged() -> None:
    plan = Plan("report", events={"a": PlannedEvent({"x": PlannedProperty("number", required=True)})})
    batch = [
        {"event": "a", "distinct_id": "a", "time": NOW, "properties": properties}
        for properties in ({"x": 1}, {"x": "1"}, {}, {"x": None})
    ]
    judge = Judge(IMPORT, KnownNames())
    for _ in range(LESSONS):
        verdicts = judge.judge_array(orjson.dumps(batch), NOW)
    assert verdicts is not None
    assert not any(record and type(record.properties) is dict for record in verdicts.records)
    found = ActivePlan(1, plan).judge(verdicts).violations
    assert [(each.kind, each.indexes) for each in found] == [
        ("wrong_type", [1]),
        ("missing_property", [2, 3]),
    ]


def _has_huge_numbers(record: dict[str, Any]) -> bool:
    return any(
        type(value) is int and not -(2**63) <= value < 2**64 for value in record["properties"].values()
    )


def test_every_kind_has_a_reason_and_words_that_quote_no_value() -> None:
    plan = Plan(
        "enforce",
        events={
            "transfer": PlannedEvent(
                {
                    "to": PlannedProperty("string", allowed=("own", "other"), grade="C2"),
                    "via": PlannedProperty("string", allowed=("app", "web"), grade="C1"),
                    "how_many": PlannedProperty("number", required=True),
                }
            )
        },
    )
    properties = {"to": "SECRET", "via": "SECRET", "howmany": "SECRET"}
    record = msgspec.convert({"event": "transfer", "properties": properties}, Record)
    found = CompiledPlan(plan).judge(record)
    words = Words(plan)
    assert {words.field(each): words.message(record, each) for each in found} == {
        "properties.how_many": "the event 'transfer' needs the property 'how_many' (number)",
        "properties.to": "properties.to has a value that the tracking plan does not allow",
        "properties.via": "properties.via must be one of 'app', 'web'",
        "properties.howmany": "the tracking plan has no property 'howmany' of the event 'transfer'; "
        "did you mean 'how_many'?",
    }
    assert REASONS.keys() == set(KINDS)
    assert all(reason == f"plan_{kind}" for kind, reason in REASONS.items())


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("number", "properties.x must be a number of at most 64 bits, not in quotes"),
        (
            "datetime",
            "properties.x must be a string of the form 2026-01-31 08:00:00 or 2026-01-31 08:00:00.123",
        ),
        ("boolean", "properties.x must be true or false, not in quotes"),
    ],
)
def test_a_wrong_type_is_told_with_the_right_one(type_: Any, message: str) -> None:
    plan = Plan("enforce", events={"a": PlannedEvent({"x": PlannedProperty(type_)})})
    record = msgspec.convert({"event": "a", "properties": {"x": "SECRET"}}, Record)
    (found,) = CompiledPlan(plan).judge(record)
    assert Words(plan).message(record, found) == message


def test_names_that_may_be_somebodys_number_are_not_repeated() -> None:
    plan = Plan("enforce", unknown_events="refuse")
    record = {"event": "call_13800138000", "distinct_id": "a", "time": NOW, "properties": {}}
    verdicts = Judge(IMPORT, KnownNames()).judge_elements([orjson.dumps(record)], NOW)
    word = ActivePlan(1, plan).judge(verdicts, tell=True)
    assert "13800138000" not in repr(word)
    assert word.violations[0].event == "call_###########"


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({"$lib": "Android", "$app_version": "8.1.0"}, ("Android", "8.1.0")),
        ({"$lib": "js", "$app_version": "v2.0-beta.1"}, ("js", "v2.0-beta.1")),
        ({"$lib": "13800138000", "$app_version": "110101199003078888"}, ("other", "other")),
        ({"$app_version": "zhang@example.com"}, ("", "other")),
        ({"$app_version": 8}, ("", "other")),
        ({}, ("", "")),
    ],
)
def test_what_a_client_says_of_itself_is_counted_if_it_looks_like_it(
    said: dict[str, Any], counted: tuple[str, str]
) -> None:
    plan = Plan("report")
    for record in ({"properties": said}, {"properties": {}, "lib": said}):
        full = {"event": "unheard_of", "distinct_id": "a", "time": NOW, **record}
        verdicts = Judge(IMPORT, KnownNames()).judge_elements([orjson.dumps(full)], NOW)
        (violation,) = ActivePlan(1, plan).judge(verdicts).violations
        assert (violation.lib, violation.app_version) == counted
