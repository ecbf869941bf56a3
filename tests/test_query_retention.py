"""retention through the API, computed by hand. tests/test_truth_queries.py checks it at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import Store
from tests.query_world import Event, World

DAYS = {"from": "2026-10-01", "to": "2026-10-03"}
BODY: dict[str, Any] = {"range": DAYS, "start": {"event": "open"}, "return": {"event": "buy"}, "periods": 3}


def at(day: int, hour: float = 12) -> int:
    """Epoch ms of an hour of a day of October in Shanghai."""
    return 1_790_784_000_000 + (day - 1) * 86_400_000 + round(hour * 3_600_000)


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("retention"), tmp_path)) as made:
        yield made


async def ask(world: World, **more: Any) -> Any:
    return (await world.post("/api/v1/query/retention", {**BODY, **more}))["result"]


def values_of(result: Any) -> list[list[int]]:
    return [row["values"] for row in result["rows"]]


async def test_says_who_came_back_and_when(world: World) -> None:
    world.put(
        Event("open", "ann", at(1)),
        Event("buy", "ann", at(1)),
        Event("buy", "ann", at(2)),
        Event("open", "bob", at(1)),
        Event("buy", "bob", at(4)),
        Event("open", "bob", at(2)),
        Event("open", "cat", at(3)),
        Event("buy", "dan", at(2)),
    )
    result = await ask(world)
    assert result["rows"] == [
        {"bucket": "2026-10-01", "size": 2, "values": [2, 1, 0, 1], "partial": False},
        {"bucket": "2026-10-02", "size": 1, "values": [1, 0, 1, 0], "partial": False},
        {"bucket": "2026-10-03", "size": 1, "values": [1, 0, 0, 0], "partial": False},
    ]
    assert result["mean"] == [1, 0.25, 0.25, 0.25]
    assert result["groups"] == []
