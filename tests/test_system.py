"""The main job: what an app sends is in the answer. With every store: in process, over HTTP, on a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from footfall.workspace import Project
from tests.system import System, open_system

FUNNEL = {
    "range": {"last": {"value": 7, "unit": "day"}},
    "steps": [{"event": "register"}, {"event": "bind_card"}],
    "window": {"value": 7, "unit": "day"},
}


@pytest.fixture(params=["chdb", "http", "cluster"], name="system")
async def any_system(
    request: pytest.FixtureRequest, tmp_path: Path, new_name: Callable[[str], str]
) -> AsyncIterator[System]:
    database = new_name(f"main_job_{request.param}")
    if request.param == "chdb":
        request.getfixturevalue("store")
        url = f"{request.getfixturevalue('store_url')}?database={database}"
    elif request.param == "http":
        url = f"{request.getfixturevalue('http_store_url')}/{database}"
    else:
        url = request.getfixturevalue("cluster_url").replace("DATABASE", database)
    async with open_system(url, tmp_path) as opened:
        yield opened


async def test_what_was_sent_is_in_the_funnel(system: System) -> None:
    first = {"event": "register", "distinct_id": "a"}
    answer = await system.send(first, {"event": "register", "distinct_id": "b"})
    assert answer.json() == {"accepted": 2, "rejected": []}
    await system.send({"event": "bind_card", "distinct_id": "b"})
    await system.settle()
    funnel = await system.ask("funnel", FUNNEL)
    assert [step["users"] for step in funnel["steps"]] == [2, 1]


async def test_the_ledger_is_closed(system: System) -> None:
    event = {"event": "register", "distinct_id": "a", "event_id": "1"}
    await system.send(event, {"event": "", "distinct_id": "b"})
    await system.send(event)
    before = await system.ledger()
    assert (before["received"], before["queued"]) == (3, 3)
    await system.settle()
    after = await system.ledger()
    assert (after["received"], after["stored"], after["duplicate"], after["queued"]) == (3, 1, 1, 0)
    assert sum(after["rejected"].values()) == 1


async def test_projects_do_not_see_each_other(system: System) -> None:
    key = system.create_project(Project("retail"))
    await system.send({"event": "register", "distinct_id": "a"}, key=key)
    await system.settle()
    assert [step["users"] for step in (await system.ask("funnel", FUNNEL))["steps"]] == [0, 0]
    retail = await system.ask("funnel", FUNNEL | {"project": "retail"})
    assert [step["users"] for step in retail["steps"]] == [1, 0]


async def test_each_test_begins_with_nothing(system: System) -> None:
    assert system.rows("SELECT count() FROM events") == [(0,)]
    assert (await system.ledger())["received"] == 0
