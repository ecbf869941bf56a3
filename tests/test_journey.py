"""docs/journey.md is true: its files and names exist, and its event really takes that way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.system import System

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "journey.md").read_text()
LINKS = re.findall(r"\[`([^`]+)`\]\(\.\./([^)]+)\)(?:: `(\w+)`(?: and `(\w+)`)?)?", TEXT)


def example(name: str) -> dict[str, Any]:
    found = re.search(rf"```json {name}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    value: dict[str, Any] = json.loads(found.group(1))
    return value


def test_the_journey_has_its_stations() -> None:
    assert len(LINKS) > 30
    assert {shown.split("/")[0] for shown, *_ in LINKS} == {
        "sdk", "collector", "footfall", "processor", "query_api",
    }  # fmt: skip


@pytest.mark.parametrize(("shown", "target", "names"), [(s, t, names) for s, t, *names in LINKS])
def test_each_file_exists_and_defines_what_is_named(shown: str, target: str, names: list[str]) -> None:
    assert shown == target
    source = (ROOT / target).read_text()
    for name in filter(None, names):
        assert re.search(rf"^(?:async def|def|class) {name}\b|^{name}\b.*=", source, re.MULTILINE), name


async def test_the_event_of_the_journey_takes_that_way(system: System) -> None:
    sent, stored = example("sent"), example("stored")
    system.clock.freeze(sent["time"] + 1000)
    assert (await system.send(sent)).json() == {"accepted": 1, "rejected": []}
    await system.settle()
    columns = ", ".join(f"toString({name if '[' in name else f'`{name}`'})" for name in stored)
    assert system.rows(f"SELECT {columns} FROM events") == [tuple(stored.values())]
    assert await system.ask("trends", example("asked")) == example("answered")
