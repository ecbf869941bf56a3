"""One phone at every door, and however it is written as an id, is one person, whom every look-up finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.collector_worker import wrapped
from tests.importing import import_file
from tests.system import System

PHONE = "13800138000"
NAMED = f"$identity_mobile+{PHONE}"
NOW = 1_795_301_590_252


async def everything(system: System, tmp_path: Path, strategy: str) -> None:
    """The same id over the native door, Sensors', an import; as an identity, and before its key."""
    system.clock.freeze(NOW)
    body = {"name": "bank", "identity": {"strategy": strategy}}
    answer = await system.query_api.post("/api/v1/projects", json=body)
    assert answer.status_code == 201, answer.text
    key = answer.json()["write_key"]
    named = {"identities": {"$identity_mobile": PHONE}} if strategy == "global" else {}
    native = {"event": "native", "distinct_id": PHONE, "time": NOW, "properties": {}}
    sensors = {"type": "track", **native, "event": "sensors"}
    await system.send(native | named, key=key)
    if strategy == "global":
        await system.send(native | named | {"event": "named", "distinct_id": NAMED}, key=key)
    await system.collector.post(f"/sa?token={key}", content=b"data_list=" + wrapped([sensors | named]))
    source = tmp_path / "one.jsonl"
    source.write_text(json.dumps(native | named | {"event": "imported"}))
    await import_file(system, source, project="bank")


async def get(system: System, path: str) -> Any:
    answer = await system.query_api.get(f"/api/v1/users/{path}", params={"project": "bank"})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("strategy", ["many_to_one", "global"])
async def test_one_phone_is_one_person_whom_every_look_up_finds(
    system: System, tmp_path: Path, strategy: str
) -> None:
    await everything(system, tmp_path, strategy)
    events = {"native", "sensors", "imported"} | ({"named"} if strategy == "global" else set())
    before = "$identity_mobile+" if strategy == "global" else ""
    person = await get(system, before + PHONE)
    [rests] = {id_ for (id_,) in system.rows("SELECT distinct_id FROM events WHERE event = 'native'")}
    assert rests.startswith("pid_")
    for form in (before + PHONE, before + rests):
        assert await get(system, form) == person
        timeline = (await get(system, f"{form}/events"))["events"]
        assert {each["event"] for each in timeline} == events
    assert PHONE not in json.dumps(person)
    condition = {"property": "distinct_id", "op": "eq", "value": PHONE}
    for event in events - {"named"}:
        asked = {
            "project": "bank",
            "series": [{"event": event, "where": [condition], "measure": "users"}],
            "range": {"from": "2026-01-01", "to": "2027-12-31"},
            "interval": "year",
        }
        assert (await system.ask("trends", asked))["series"][0]["total"] == 1
