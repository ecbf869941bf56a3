"""docs/tracking-plan.md says what a plan may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footfall.cli.app import app
from footfall.tracking_plan.judging import REASONS
from footfall.tracking_plan.plan import GRADES, MODES, PROPERTY_TYPES, UNKNOWN
from footfall.tracking_plan.reading import DESCRIPTION_FIELDS, EVENT_FIELDS, PLAN_FIELDS, PROPERTY_FIELDS
from footfall.tracking_plan.yaml_form import read_yaml
from query_api.openapi import describe

PAGE = (Path(__file__).parents[1] / "docs" / "tracking-plan.md").read_text("utf-8")
ENGLISH, CHINESE = PAGE.split("## 中文")


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_every_field_and_word_is_explained_in_both_languages(text: str) -> None:
    words = {*PLAN_FIELDS, *PROPERTY_FIELDS, *MODES, *UNKNOWN, *PROPERTY_TYPES, *GRADES}
    words -= {"properties", "owner", "description"} if text is CHINESE else set()
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []


def test_every_kind_of_violation_is_explained() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", ENGLISH, re.MULTILINE))
    assert rows == {kind: reason.value for kind, reason in REASONS.items()}


def test_the_example_is_a_plan() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    plan = read_yaml(block.encode())
    assert plan.events["purchase_fund"].properties["amount"].type == "decimal"
    assert all(field in block for field in (*EVENT_FIELDS[:2], *DESCRIPTION_FIELDS))


def test_every_command_and_route_that_is_shown_exists() -> None:
    commands = set(re.findall(r"\$ footfall plan (\w+)", PAGE))
    assert commands == {"propose", "check", "import", "export", "show", "violations"}
    for command in commands:
        assert CliRunner().invoke(app, ["plan", command, "--help"]).exit_code == 0
    for path in (path for path in describe()["paths"] if "{name}/plan" in path):
        assert path.rpartition("}/plan")[2] in PAGE
