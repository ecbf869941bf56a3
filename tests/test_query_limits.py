"""What a query may use, and what happens when that is not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from footfall.storage.store import (
    Query,
    QueryLimits,
    QueryRefused,
    QueryTooExpensive,
    Rows,
    Store,
    StoreUnavailable,
)
from query_api.scan import ScannerMissing
from tests.query_world import Event, World

BODY: dict[str, Any] = {
    "range": {"from": "2026-10-01", "to": "2026-10-02"},
    "series": [{"event": "buy", "measure": {"median": "amount"}}],
}


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("limits"), tmp_path)) as made:
        yield made


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueryTooExpensive("memory limit of secret"), 422, "too_expensive"),
        (MemoryError(), 422, "too_expensive"),
        (StoreUnavailable("gone"), 503, "unavailable"),
        (ScannerMissing("_scan.so cannot be loaded"), 503, "scanner_missing"),
        (QueryRefused("Syntax error near secret"), 500, "query_refused"),
        (RuntimeError("secret"), 500, "bug"),
    ],
)
async def test_trouble_with_the_store_is_named_without_details(
    world: World,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def fail(query: Query, limits: QueryLimits | None = None) -> Rows:
        raise error

    monkeypatch.setattr(store, "rows", fail)
    response = await world.client.post("/api/v1/query/trends", json={**BODY, "project": world.project})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


async def test_the_cache_tells_a_number_from_its_text(world: World) -> None:
    world.put(
        Event("buy", "ann", "2026-10-01T10:00:00Z", {"size": "1.5"}),
        Event("buy", "bob", "2026-10-01T10:00:00Z", {"weight": 1.5}),
    )
    for value in (1.5, "1.5", True, 1):
        where = [{"property": "weight", "op": "eq", "value": value}]
        answer = await world.post("/api/v1/query/trends", {**BODY, "where": where})
        assert answer["meta"]["cached"] is False
