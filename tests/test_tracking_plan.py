"""What a plan may be, and what is said of one that cannot be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.storage.columns import PROPERTY_COLUMNS
from footfall.tracking_plan.faults import InvalidPlan, PlanFault
from footfall.tracking_plan.limits import PLAN_DECLARATIONS, PLAN_EVENTS
from footfall.tracking_plan.plan import Description, Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.presets import FIXED_TYPES
from footfall.tracking_plan.reading import read_plan
from footfall.tracking_plan.writing import plan_as_json, plan_of_text, write_plan
from tests.tracking_plans import plans

BANK = {
    "mode": "enforce",
    "unknown_events": "refuse",
    "unknown_properties": "allow",
    "common_properties": {"channel": {"type": "string", "required": True, "allowed": ["app", "web"]}},
    "events": {
        "purchase_fund": {
            "description": {"zh": "购买基金", "en": "A fund is bought"},
            "owner": "wealth",
            "properties": {
                "amount": {"type": "decimal", "required": True, "grade": "C2"},
                "risk_level": {"type": "number", "allowed": [1, 2, 3.5], "grade": "C1"},
            },
        },
        "open_page": {},
    },
    "user_properties": {"card_no": {"type": "string", "grade": "C3", "owner": "cards"}},
    "item_properties": {"tags": {"type": "list", "allowed": ["new", "hot"]}},
}


def faults_of(plan: Any) -> list[PlanFault]:
    with pytest.raises(InvalidPlan) as caught:
        read_plan(plan)
    return list(caught.value.faults)


def fault_of(plan: Any) -> tuple[str, str, str | None]:
    """Where, what kind, and what was probably meant."""
    (fault,) = faults_of(plan)
    return fault.field, fault.code, fault.nearest


def test_reads_every_field() -> None:
    assert read_plan(BANK) == Plan(
        mode="enforce",
        unknown_events="refuse",
        unknown_properties="allow",
        common_properties={"channel": PlannedProperty("string", required=True, allowed=("app", "web"))},
        events={
            "purchase_fund": PlannedEvent(
                {
                    "amount": PlannedProperty("decimal", required=True, grade="C2"),
                    "risk_level": PlannedProperty("number", allowed=(1, 2, 3.5), grade="C1"),
                },
                owner="wealth",
                description=Description("购买基金", "A fund is bought"),
            ),
            "open_page": PlannedEvent(),
        },
        user_properties={"card_no": PlannedProperty("string", grade="C3", owner="cards")},
        item_properties={"tags": PlannedProperty("list", allowed=("new", "hot"))},
    )


def test_an_empty_plan_judges_nothing_and_reports_what_it_does_not_know() -> None:
    assert read_plan({}) == Plan("off", "report", "report")


def test_writes_back_what_was_read() -> None:
    assert plan_as_json(read_plan(BANK)) == BANK


@given(plans())
def test_a_plan_survives_its_text(plan: Plan) -> None:
    assert plan_of_text(write_plan(plan)) == plan
    assert write_plan(plan_of_text(write_plan(plan))) == write_plan(plan)


@pytest.mark.parametrize(
    ("plan", "where"),
    [
        ([], ("", "invalid_value", None)),
        ({"evnts": {}}, ("evnts", "unknown_field", "events")),
        ({"mode": "strict"}, ("mode", "unknown_value", "enforce")),
        ({"mode": False}, ("mode", "unknown_value", None)),
        ({"unknown_events": "ignore"}, ("unknown_events", "unknown_value", "allow")),
        ({"events": []}, ("events", "invalid_value", None)),
        ({"events": {"1st": {}}}, ("events.1st", "invalid_value", None)),
        ({"events": {"time": {}}}, ("events.time", "invalid_value", None)),
        ({"events": {7: {}}}, ("events.7", "invalid_value", None)),
        ({"events": {"a": {"props": {}}}}, ("events.a.props", "unknown_field", "properties")),
        ({"events": {"a": {"grade": "c2"}}}, ("events.a.grade", "unknown_value", "C2")),
        ({"events": {"a": {"owner": 1}}}, ("events.a.owner", "invalid_value", None)),
        ({"events": {"a": {"description": "x"}}}, ("events.a.description", "invalid_value", None)),
        ({"events": {"a": {"description": {"fr": "x"}}}}, ("events.a.description.fr", "unknown_field", None)),
        (
            {"events": {"a": {"properties": {"b": {"type": "int"}}}}},
            ("events.a.properties.b.type", "unknown_value", "number"),
        ),
        ({"events": {"a": {"properties": {"b": {}}}}}, ("events.a.properties.b.type", "missing_field", None)),
        ({"user_properties": {"$time": {}}}, ("user_properties.$time", "invalid_value", None)),
        (
            {"user_properties": {"b": {"type": "string", "required": True}}},
            ("user_properties.b.required", "invalid_value", None),
        ),
        (
            {"item_properties": {"b": {"type": "boolean", "allowed": [True]}}},
            ("item_properties.b.allowed", "invalid_value", None),
        ),
        (
            {"item_properties": {"b": {"type": "string", "allowed": ["x", 1]}}},
            ("item_properties.b.allowed.1", "invalid_value", None),
        ),
        (
            {"item_properties": {"b": {"type": "string", "allowed": ["x", "x"]}}},
            ("item_properties.b.allowed.1", "invalid_value", None),
        ),
        (
            {"item_properties": {"b": {"type": "number", "allowed": [2**60]}}},
            ("item_properties.b.allowed.0", "invalid_value", None),
        ),
        (
            {"item_properties": {"b": {"type": "number", "allowed": []}}},
            ("item_properties.b.allowed", "invalid_value", None),
        ),
        (
            {"common_properties": {"b": {"type": "string", "required": "yes"}}},
            ("common_properties.b.required", "invalid_value", None),
        ),
    ],
)  # fmt: skip
def test_names_the_place_the_kind_and_what_was_meant(plan: Any, where: tuple[str, str, str | None]) -> None:
    assert fault_of(plan) == where


def test_a_type_that_is_none_is_told_once_and_nothing_is_held_against_it() -> None:
    wrong, right = {"type": "decimel"}, {"type": "decimal"}
    plan = {
        "events": {
            "a": {"properties": {"amount": wrong, "rate": wrong}},
            "b": {"properties": {"rate": right}},
        }
    }
    with pytest.raises(InvalidPlan) as caught:
        read_plan(plan)
    told = [(fault.field, fault.nearest) for fault in caught.value.faults]
    assert told == [(f"events.a.properties.{name}.type", "decimal") for name in ("amount", "rate")]


def test_all_faults_are_told_at_once() -> None:
    plan = {
        "mode": "of",
        "events": {"a b": {}, "c": {"properties": {"d": {"type": "strin"}, "e": {"typ": "x"}}}},
    }
    assert [fault.field for fault in faults_of(plan)] == [
        "mode",
        "events.a b",
        "events.c.properties.d.type",
        "events.c.properties.e.typ",
        "events.c.properties.e.type",
    ]


def test_a_name_has_one_type() -> None:
    plan = {
        "events": {
            "a": {"properties": {"x": {"type": "string"}}},
            "b": {"properties": {"x": {"type": "number"}}},
        },
        "user_properties": {"x": {"type": "list"}},  # of somebody else
    }
    assert fault_of(plan) == ("events.b.properties.x.type", "invalid_value", "string")


def test_a_column_of_the_store_decides_the_type() -> None:
    plan = {"events": {"a": {"properties": {"amount": {"type": "number"}}}}}
    assert fault_of(plan) == ("events.a.properties.amount.type", "invalid_value", "decimal")
    assert {name: column.type for name, column in PROPERTY_COLUMNS.items()} == FIXED_TYPES


def test_what_all_events_have_is_declared_once() -> None:
    plan = {
        "common_properties": {"x": {"type": "string"}},
        "events": {"a": {"properties": {"x": {"type": "string"}}}},
    }
    assert fault_of(plan) == ("events.a.properties.x", "invalid_value", None)


def test_a_plan_has_a_size() -> None:
    assert fault_of({"events": {f"e{number}": {} for number in range(PLAN_EVENTS + 1)}})[0] == "events"
    many = {f"p{number}": {"type": "string"} for number in range(PLAN_DECLARATIONS + 1)}
    assert fault_of({"user_properties": many})[0] == ""


def test_the_strictest_grade_of_a_name_counts() -> None:
    plan = read_plan(
        {
            "common_properties": {"city": {"type": "string", "grade": "C1"}},
            "events": {
                "a": {"properties": {"x": {"type": "string", "grade": "C2"}, "y": {"type": "string"}}},
                "b": {"grade": "C1", "properties": {"x": {"type": "string", "grade": "C3"}}},
                "c": {},
            },
            "user_properties": {"x": {"type": "string", "grade": "C1"}},
        }
    )
    assert plan.grades("event") == {"city": "C1", "x": "C3"}
    assert plan.grades("user") == {"x": "C1"}
    assert [plan.event_grade(event) for event in "abcd"] == ["C2", "C1", None, None]


WORDS = st.text() | st.sampled_from(["events", "mode", "properties", "type", "allowed", "string"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
)


@given(JSON)
def test_whatever_is_no_plan_is_refused_with_a_place(value: Any) -> None:
    try:
        plan = read_plan(value)
    except InvalidPlan as error:
        faults = error.faults
    else:
        assert orjson.loads(write_plan(plan))["mode"] == plan.mode
        return
    assert faults
    assert all(fault.message and str(fault) for fault in faults)
