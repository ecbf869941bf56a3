"""Tracking plans as files: the same bytes after each round, and faults with their lines."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from footfall.tracking_plan.faults import InvalidPlan
from footfall.tracking_plan.plan import Description, Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.writing import plan_as_json
from footfall.tracking_plan.yaml_form import read_yaml, write_yaml
from tests.tracking_plans import plans

FILE = """\
mode: enforce
unknown_events: report
unknown_properties: refuse
events:
  purchase_fund:
    description:
      zh: 购买基金
      en: 'A fund is bought: the money has left'
    owner: wealth
    properties:
      risk_level:
        type: string
        required: true
        allowed:
          - R1
          - 'no'
          - '3'
        grade: C1
"""
LEVEL = "events.purchase_fund.properties.risk_level"


def lines_of(text: str | bytes) -> list[tuple[int | None, str]]:
    with pytest.raises(InvalidPlan) as caught:
        read_yaml(text.encode() if isinstance(text, str) else text)
    return [(fault.line, fault.field) for fault in caught.value.faults]


@given(plans())
def test_a_plan_survives_its_file_byte_for_byte(plan: Plan) -> None:
    text = write_yaml(plan)
    assert read_yaml(text.encode()) == plan
    assert write_yaml(read_yaml(text.encode())) == text


@given(
    st.text(max_size=40),
    st.sampled_from(["no", "null", "3", "1e3", "~", "true", "0x1f", "2026-01-31", "", "<<"]),
)
@example("\x85\u2028\ufeff\x00 ", "- x")
def test_texts_of_any_kind_survive(text: str, value: str) -> None:
    if any("\ud800" <= each <= "\udfff" for each in text):
        return
    declared = PlannedProperty("string", allowed=(value, f"x{text}"), description=Description(text, value))
    plan = Plan(events={"a": PlannedEvent({"null": declared}, owner=value)})
    assert read_yaml(write_yaml(plan).encode()) == plan


def test_the_file_of_a_bank_is_written_as_it_was_read() -> None:
    assert write_yaml(read_yaml(FILE.encode())) == FILE


def test_other_readers_of_yaml_read_the_same() -> None:
    assert yaml.safe_load(FILE) == plan_as_json(read_yaml(FILE.encode()))


def test_comments_are_read_and_not_kept() -> None:
    commented = "# ours\n" + FILE.replace("owner: wealth", "owner: wealth # Ms Lin")
    assert write_yaml(read_yaml(commented.encode())) == FILE


def test_words_mean_what_they_look_like() -> None:
    plan = read_yaml(b"mode: off\nevents: {a: {properties: {x: {type: string, allowed: [no, on, yes]}}}}")
    assert plan.mode == "off"
    assert plan.events["a"].properties["x"].allowed == ("no", "on", "yes")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (FILE.replace("type: string", "type: strin"), [(12, f"{LEVEL}.type")]),
        (FILE.replace("'3'", "3"), [(17, f"{LEVEL}.allowed.2")]),
        (FILE.replace("        type: string\n", ""), [(11, f"{LEVEL}.type")]),
        (FILE + "evnts: {}\n", [(19, "evnts")]),
        ("mode: of\n\nevents:\n  a b:\n", [(1, "mode"), (4, "events.a b")]),
        ("", [(1, "")]),
        ("- a\n", [(1, "")]),
        ("mode: off\nmode: report\n", [(2, "")]),
        ("mode: off\n---\nmode: report\n", [(2, "")]),
        ("mode: [off\n", [(2, "")]),
        ("mode:\n\t- off\n", [(2, "")]),
        ("a: &x [b]\nc: *x\n", [(1, "")]),
        ("mode: off\nevents: !!python/object:os.system {}\n", [(2, "")]),
        ("mode: !!str off\n", [(1, "")]),
        ("events:\n  <<: {}\n", [(2, "")]),
        ("? [a]\n: b\n", [(1, "")]),
        ("mode: off\nevents: " + "[" * 30 + "]" * 30, [(2, "")]),
        (b"mode: off\nevents: \xff", [(2, "")]),
        (b"mode: \x00", [(1, "")]),
        (b" " * (1024 * 1024 + 1), [(1, "")]),
    ],
)  # fmt: skip
def test_faults_have_lines(text: str | bytes, lines: list[tuple[int | None, str]]) -> None:
    assert lines_of(text) == lines


def test_a_file_full_of_brackets_costs_nothing() -> None:
    assert lines_of(b"[" * 1_000_000)
    assert lines_of(b"a: " * 300_000)


@given(st.binary(max_size=200) | st.text(alphabet="ab:-?*&![]{}'\"\n #|>%@,~", max_size=60).map(str.encode))
def test_whatever_is_no_plan_is_refused_with_a_line(text: bytes) -> None:
    try:
        read_yaml(text)
    except InvalidPlan as error:
        faults = error.faults
    else:
        return
    assert all(fault.line for fault in faults)
