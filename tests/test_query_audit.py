"""What the query API writes into the audit log: who used a key, what was changed, who looked at whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from footfall.workspace import AuditFilter
from footfall.workspace.workspace import fingerprint
from query_api.key_use import MOST_REFUSED
from query_api.openapi import describe
from tests.system import SECRET_KEY, WRITE_KEY, System

PERSON = "13800138000"


def rows(system: System, action: str = "") -> list[tuple[str, str, str, str, dict[str, Any]]]:
    wanted = AuditFilter(action=action or None)
    return [
        (row.actor, row.action, row.project, row.subject, row.as_json()["detail"])
        for row in system.workspace.audit.rows(wanted)
        if action or not row.action.startswith("key.")
    ]


ME = f"secret key {fingerprint(SECRET_KEY)}"
RECORD = {"type": "track", "event": "Open", "distinct_id": PERSON, "time": 1, "event_id": "one"}


async def filled(system: System) -> None:
    """One person with an event, one record that was turned away."""
    record = RECORD | {"time": system.clock()}
    await system.send(record, record | {"event_id": "two", "event": "not a name!"})
    await system.settle()


async def test_looks_at_people_are_rows_without_their_ids(system: System) -> None:
    await filled(system)
    hashed = system.workspace.audit.hashed("default", PERSON)
    api = system.query_api
    for url in (f"/users/{PERSON}", f"/users/{PERSON}/events", f"/users/{PERSON}/history", "/users/nobody-x"):
        assert (await api.get(f"/api/v1{url}")).status_code in (200, 404)
    asked = await api.get("/api/v1/projects/default/bindings", params={"id": PERSON})
    assert asked.status_code == 200
    assert (await api.get("/api/v1/projects/default/export")).status_code == 200
    seen = rows(system)
    assert [(actor, action) for actor, action, *_ in seen] == [
        (ME, "person.show"),
        (ME, "person.timeline"),
        (ME, "person.history"),
        (ME, "person.show"),
        (ME, "bindings.list"),
        (ME, "export.events"),
    ]
    assert [subject for *_, subject, _ in seen][:3] == [hashed] * 3
    assert seen[-1][4]["rows"] == 1
    assert PERSON not in repr(seen)


async def test_letters_shown_and_replayed_are_rows(system: System) -> None:
    await filled(system)
    base = "/api/v1/projects/default/dead-letters"
    (letter,) = (await system.query_api.get(base)).json()["letters"]
    assert (await system.query_api.get(f"{base}/{letter['id']}")).status_code == 200
    for dry_run in (True, False):
        body = {"all": True, "fix": 'set /event = "Mended"', "dry_run": dry_run}
        assert (await system.query_api.post(f"{base}/replay", json=body)).status_code == 200
    assert [(action, subject, detail) for _, action, _, subject, detail in rows(system)] == [
        ("dead_letters.list", "", {"rows": 1}),
        ("dead_letters.show", letter["id"], {}),
        ("dead_letters.replay", "", {"rows": 1, "refused": 0}),
    ]


async def test_a_key_is_a_row_once_an_hour_and_address(system: System) -> None:
    system.clock.freeze(1_796_000_000_000)
    for _ in range(3):
        await system.query_api.get("/api/v1/projects")
    assert rows(system, "key.") == [
        ("footfall", "key.use", "", f"key {fingerprint(SECRET_KEY)}", {"address": "127.0.0.1", "status": 200})
    ]
    system.clock.freeze(1_796_003_600_000)
    await system.query_api.get("/api/v1/projects")
    assert len(rows(system, "key.use")) == 2


async def test_guessed_keys_are_rows_and_then_a_count(system: System) -> None:
    system.clock.freeze(1_796_000_000_000)
    for number in range(MOST_REFUSED + 5):
        headers = {"Authorization": f"Bearer guess {number}"}
        assert (await system.query_api.get("/api/v1/projects", headers=headers)).status_code == 401
    headers = {"Authorization": f"Bearer {WRITE_KEY}"}
    assert (await system.query_api.get("/api/v1/projects", headers=headers)).status_code == 403
    refused = rows(system, "key.refuse")
    assert len(refused) == MOST_REFUSED
    assert "guess" not in repr(refused)
    system.clock.freeze(1_796_003_600_000)
    assert (await system.query_api.get("/api/v1/projects", headers=headers)).status_code == 403
    *_, (_, _, _, named, detail) = rows(system, "key.refuse")
    assert named == f"key {fingerprint(WRITE_KEY)}"
    assert (detail["status"], detail["refused_uncounted"]) == (403, 6)


async def test_without_the_audit_log_nothing_is_answered(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(system.workspace.audit._anchor, "advance", away)
    answer = await system.query_api.get("/api/v1/projects")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    monkeypatch.undo()
    assert (await system.query_api.get("/api/v1/projects")).status_code == 200
    monkeypatch.setattr(system.workspace.audit._anchor, "advance", away)
    assert (await system.query_api.get(f"/api/v1/users/{PERSON}")).status_code == 503


async def test_the_log_is_read_page_by_page_and_reading_is_a_row(system: System) -> None:
    await system.query_api.patch("/api/v1/projects/default", json={"keep_days": 400})
    page = (await system.query_api.get("/api/v1/audit", params={"limit": 2, "action": "project."})).json()
    assert [(row["action"], row["detail"]) for row in page["rows"]] == [
        ("project.change", {"keep_days": 400})
    ]
    assert page["next_after"] is None
    page = (await system.query_api.get("/api/v1/audit", params={"limit": 1})).json()
    assert (page["rows"][0]["sequence"], page["next_after"]) == (1, 1)
    answer = await system.query_api.get("/api/v1/projects/default/audit", params={"id": PERSON})
    assert answer.json()["rows"] == []
    assert [action for _, action, *_ in rows(system, "audit.")] == ["audit.read"] * 3


async def test_a_project_key_reads_only_its_projects_rows(system: System) -> None:
    made = await system.query_api.post("/api/v1/projects", json={"name": "retail"})
    headers = {"Authorization": f"Bearer {made.json()['secret_key']}"}
    assert (await system.query_api.get("/api/v1/audit", headers=headers)).status_code == 403
    assert (await system.query_api.get("/api/v1/projects/default/audit", headers=headers)).status_code == 403
    answer = await system.query_api.get("/api/v1/projects/retail/audit", headers=headers)
    assert [row["action"] for row in answer.json()["rows"]] == ["project.create"]


@pytest.mark.parametrize(
    "parameters", [{"after": "x"}, {"since": "soon"}, {"since": "0001-13-01"}, {"subject": "x"}]
)
async def test_parameters_that_mean_nothing_are_refused(
    system: System, parameters: Mapping[str, str]
) -> None:
    answer = await system.query_api.get("/api/v1/audit", params=parameters)
    assert answer.status_code == 422, answer.text


EXEMPT = {
    "POST /api/v1/query/{analysis}": "counts, not people; key.use says who asks",
    "POST /api/v1/query/{analysis}/explain": "runs nothing",
    "POST /api/v1/projects/{name}/plan/propose": "answers a plan and keeps nothing",
    "POST /api/v1/projects/{name}/privacy/test": "tries out a record that the asker made",
}
"""Unsafe methods that write no row, and why."""

BODIES: dict[str, Any] = {
    "POST /api/v1/projects": {"name": "new"},
    "PATCH /api/v1/projects/{name}": {"keep_days": None},
    "POST /api/v1/projects/{name}/bindings": {
        "action": "bind",
        "anonymous_id": "device",
        "login_id": "login",
    },
    "POST /api/v1/projects/{name}/virtual-events": {"name": "Any", "events": [{"event": "Open"}]},
    "DELETE /api/v1/projects/{name}/virtual-events/{event}": {},
    "POST /api/v1/projects/{name}/keys": {"kind": "secret", "name": "reports", "min_cell": 10},
    "DELETE /api/v1/projects/{name}/keys/{fingerprint}": {},
    "POST /api/v1/projects/{name}/dead-letters/replay": {"all": True},
    "PUT /api/v1/projects/{name}/privacy": {},
    "PUT /api/v1/projects/{name}/remote-config": {},
    "PUT /api/v1/projects/{name}/plan": {"version": 0, "plan": {"mode": "report"}},
    "POST /api/v1/projects/{name}/persons/export": {"id": PERSON, "reason": "asked"},
    "POST /api/v1/projects/{name}/holds": {"id": PERSON, "reason": "court"},
    "POST /api/v1/projects/{name}/holds/release": {"id": PERSON, "reason": "court"},
    "POST /api/v1/projects/{name}/persons/erase": {"id": PERSON, "reason": "asked"},
    "POST /api/v1/projects/{name}/envelope-keys": {"algorithm": "AES"},
    "POST /api/v1/projects/{name}/envelope-keys/{key}/retire": {},
    "PUT /api/v1/projects/{name}/keep-rules": {"rules": []},
}
"""A body that each route takes, in this order. A new route needs one here, or a reason above."""


ELSEWHERE = {
    "POST /api/v1/projects/{name}/privacy/detokenise": "test_privacy_api.py",
    "POST /api/v1/projects/{name}/envelope-keys/{key}/publish": "test_query_audit.py",
    "POST /api/v1/query/{analysis}/users": "test_query_audit.py",
    "POST /api/v1/projects/{name}/remote-config/approve": "test_remote_config.py",
    "POST /api/v1/projects/{name}/remote-config/withdraw": "test_remote_config.py",
    "POST /api/v1/snapshots": "test_backup.py",
}
"""Routes that need more than a body: whose tests hold their rows."""


def unsafe_routes() -> set[str]:
    routes = set()
    for path, methods in describe()["paths"].items():
        shown = re.sub(r"^/api/v1/query/\w+", "/api/v1/query/{analysis}", path)
        routes |= {
            f"{method.upper()} {shown}" for method in methods if method not in ("get", "head", "parameters")
        }
    return routes


def test_every_unsafe_route_is_known_here() -> None:
    assert unsafe_routes() == EXEMPT.keys() | BODIES.keys() | ELSEWHERE.keys()


async def test_every_unsafe_route_writes_a_row_if_it_did_something_and_none_if_not(system: System) -> None:
    await filled(system)
    for route, body in BODIES.items():
        method, _, url = route.partition(" ")
        key = system.workspace.keys.of_project("default")[-1].fingerprint
        listed = (await system.query_api.get("/api/v1/projects/default/envelope-keys")).json()["keys"]
        url = url.replace("{key}", listed[-1]["name"] if listed else "")
        url = url.replace("{name}", "default").replace("{event}", "Any").replace("{fingerprint}", key)
        before = len(rows(system))
        refused = await system.query_api.request(
            method, url, json={"nonsense": 1}, headers={"Authorization": "Bearer ff_sk_wrong"}
        )
        assert (refused.status_code, len(rows(system))) == (401, before), route
        answer: httpx.Response = await system.query_api.request(method, url, json=body)
        assert answer.status_code in (200, 201, 202), f"{route}: {answer.text}"
        assert len(rows(system)) == before + 1, route
        assert rows(system)[-1][0] == ME


async def test_people_behind_a_cell_are_a_row(system: System) -> None:
    await filled(system)
    body = {
        "series": [{"event": "Open", "measure": "users"}],
        "range": {"last": {"value": 7, "unit": "day"}},
        "cell": {"series": 0, "key": []},
    }
    answer = await system.query_api.post("/api/v1/query/trends/users", json=body)
    assert answer.status_code == 200, answer.text
    (row,) = rows(system)
    assert row[:2] == (ME, "users.trends")
    assert row[4]["rows"] == 1


async def test_publishing_an_envelope_key_is_a_row(system: System) -> None:
    base = "/api/v1/projects/default/envelope-keys"
    await system.query_api.post(base, json={"algorithm": "SM2"})
    assert (await system.query_api.post(f"{base}/sm2-1/publish", json={})).status_code == 200
    assert [action for _, action, *_ in rows(system)][-1] == "envelope_keys.publish"
