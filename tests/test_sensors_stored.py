"""Requests captured from Sensors SDKs, from their bytes to the store: every record with its fields equal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from footfall.events.names import HOISTED
from footfall.privacy.kinds import DETECTED
from footfall.privacy.settings import PrivacySettings
from footfall.workspace import Project
from processor.steps.drop_sentinels import SENTINELS
from tests.captured import Captured, capture_time, captured_requests
from tests.system import System
from tests.test_sensors_fixtures import is_old

EVENT_TYPES = ("track", "track_signup", "track_id_bind", "track_id_unbind")
LIB = ("$lib", "$lib_version", "$lib_method", "$lib_detail", "$app_version")


async def test_every_captured_record_rests_in_the_store_with_its_fields_equal(system: System) -> None:
    for name in ("bank", "captured"):
        system.create_project(Project(name, keyless=True))
        open_hearted = PrivacySettings(detect=dict.fromkeys(DETECTED, "keep"), ids="keep")
        system.workspace.privacy.save(name, open_hearted, by="the test", now=1)
    sent = await replay_all(system)
    await system.settle()
    for project in ("bank", "captured"):
        mine = [record for record in sent if record.get("project", "captured") == project]
        events = await export(system, project, "events")
        expected = [record for record in mine if record["type"] in EVENT_TYPES]
        assert len(events) == len(expected)
        for record in expected:
            assert_is_stored(record, events)
        assert_items_are(await export(system, project, "items"), mine)
        kept = {json.dumps(row.get("properties")) for row in await export(system, project, "profiles")}
        wanted = [record for record in mine if record["type"].startswith("profile_")]
        asked = system.rows(
            "SELECT count() FROM profile_operations WHERE project = {project:String}", project=project
        )
        assert asked[0][0] >= len([record for record in wanted if record["properties"]])
        assert bool(kept) == bool(wanted)


async def replay_all(system: System) -> list[dict[str, Any]]:
    """Everything that may be stored, each folder at the time at which it was captured."""
    requests = [request for request in captured_requests() if not request.is_dry_run]
    sent: list[dict[str, Any]] = []
    for folder in sorted({request.path.parent.name for request in requests}, key=capture_time):
        system.clock.freeze(capture_time(folder))
        for request in requests:
            if request.path.parent.name == folder:
                await replay(system, request)
                told = zip(request.records, is_old(request), strict=True)
                sent += [record for record, old in told if not old]
    return sent


async def replay(system: System, request: Captured) -> None:
    method, target, _ = request.head.split(b"\r\n")[0].decode().split(" ", 2)
    target = target.replace("project=default", "project=captured")
    if "project=" not in target:
        target += ("&" if "?" in target else "?") + "project=captured"
    answer = await system.collector.request(method, target, content=request.body)
    assert answer.status_code == 200, (request.name, answer.text)


async def export(system: System, project: str, subject: str) -> list[dict[str, Any]]:
    answer = await system.query_api.get(f"/api/v1/projects/{project}/export?subject={subject}")
    assert answer.status_code == 200, answer.text
    return [json.loads(line, parse_float=Decimal) for line in answer.text.splitlines()]


def assert_is_stored(record: dict[str, Any], events: Iterable[dict[str, Any]]) -> None:
    """Once, with every id, and with every property but those that say something else than a value."""
    wanted = {**{name: record["lib"][name] for name in LIB if name in record["lib"]}, **record["properties"]}
    wanted = {
        name: value
        for name, value in wanted.items()
        if name not in HOISTED and not (isinstance(value, str) and value in SENTINELS)
    }
    called = [row for row in events if (row["type"], row["event"]) == (record["type"], record["event"])]
    own = [row for row in called if ids_of(row) == ids_of(record)]
    assert own, (record, called)
    assert any(
        all(alike(row["properties"].get(name), value) for name, value in wanted.items()) for row in own
    ), (wanted, own)


def ids_of(record: dict[str, Any]) -> tuple[str, str, str]:
    """Of a sign-up, `original_id` is the anonymous id."""
    anonymous_id = record.get("original_id", record.get("anonymous_id", ""))
    return record["distinct_id"], anonymous_id, record.get("login_id", "")


def alike(kept: Any, sent: Any) -> bool:
    """Equal as values: numbers by value, datetimes with the milliseconds that they have in the store."""
    if isinstance(sent, bool) or isinstance(kept, bool):
        return kept is sent
    if isinstance(sent, int | float):
        return isinstance(kept, int | Decimal) and Decimal(kept) == Decimal(str(sent))
    if isinstance(sent, str) and isinstance(kept, str) and len(kept) == 23 and kept[:19] == sent[:19]:
        return int(kept[20:]) == int(sent[20:] or 0) or kept[20:] == sent[20:].ljust(3, "0")
    return bool(kept == sent)


def assert_items_are(items: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    wanted: dict[tuple[str, str], dict[str, Any]] = {}
    for record in sent:
        if record["type"] == "item_set":
            wanted.setdefault((record["item_type"], record["item_id"]), {}).update(record["properties"])
        elif record["type"] == "item_delete":
            wanted.pop((record["item_type"], record["item_id"]), None)
    kept = {
        (row["item_type"], row["item_id"]): row["properties"] for row in items if row["type"] == "item_set"
    }
    assert kept.keys() == wanted.keys()
    for key, own in wanted.items():
        assert all(alike(kept[key][name], value) for name, value in own.items())
