"""What README, docs and examples show really runs, against a real Footfall."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from footfall.cli.demo_system import RunningSystem

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "sdk/python/README.md", "docs/sdk-python.md", "docs/sensors.md")
SENDERS = ("examples/python_backend.py", "examples/sensors_sdk.py")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run(system: RunningSystem, *command: str) -> str:
    """What the command says, with this system's addresses and keys in place of those in the text."""
    for shown, own in (
        ("http://127.0.0.1:8106", system.collect_url),
        ("http://127.0.0.1:8107", system.query_url),
        ("ff_wk_...", system.write_key),
    ):
        command = tuple(part.replace(shown, own) for part in command)
    settings = {
        "FOOTFALL_WRITE_KEY": system.write_key,
        "FOOTFALL_SECRET_KEY": system.secret_key,
        "FOOTFALL_SDK_QUEUE": str(system.home / "sdk-queue"),
    }
    ended = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def settled(system: RunningSystem) -> dict[str, Any]:
    """The ledger once nothing waits."""
    while (total := system.ledger())["queued"]:
        time.sleep(0.05)
    return total


@pytest.mark.parametrize(
    "program",
    [pytest.param(block, id=page) for page in PAGES for block in blocks(page, "python")]
    + [pytest.param((ROOT / path).read_text(), id=path) for path in SENDERS],
)
def test_programs_send_what_is_accepted(footfall: RunningSystem, program: str) -> None:
    if "sensorsanalytics" in program:
        pytest.importorskip("sensorsanalytics")
    before = settled(footfall)
    run(footfall, sys.executable, "-c", program)
    after = settled(footfall)
    assert after["stored"] > before["stored"]
    assert after["rejected"] == {}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's lines are curl's")
def test_the_readmes_lines_send_and_ask(footfall: RunningSystem) -> None:
    send, ask = (block for block in blocks("README.md", "sh") if "curl" in block)
    for _ in range(2):
        assert run(footfall, "sh", "-c", send) == '{"accepted":1,"rejected":[]}'
    assert settled(footfall)["duplicate"] == 1  # as it says: the same record again is the same event
    answer = json.loads(run(footfall, "sh", "-c", ask))
    (group,) = (group for group in answer["result"]["groups"] if group["key"] == ["app_store"])
    assert group["steps"][0]["users"] >= 1


def test_the_example_asks(footfall: RunningSystem) -> None:
    said = run(footfall, sys.executable, "-c", (ROOT / "examples" / "ask_funnel.py").read_text())
    assert [line.split()[0] for line in said.splitlines()] == ["register", "bind_card", "purchase_fund"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/benchmarks.md"])
def test_every_target_of_make_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {
        word
        for line in re.findall(r"(?:`| {4}|^)make ([a-z ]+)", text, re.MULTILINE)
        for word in line.split()
    }
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"make (\w+)", said))
    assert named & targets
    assert named <= targets


def test_ci_runs_the_readmes_test_command() -> None:
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    shown = [line.partition("#")[0].strip() for line in "".join(blocks("README.md", "sh")).splitlines()]
    assert "make test" in shown
    assert "make test" in commands
    assert "make lint" in commands
