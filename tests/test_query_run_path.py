"""The run path over HTTP: clients that leave, budgets, greedy projects; the engine does the work for real."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn

from footfall.storage.store import Query, Store
from query_api.options import QueryOptions
from tests.query_world import SECRET, Event, World
from tests.slow_store import DEVOURING, ENDLESS, SlowStore

DAY = {"from": "2026-10-01", "to": "2026-10-01"}
SLOW, QUICK = "slow", "quick"
BODIES: dict[str, dict[str, Any]] = {
    "trends": {"range": DAY, "series": [{"event": SLOW}]},
    "funnel": {"range": DAY, "steps": [{"event": SLOW}]},
    "trends/users": {"range": DAY, "series": [{"event": SLOW}], "cell": {"series": 0}},
}


def slow(query: Query) -> str | None:
    """Whatever asks the events for `slow` goes on for ever."""
    names = [
        v
        for value in query.parameters.values()
        for v in (value if isinstance(value, list | tuple) else [value])
    ]
    return ENDLESS if SLOW in names and "event" in query.sql else None


def devouring(query: Query) -> str | None:
    return DEVOURING if slow(query) is not None else None


@pytest.fixture
def make_world(
    store: Store, new_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., World]]:
    with contextlib.ExitStack() as stack:

        def make(replaced: Callable[[Query], str | None] = slow, rows: int = 0, **options: Any) -> World:
            made = World(
                SlowStore(store, replaced),
                new_name("run"),
                tmp_path,
                options=QueryOptions(threads=1, rows=rows, **options),
            )
            stack.enter_context(closing(made))
            made.put(
                Event(QUICK, "ann", "2026-10-01T10:00:00+08:00"),
                Event(SLOW, "ann", "2026-10-01T11:00:00+08:00"),
            )
            return made

        yield make


@asynccontextmanager
async def served(world: World) -> AsyncIterator[int]:
    """The port of a real server."""
    config = uvicorn.Config(world.app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def request(world: World, analysis: str, body: dict[str, Any]) -> bytes:
    text = orjson.dumps({"project": world.project, **body})
    head = (
        f"POST /api/v1/query/{analysis} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def connect(port: int, message: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message)
    await writer.drain()
    return writer


async def until(condition: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(condition):
        await asyncio.sleep(0.02)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("analysis", BODIES)
async def test_a_client_that_leaves_ends_its_query_and_frees_its_place(
    make_world: Callable[..., World], analysis: str
) -> None:
    world = make_world(concurrency=1, project_concurrency=1)
    async with served(world) as port:
        writer = await connect(port, request(world, analysis, BODIES[analysis]))
        await until(lambda: bool(world.store.running()))
        writer.close()
        await until(lambda: not world.store.running())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            answer = await client.post(
                "/api/v1/query/trends",
                json={"project": world.project, "range": DAY, "series": [{"event": QUICK}]},
                headers={"Authorization": f"Bearer {SECRET}"},
            )
            assert answer.json()["result"]["series"][0]["total"] == 1
            metrics = (await client.get("/metrics")).text
        left = f'footfall_query_requests_total{{route="query/{analysis.partition("/")[0]}",status="499"}} 1.0'
        assert left in metrics
        assert "footfall_query_running 0.0" in metrics


@pytest.mark.timeout(60)
async def test_a_client_that_leaves_the_queue_is_never_asked_for(make_world: Callable[..., World]) -> None:
    world = make_world(concurrency=1, project_concurrency=1)
    async with served(world) as port:
        first = await connect(port, request(world, "trends", BODIES["trends"]))
        await until(lambda: bool(world.store.running()))
        second = await connect(port, request(world, "funnel", BODIES["funnel"]))
        await until(lambda: "footfall_query_waiting 1.0" in world.metrics())
        second.close()
        await until(lambda: "footfall_query_waiting 0.0" in world.metrics())
        first.close()
        await until(lambda: "footfall_query_running 0.0" in world.metrics())
        assert len(world.store.tags) == 1


@pytest.mark.timeout(60)
async def test_equal_queries_are_computed_once_and_go_on_while_somebody_waits(
    make_world: Callable[..., World],
) -> None:
    go_on = threading.Event()

    def waits(query: Query) -> str | None:
        if slow(query) is not None:
            assert go_on.wait(50)
        return None

    world = make_world(waits)
    message = request(world, "trends", {"range": DAY, "series": [{"event": SLOW}], "interval": "total"})
    async with served(world) as port:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in streams:
            writer.write(message)
            await writer.drain()
        await until(lambda: "footfall_query_running 1.0" in world.metrics())
        streams[0][1].close()  # whoever was first, three of four still want it
        await asyncio.sleep(0.1)
        go_on.set()
        texts = [await reader.readuntil(b'"warnings":[]}}') for reader, _ in streams[1:]]
        for _, writer in streams:
            writer.close()
    assert all(b'"total":1' in text for text in texts)
    assert sum(b'"cached":true' in text for text in texts) >= 2
    read = int(texts[0].partition(b'"rows_read":')[2].partition(b",")[0])
    assert f"footfall_query_rows_read_total {read}.0" in await asyncio.to_thread(world.metrics)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("analysis", BODIES)
async def test_a_query_over_its_time_says_so_and_what_to_narrow(
    make_world: Callable[..., World], analysis: str
) -> None:
    world = make_world(seconds=0.3)
    problem = await world.post(f"/api/v1/query/{analysis}", BODIES[analysis], status=422)
    assert (problem["code"], problem["budget"]) == ("too_expensive", "seconds")
    assert float(problem["limit"]) == 0.3
    assert problem["narrow"][0] == "range"
    assert "0.3 seconds" in problem["detail"]
    assert not world.store.running()


@pytest.mark.timeout(60)
async def test_a_query_over_its_memory_fails_and_others_and_the_ingest_go_on(
    make_world: Callable[..., World],
) -> None:
    world = make_world(devouring, memory_bytes=100 << 20)

    async def devour() -> Any:
        return await world.post("/api/v1/query/trends", {**BODIES["trends"], "refresh": True}, status=422)

    problems = asyncio.gather(*(devour() for _ in range(6)))
    for n in range(5):
        await asyncio.to_thread(world.put, Event(QUICK, f"u{n}", "2026-10-01T12:00:00+08:00"))
        body = {"range": DAY, "series": [{"event": QUICK, "measure": "users"}], "interval": "total"}
        assert (await world.trends(body))["series"][0]["total"] == n + 2
    for problem in await problems:
        assert (problem["budget"], problem["limit"]) == ("memory_bytes", 100 << 20)
        assert problem["narrow"] == ["range", "sample"]


async def test_the_scanner_keeps_to_the_memory_too(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()

    def scan(*_: Any, **__: Any) -> Any:
        raise MemoryError("the funnel's events need more than 1 MiB")

    monkeypatch.setattr("query_api.analyses.funnel.scan_funnel", scan)
    body = {
        "range": DAY,
        "steps": [{"event": None}],
        "breakdown": ["channel"],
        "compare": {"shift": {"value": 1, "unit": "day"}},
    }
    problem = await world.post("/api/v1/query/funnel", body, status=422)
    assert problem["budget"] == "memory_bytes"
    assert problem["narrow"] == ["range", "compare", "steps[0].event", "breakdown", "sample"]


async def test_a_query_that_would_read_more_rows_than_it_may_fails(make_world: Callable[..., World]) -> None:
    world = make_world(rows=1)
    problem = await world.post(
        "/api/v1/query/trends", {"range": DAY, "series": [{"event": [QUICK, SLOW, "x"]}]}, status=422
    )
    assert (problem["budget"], problem["limit"]) == ("rows", 1)


@pytest.mark.timeout(60)
async def test_a_greedy_project_does_not_starve_another(make_world: Callable[..., World]) -> None:
    world = make_world(concurrency=2, project_concurrency=1, project_queue=3)
    world.workspace.create_project(type(world.workspace.projects()[0])("modest"))
    async with served(world) as port:
        names = [f"{SLOW}", *(f"x{n}" for n in range(3))]
        writers = [
            await connect(
                port, request(world, "trends", {**BODIES["trends"], "series": [{"event": [SLOW, name]}]})
            )
            for name in names
        ]
        await until(lambda: "footfall_query_waiting 3.0" in world.metrics())
        refused = await world.client.post(
            "/api/v1/query/trends",
            json={"project": world.project, "range": DAY, "series": [{"event": QUICK}]},
        )
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) == refused.json()["retry_after_seconds"] >= 1
        for _ in range(3):
            answer = await world.post(
                "/api/v1/query/trends",
                {"project": "modest", "range": DAY, "series": [{"event": QUICK}], "refresh": True},
            )
            assert answer["result"]["series"][0]["total"] == 0
        for writer in writers:
            writer.close()
        await until(lambda: "footfall_query_running 0.0" in world.metrics())
