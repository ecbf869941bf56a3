"""The SQL of a query, read and executed: tests/golden/*.sql, a case a file, its body in the first line.

After a change that is meant: UPDATE_GOLDEN=1 pytest tests/test_query_golden.py, then read the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Query, Store
from query_api.run import ANALYSES
from tests.query_world import Event, World

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*.sql"))


@pytest.fixture(scope="module")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with closing(World(store, "golden", tmp_path_factory.mktemp("golden"))) as made:
        properties = {"channel": "app_store", "amount": 10, "age": 30, "plan": "gold"}
        made.put(Event("buy", "ann", "2026-10-01T10:00:00+08:00", properties))
        made.put_profiles({"ann": {"city": "Xi'an"}})
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
async def test_sql_is_as_it_was_read_last_and_runs(world: World, case: Path) -> None:
    text = case.read_text("utf-8")
    first = text.splitlines()[0].removeprefix("-- ")
    analysis, _, body = first.partition(" ")
    explained = await world.post(f"/api/v1/query/{analysis}/explain", json.loads(body))
    written = _written(first, explained["queries"])
    if os.environ.get("UPDATE_GOLDEN"):
        case.write_text(written, "utf-8")
    assert written == case.read_text("utf-8")
    for query in explained["queries"]:
        parameters = {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in query["parameters"].items()
        }
        world.store.rows(Query(query["sql"], parameters))


def _written(first: str, queries: list[dict[str, Any]]) -> str:
    parts = [f"-- {first}"]
    for query in queries:
        parameters = "".join(f"\n--   {name} = {value!r}" for name, value in query["parameters"].items())
        parts.append(f"-- {query['purpose']}{parameters}\n{query['sql']};")
    return "\n\n".join(parts) + "\n"


def test_there_are_cases_of_every_analysis() -> None:
    assert {case.stem.partition("_")[0] for case in CASES} == set(ANALYSES)
