"""`footfall export`: what leaves can come in again, and every row is there once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from footfall.cli.export_files import _write
from footfall.workspace import Project
from query_api.routes.export import AT_ONCE
from tests.importing import import_file
from tests.system import System

NOON = 1_775_016_000_000

RECORDS: Sequence[Mapping[str, Any]] = (
    {
        "event": "buy", "distinct_id": "ann", "time": NOON,
        "properties": {
            "amount": 100.50, "channel": "app", "$is_bot": False, "age": 30, "score": 1.50, "vip": True,
            "tags": ["a", "b"], "born": "2000-01-01 08:00:00", "note": '理财 "quoted"\n\u0000', "huge": 2**70,
            "event_duration": 1.5, "$url": "https://bank.example/f?utm_source=wechat",
        },
    },
    {"event": "buy", "distinct_id": "ann", "time": NOON, "properties": {"age": "unknown", "amount": "free"}},
    {"event": "view", "distinct_id": "dev-1", "time": NOON + 1, "anonymous_id": "dev-1", "login_id": "bob"},
    {"event": "view", "distinct_id": "", "time": NOON + 2, "properties": {}},
    {"type": "track_signup", "event": "$SignUp", "distinct_id": "cat", "original_id": "dev-2", "time": NOON},
    {
        "type": "track_id_bind", "distinct_id": "dev-3", "time": NOON,
        "identities": {"$identity_login_id": "dan", "$identity_anonymous_id": "dev-3"},
    },
    {"event": "view", "distinct_id": "dev-2", "time": NOON + 3},
    {"event": "view", "distinct_id": "dev-3", "time": NOON + 4},
    {"type": "profile_set", "distinct_id": "ann", "time": NOON, "properties": {"city": "西安", "level": 3}},
    {"type": "item_set", "item_type": "fund", "item_id": "F1", "time": NOON, "properties": {"risk": "R2"}},
)  # fmt: skip


async def exported(system: System, project: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = await system.query_api.get(f"/api/v1/projects/{project}/export", params=parameters)
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert int(answer.headers["X-Footfall-Rows"]) == len(lines)
    return lines


def without_ids(records: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The place in the log is another one there; so is the order of those who have another key there."""
    told = [{key: value for key, value in record.items() if key != "event_id"} for record in records]
    return sorted(told, key=lambda record: json.dumps(record, sort_keys=True))


async def _fill(system: System) -> None:
    system.clock.freeze(max(system.clock(), NOON + 60_000))
    answer = await system.send(*[{"time_free": True, **record} for record in RECORDS])
    assert answer.json()["rejected"] == []
    await system.settle()


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.parquet"])
async def test_an_export_comes_in_again_and_every_row_is_there_once(
    system: System, tmp_path: Path, name: str
) -> None:
    await _fill(system)
    system.create_project(Project("copy"))
    for subject in ("events", "profiles", "items"):
        answer = await system.query_api.get(f"/api/v1/projects/default/export?subject={subject}")
        path = tmp_path / f"{subject}-{name}"
        _write(path, name, iter([answer.content]), 0, Console(quiet=True))
        for _ in range(2):
            end, rejected = await import_file(system, path, project="copy")
            assert rejected == []
        assert end.accepted == len(answer.text.splitlines()) > 0
        original, copy = [
            without_ids(await exported(system, each, subject=subject)) for each in ("default", "copy")
        ]
        if subject != "events":  # these say when they were processed
            original, copy = [[{**each, "time": 0} for each in records] for records in (original, copy)]
        assert copy == original
    asked = {
        "range": {"from": "2026-04-01", "to": "2026-04-01"},
        "series": [{"event": None, "measure": "users"}],
    }
    persons = [
        (await system.ask("trends", {**asked, "project": each}))["series"] for each in ("default", "copy")
    ]
    assert persons[0] == persons[1]
    ledger = await system.ledger("copy")
    assert ledger["received"] == ledger["stored"] == len(RECORDS)


async def test_two_exports_of_the_same_data_are_equal(system: System) -> None:
    await _fill(system)
    first, second = [await system.query_api.get("/api/v1/projects/default/export") for _ in range(2)]
    assert first.content == second.content
    ids = [json.loads(line)["event_id"] for line in first.text.splitlines()]
    assert len(set(ids)) == len(ids) == 8


async def test_only_what_was_asked_for_is_exported(system: System) -> None:
    await _fill(system)
    found = await exported(system, "default", event=["buy"])
    assert [record["event"] for record in found] == ["buy", "buy"]
    assert len(await exported(system, "default", **{"from": "2026-04-01", "to": "2026-04-01"})) == 8
    assert await exported(system, "default", **{"from": "2026-04-02", "to": "2026-04-02"}) == []
    start, end = "2026-04-01T12:00:00.001+08:00", "2026-04-01T12:00:00.003+08:00"
    assert len(await exported(system, "default", **{"from": start, "to": end})) == 2


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("subject=event", 422, "subject"),
        ("evnt=buy", 422, "evnt"),
        ("from=2026-04-01", 422, "to"),
        ("from=yesterday&to=2026-04-01", 422, "from"),
        ("subject=profiles&event=buy", 422, "event"),
    ],
)
async def test_what_cannot_be_exported_is_refused(
    system: System, query: str, status: int, field: str
) -> None:
    answer = await system.query_api.get(f"/api/v1/projects/default/export?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field)


async def test_a_client_that_leaves_ends_its_export_and_gives_its_turn_back(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def endless(*_: object) -> Iterator[bytes]:
        try:
            while True:
                yield b"{}\n"
        finally:
            ended.append(True)

    with monkeypatch.context() as patched:
        patched.setattr("query_api.routes.export.stream_records", endless)
        for left in range(1, AT_ONCE + 2):
            await _leave_midway(system, "/api/v1/projects/default/export")
            assert len(ended) == left
    assert await exported(system, "default") == []


async def _leave_midway(system: System, path: str) -> None:
    """Asks, takes one block and is gone."""
    transport = system.query_api._transport
    assert isinstance(transport, httpx.ASGITransport)
    headers = [(name.lower(), value) for name, value in system.query_api.headers.raw]
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"}
    scope |= {"method": "GET", "scheme": "http", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "headers": headers, "server": ("test", 80), "client": ("test", 1)}
    taken = asyncio.Event()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for request in requests:
            return request
        await taken.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body"):
            taken.set()
        await asyncio.sleep(0)

    await asyncio.wait_for(transport.app(scope, receive, send), 60)


async def test_a_key_of_another_project_exports_nothing(system: System) -> None:
    keys = system.workspace.create_project(Project("other"))
    for key, status in ((keys.secret_key, 403), (keys.write_key, 403), ("ff_sk_wrong", 401)):
        answer = await system.query_api.get(
            "/api/v1/projects/default/export", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == status
    assert (await system.query_api.get("/api/v1/projects/nowhere/export")).status_code == 404
