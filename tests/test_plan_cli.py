"""`footfall plan`, against a running Footfall, and the plan of the examples."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
import pytest
from typer.testing import CliRunner, Result

from footfall.cli.app import app
from footfall.cli.demo_system import RunningSystem
from footfall.events.record import Record
from footfall.simulator import Bank, Plan, draw_truth, simulate
from footfall.simulator.delivery import sensors_record
from footfall.tracking_plan.judging import CompiledPlan
from footfall.tracking_plan.yaml_form import read_yaml, write_yaml

EXAMPLE = Path(__file__).parents[1] / "examples" / "plan.yaml"


@pytest.fixture
def home(footfall: RunningSystem, monkeypatch: pytest.MonkeyPatch) -> RunningSystem:
    monkeypatch.setenv("FOOTFALL_HOME", str(footfall.home))
    return footfall


def plan(*words: str) -> Result:
    return CliRunner().invoke(app, ["plan", *words])


def send(footfall: RunningSystem, *records: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {footfall.write_key}"}
    body = json.dumps(records).encode()
    with urlopen(Request(f"{footfall.collect_url}/v1/events", body, headers)) as answer:
        assert answer.status == 200


def test_a_plan_goes_round_from_what_was_seen_to_its_violations(home: RunningSystem, tmp_path: Path) -> None:
    assert "there is no plan" in plan("show").output
    send(home, *[{"event": "buy", "distinct_id": "a", "properties": {"n": number}} for number in range(3)])
    file = tmp_path / "plan.yaml"
    give_up_at = time.monotonic() + 30
    while "type: number" not in (file.read_text() if file.exists() else "") and time.monotonic() < give_up_at:
        assert plan("propose", "--output", str(file)).exit_code == 0
    checked = plan("check", str(file))
    assert (checked.exit_code, "1 events" in checked.output) == (0, True)
    tried = plan("import", str(file), "--dry-run")
    assert "+ events.buy" in tried.output
    assert "version 1 counts now" in plan("import", str(file)).output
    assert "nothing changes" in plan("import", str(file)).output
    assert plan("export").output == file.read_text()
    assert "version 1" in plan("show").output
    assert "command line" in plan("show", "--history").output
    conflict = plan("import", str(file), "--version", "0")
    assert (conflict.exit_code, "version 1 now" in conflict.output) == (1, True)
    while time.monotonic() < give_up_at:
        send(home, {"event": "buy", "distinct_id": "a", "properties": {"n": "one"}})
        told = plan("violations", "--by", "event,property,kind").output
        if "buy  n  wrong_type" in told:
            break
    assert "buy  n  wrong_type" in told


def test_a_file_is_checked_with_lines_and_without_an_engine(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("mode: report\nevents:\n  buy:\n    properties:\n      n: {type: int}\n  1st: {}\n")
    checked = plan("check", str(file))
    assert checked.exit_code == 1
    wrong_type, wrong_name = checked.stderr.splitlines()
    assert wrong_type.startswith(f"{file}:5: events.buy.properties.n.type: not one of string, number")
    assert wrong_type.endswith("did you mean 'number'?")
    assert wrong_name.startswith(f"{file}:6: events.1st: ")
    assert plan("check", str(tmp_path / "nowhere.yaml")).exit_code == 1


@pytest.fixture(scope="module")
def bank() -> Bank:
    return simulate(draw_truth(Plan(seed=4, end_ms=1_795_000_000_000)), customers=400)


def test_the_simulated_bank_keeps_to_the_plan_of_the_examples(bank: Bank) -> None:
    example = read_yaml(EXAMPLE.read_bytes())
    strict = CompiledPlan(
        replace(example, mode="enforce", unknown_events="refuse", unknown_properties="refuse")
    )
    sent = 0
    for history in bank.histories:
        devices = {device.anonymous_id: device for device in history.customer.devices}
        for event in history.events:
            record = msgspec.convert(sensors_record(event, devices[event.device], event.time_ms), Record)
            assert strict.judge(record) == [], record
            sent += 1
    assert sent > 1_000


def test_the_plan_of_the_examples_is_written_as_footfall_writes_it_but_for_comments() -> None:
    example = read_yaml(EXAMPLE.read_bytes())
    assert read_yaml(write_yaml(example).encode()) == example
    assert {event.owner for event in example.events.values()} > {"wealth", "cards"}
    assert all(event.description.zh and event.description.en for event in example.events.values())
