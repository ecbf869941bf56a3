"""Text that would be SQL, JSON or a path elsewhere, in every string of every request: no 500, no change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.storage.store import Query, Store
from query_api.spec.funnel import FunnelUsersSpec
from query_api.spec.paths import PathsUsersSpec
from query_api.spec.retention import RetentionUsersSpec
from query_api.spec.trends import TrendsUsersSpec
from tests.query_world import Event, World

HOSTILE = (
    "' OR 1=1 --",
    "'; DROP TABLE events; --",
    '"`); DROP TABLE events; --',
    "\\'; DROP TABLE events",
    "{p0:String}",
    "{project:String}} UNION ALL SELECT 1",
    "%s %(x)s {0} $1 ?",
    "tab\t newline\n return\r backslash\\ nul\0 bell\a",
    "\\N",
    "NULL",
    "=x",
    "$",
    "0:1:=",
    "中文 😀 \u202e",
    "../../etc/passwd",
    "<script>alert(1)</script>",
)
DAY = {"from": "2026-10-01", "to": "2026-10-01"}

TEMPLATES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "query/trends",
        {
            "range": DAY,
            "timezone": "X",
            "week_start": "X",
            "interval": "X",
            "where": [{"property": "X", "op": "eq", "value": "X"}, {"any": [{"property": "X", "op": "X"}]}],
            "series": [
                {
                    "event": "X",
                    "label": "X",
                    "occurrence": "X",
                    "measure": {"sum": "X"},
                    "where": [{"property": "X", "of": "user", "op": "contains", "value": "X"}],
                }
            ],
            "breakdown": ["X", {"property": "X", "of": "user"}],
            "formula": "X",
            "actor": {"property": "X"},
            "compare": {"shift": {"value": 1, "unit": "X"}},
        },
    ),
    (
        "query/trends/users",
        {
            "range": DAY,
            "series": [{"event": "X", "measure": {"distinct": "X"}, "occurrence": "first_matching"}],
            "breakdown": ["X", "X"],
            "cell": {"series": 0, "bucket": "X", "key": ["X", "X"]},
            "properties": ["X"],
            "cursor": "X",
        },
    ),
    (
        "query/funnel",
        {
            "range": DAY,
            "steps": [
                {"event": ["X", "X"], "label": "X", "where": [{"property": "X", "op": "in", "value": ["X"]}]},
                {"event": None, "where": [{"property": "X", "op": "matches", "value": "X"}]},
            ],
            "window": {"value": 1, "unit": "X"},
            "order": "X",
            "breakdown": {"properties": ["X", {"property": "X", "of": "user"}], "attribution": "X"},
            "actor": {"property": "X"},
        },
    ),
    (
        "query/funnel/users",
        {
            "range": DAY,
            "steps": [{"event": "X"}],
            "breakdown": ["X"],
            "cell": {"step": 0, "outcome": "X", "key": ["X"]},
            "properties": ["X"],
        },
    ),
    (
        "query/funnel/explain",
        {"range": {"from": "X", "to": "X"}, "project": "X", "steps": [{"event": "X"}], "breakdown": "X"},
    ),
    (
        "query/retention",
        {
            "range": DAY,
            "start": {
                "event": "X",
                "label": "X",
                "where": [{"property": "X", "op": "contains", "value": "X"}],
            },
            "return": {"event": ["X", "X"], "occurrence": "X"},
            "interval": "X",
            "entry": "X",
            "mode": "X",
            "day_mode": "X",
            "value": "X",
            "breakdown": ["X", {"property": "X", "of": "user"}],
        },
    ),
    (
        "query/retention/users",
        {
            "range": DAY,
            "start": {"event": "X", "where": [{"property": "X", "op": "eq", "value": "X"}]},
            "return": {"event": None},
            "entry": "first_ever",
            "where": [{"property": "X", "op": "is_set"}],
            "actor": {"property": "X"},
            "breakdown": ["X"],
            "cell": {"bucket": "2026-10-01", "outcome": "X", "key": ["X"]},
            "properties": ["X"],
        },
    ),
    (
        "query/paths",
        {
            "range": DAY,
            "events": [{"event": "X", "where": [{"property": "X", "op": "eq", "value": "X"}]}],
            "node": {"property": "X", "for": ["X"]},
            "session": {"property": "X"},
            "start": "X",
            "end": "X",
            "clean": [{"pattern": "X", "replace": "X"}],
            "groups": ["X"],
        },
    ),
    (
        "query/paths/users",
        {
            "range": DAY,
            "node": {"property": "X"},
            "actor": {"property": "X"},
            "cell": {"node": "1_", "outcome": "X"},
            "properties": ["X"],
            "cursor": "X",
        },
    ),
    (
        "query/trends",
        {
            "range": DAY,
            "series": [{"event": "X"}],
            "breakdown": [{"property": "X", "of": "item", "item_type": "X", "by": "X"}],
        },
    ),
    (
        "projects/hostile/virtual-events",
        {
            "name": "X",
            "events": [{"event": ["X"], "where": [{"property": "X", "op": "matches", "value": "X"}]}],
        },
    ),
    (
        "query/trends",
        {"range": DAY, "series": [{"event": "X", "measure": "users"}], "actor": {"session": "X"}},
    ),
    (
        "projects",
        {"name": "X", "timezone": "X", "week_start": "X", "identity": {"strategy": "X", "bindings": "X"}},
    ),
)


@pytest.fixture(scope="module")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with closing(World(store, "hostile", tmp_path_factory.mktemp("hostile"))) as made:
        made.put(
            *[
                Event(text, f"id {text}", "2026-10-01T10:00:00+08:00", {text: text, "amount": 1})
                for text in HOSTILE
            ]
        )
        made.put_profiles({f"id {text}": {text: text} for text in HOSTILE})
        yield made


def filled(template: Any, text: str, place: Iterator[int], wanted: int | None) -> Any:
    """The template with `text` for the wanted X, or for every one; the others become None."""
    if isinstance(template, dict):
        return {name: filled(value, text, place, wanted) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, text, place, wanted) for value in template]
    if template != "X":
        return template
    return text if wanted is None or next(place) == wanted else None


def without_nulls(body: Any) -> Any:
    if isinstance(body, dict):
        return {
            name: without_nulls(value) for name, value in body.items() if value is not None or name == "event"
        }
    if isinstance(body, list):
        return [without_nulls(value) for value in body if value is not None]
    return body


def tables(world: World) -> Any:
    """How many rows each table has, whatever was merged meanwhile."""
    names = (
        "events",
        "profiles FINAL",
        "bindings",
        "overrides FINAL",
        "event_catalogue FINAL",
        "property_catalogue",
    )
    return [world.store.rows(Query(f"SELECT count() FROM {name}")).rows for name in names]


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_string_field_is_ever_sql(world: World, text: str) -> None:
    before = tables(world)
    for path, template in TEMPLATES:
        bodies = [filled(template, text, iter(()), None)]
        bodies += [without_nulls(filled(template, text, iter(range(99)), index)) for index in range(12)]
        for body in bodies:
            if not path.startswith("projects"):
                body.setdefault("project", "hostile")
            response = await world.client.post(f"/api/v1/{path}", json=body)
            assert response.status_code in (200, 201, 404, 409, 422), f"{path} {body}: {response.text}"
    for path in (
        f"users/{quote('id ' + text, safe='')}",
        f"users/{quote(text, safe='')}/events",
        "catalogue",
    ):
        for project in ("hostile", quote(text, safe="")):
            response = await world.client.get(f"/api/v1/{path}?project={project}")
            assert response.status_code in (200, 404), response.text
    for query in ("before", "limit", "projekt"):
        response = await world.client.get(f"/api/v1/users/ann/events?{query}={quote(text, safe='')}")
        assert response.status_code in (404, 422), response.text
    response = await world.client.get(f"/api/v1/projects/{quote(text, safe='')}/ledger")
    assert response.status_code in (200, 404)
    assert tables(world) == before


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_names_and_values_are_found_as_they_are(world: World, text: str) -> None:
    same = [{"property": text, "op": "eq", "value": text}]
    body: dict[str, Any] = {"range": DAY, "steps": [{"event": text, "where": same}], "breakdown": [text]}
    result = await world.funnel(body)
    assert [step["users"] for step in result["steps"]] == [1]
    assert [group["key"] for group in result["groups"]] == [[text]]
    people = await world.post(
        "/api/v1/query/funnel/users",
        {**body, "cell": {"step": 0, "key": [text]}, "properties": [text]},
    )
    assert people["total"] == 1
    assert people["users"][0]["user_id"] == f"id {text}"
    assert people["users"][0]["properties"] == {text: text}
    entry: dict[str, Any] = {"range": DAY, "start": {"event": text, "where": same}, "return": {"event": text}}
    entry |= {"entry": "first_ever", "breakdown": [text, {"property": text, "of": "user"}]}
    result = (await world.post("/api/v1/query/retention", entry))["result"]
    assert [(group["key"], group["rows"][0]["size"]) for group in result["groups"]] == [([text, text], 1)]
    cell = {"bucket": "2026-10-01", "key": [text, text]}
    people = await world.post("/api/v1/query/retention/users", {**entry, "cell": cell})
    assert [user["user_id"] for user in people["users"]] == [f"id {text}"]
    series = [{"event": text, "measure": {"distinct": text}}]
    breakdown = [text, {"property": text, "of": "user"}]
    result = await world.trends({"range": DAY, "series": series, "breakdown": breakdown, "interval": "total"})
    assert [(one["key"], one["total"]) for one in result["series"]] == [([text, text], 1)]
    walked = {"range": DAY, "events": [{"event": text, "where": same}], "node": {"property": text}}
    walked |= {"session": {"property": text}, "start": text}
    result = (await world.post("/api/v1/query/paths", walked))["result"]
    assert [(node["id"], node["users"]) for node in result["nodes"]] == [(f"1_{text}", 1)]
    people = await world.post("/api/v1/query/paths/users", {**walked, "cell": {"node": f"1_{text}"}})
    assert [user["user_id"] for user in people["users"]] == [f"id {text}"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_filters_export_what_they_name(world: World, text: str) -> None:
    path = "/api/v1/projects/hostile/export"
    answer = await world.client.get(path, params={"event": text})
    assert [json.loads(line)["event"] for line in answer.text.splitlines()] == [text]
    for field in ("subject", "from", "to"):
        answer = await world.client.get(path, params={"to": "2026-10-01", "from": "2026-10-01", field: text})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    answer = await world.client.get(f"/api/v1/projects/{quote(text, safe='')}/export")
    assert answer.status_code == 404 or answer.text == ""


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
_fields = [
    field.alias or name
    for spec in (TrendsUsersSpec, FunnelUsersSpec, RetentionUsersSpec, PathsUsersSpec)
    for name, field in spec.model_fields.items()
]
_LEAST: dict[str, dict[str, Any]] = {
    "trends": {"series": [{"event": "x"}]},
    "funnel": {},
    "retention": {"start": {"event": "x"}, "return": {"event": None}},
    "paths": {},
}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.dictionaries(st.sampled_from(_fields), _json, max_size=6),
    path=st.sampled_from(
        [
            *("trends", "trends/users", "trends/explain", "funnel", "funnel/users"),
            *("retention", "retention/users", "paths", "paths/users", "paths/explain"),
        ]
    ),
)
async def test_any_json_gets_an_answer(world: World, body: dict[str, Any], path: str) -> None:
    body = {"project": "hostile", **_LEAST[path.partition("/")[0]], **body}
    response = await world.client.post(f"/api/v1/query/{path}", json=body)
    assert response.status_code in (200, 400, 404, 422), response.text
