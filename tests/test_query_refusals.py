# ruff: noqa: E501 - one case a line
"""What the query API refuses, and how well it says why."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from footfall.storage.store import Store
from query_api.problems import TITLES
from tests.query_world import SECRET, WRITE, Event, World

TRENDS: dict[str, Any] = {"series": [{"event": "buy"}]}
FUNNEL: dict[str, Any] = {"steps": [{"event": "register"}, {"event": "buy"}]}
RETENTION: dict[str, Any] = {"start": {"event": "register"}, "return": {"event": "buy"}}


@pytest.fixture(scope="module")
def world(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with closing(World(store, "refusals", tmp_path_factory.mktemp("refusals"))) as made:
        yield made


def where(**leaf: Any) -> dict[str, Any]:
    return {**TRENDS, "where": [leaf]}


CASES: list[tuple[str, dict[str, Any], str, str, str | None]] = [
    # path, body, field, code, nearest
    ("trends", {**TRENDS, "intervall": "day"}, "intervall", "unknown_field", "interval"),
    ("trends", {**TRENDS, "interval": "dya"}, "interval", "unknown_value", "day"),
    ("trends", {"series": [{"evnt": "buy"}]}, "series[0].evnt", "unknown_field", "event"),
    ("trends", {"series": [{}]}, "series[0].event", "missing_field", None),
    ("trends", {"series": []}, "series", "invalid_value", None),
    ("trends", {}, "series", "missing_field", None),
    ("trends", {"series": [{"event": "buy", "measure": "user"}]}, "series[0].measure", "unknown_value", "users"),
    ("trends", {"series": [{"event": "buy", "measure": {"summ": "x"}}]}, "series[0].measure.summ", "unknown_field", "sum"),
    ("trends", {"series": [{"event": "buy", "measure": "sum"}]}, "series[0].measure", "invalid_value", None),
    ("trends", {"series": [{"event": 5}]}, "series[0].event", "invalid_value", None),
    ("trends", {**TRENDS, "timezone": "Asia/Shangai"}, "timezone", "unknown_value", "Asia/Shanghai"),
    ("trends", {**TRENDS, "week_start": "mondy"}, "week_start", "unknown_value", "monday"),
    ("trends", {**TRENDS, "range": {"from": "2026-13-01", "to": "2026-12-01"}}, "range.from", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "2026-10-02", "to": "2026-10-01"}}, "range.to", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "2026-10-02T08:00:00", "to": "2026-10-03"}}, "range.from", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "20261001xx", "to": "2026-10-01"}}, "range.from", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "2026-W40-1", "to": "2026-10-01"}}, "range.from", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "20261001T080000Z", "to": "2026-10-01"}}, "range.from", "invalid_value", None),
    ("trends", where(property="x", op="before", value="20261001xx"), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="within_last", value={"value": 100_000, "unit": "year"}), "where[0].value", "invalid_value", None),
    ("trends", {**TRENDS, "timezone": "localtime"}, "timezone", "unknown_value", None),
    ("trends", {**TRENDS, "actor": None}, "actor", "invalid_value", None),
    ("trends", {**TRENDS, "actor": {"property": 5}}, "actor.property", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "2026-10-02"}}, "range.to", "missing_field", None),
    ("trends", {**TRENDS, "range": {"last": {"value": 7, "unit": "dayz"}}}, "range.last.unit", "unknown_value", "day"),
    ("trends", {**TRENDS, "range": {"last": {"value": "7", "unit": "day"}}}, "range.last.value", "invalid_value", None),
    ("trends", {**TRENDS, "range": {"from": "1990-01-01", "to": "2026-01-01"}, "interval": "minute"}, "interval", "invalid_value", None),
    ("trends", where(property="x", op="equals", value=1), "where[0].op", "unknown_value", "eq"),
    ("trends", where(property="x", op="=", value=1), "where[0].op", "unknown_value", "eq"),
    ("trends", where(property="x", op="Not-Equal", value=1), "where[0].op", "unknown_value", "ne"),
    ("trends", where(property="x", op="regex", value="1"), "where[0].op", "unknown_value", "matches"),
    ("trends", where(property="x", op="is_null"), "where[0].op", "unknown_value", "is_not_set"),
    ("trends", where(property="x", op="greater_than", value=1), "where[0].op", "unknown_value", "gt"),
    ("trends", where(property="x", operator="eq"), "where[0].operator", "unknown_field", "op"),
    ("trends", {**TRENDS, "operator": "eq"}, "operator", "unknown_field", "where"),
    ("trends", {**TRENDS, "filters": []}, "filters", "unknown_field", "where"),
    ("trends", {**TRENDS, "interval": "d"}, "interval", "unknown_value", "day"),
    ("trends", {**TRENDS, "interval": "DAY"}, "interval", "unknown_value", "day"),
    ("trends", {"series": [{"event": "buy", "measure": "count"}]}, "series[0].measure", "unknown_value", "events"),
    ("trends", {"series": [{"event": "buy", "measure": "uniques"}]}, "series[0].measure", "unknown_value", "users"),
    ("trends", {"series": [{"event": "buy", "measure": {"avg": "x"}}]}, "series[0].measure.avg", "unknown_field", "average"),
    ("trends", {**TRENDS, "interval": "xyzzy"}, "interval", "unknown_value", None),
    ("trends", where(property="x", op="eqq", value=1), "where[0].op", "unknown_value", "eq"),
    ("trends", where(property="x", op="eq"), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="between", value=[1]), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="is_set", value=1), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="before", value="yesterday"), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="within_last", value={"value": 1}), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="matches", value="("), "where[0].value", "invalid_value", None),
    ("trends", where(property="x", op="eq", value=1, of="events"), "where[0].of", "unknown_value", "event"),
    ("trends", where(property="x", op="eq", value=1, of="cohort"), "where[0].of", "not_implemented", None),
    ("trends", where(property="x", op="eq", value=1, of="item"), "where[0].item_type", "missing_field", None),
    ("trends", where(property="x", op="eq", value=1, of="item", item_type="fund"), "where[0].by", "missing_field", None),
    ("trends", where(property="x", op="eq", value=1, by="fund_id"), "where[0].by", "invalid_value", None),
    ("trends", {**TRENDS, "breakdown": [{"property": "a", "of": "item", "by": "b"}]}, "breakdown[0].item_type", "missing_field", None),
    ("trends", where(any=[{"all": [{"property": "x", "opp": "eq"}]}]), "where[0].any[0].all[0].opp", "unknown_field", "op"),
    ("trends", where(nott={}), "where[0].nott", "unknown_field", None),
    ("trends", {**TRENDS, "breakdown": ["a", "b", "c", "d"]}, "breakdown", "invalid_value", None),
    ("trends", {**TRENDS, "breakdown": [{"property": "a", "of": "usr"}]}, "breakdown[0].of", "unknown_value", "user"),
    ("trends", {**TRENDS, "breakdown_limit": 0}, "breakdown_limit", "invalid_value", None),
    ("trends", {**TRENDS, "sample": 0}, "sample", "invalid_value", None),
    ("trends", {**TRENDS, "sample": 1.5}, "sample", "invalid_value", None),
    ("trends", {**TRENDS, "compare": {"shft": {}}}, "compare.shft", "unknown_field", "shift"),
    ("trends", {**TRENDS, "compare": {}}, "compare.shift", "invalid_value", None),
    ("trends", {**TRENDS, "refresh": "yes"}, "refresh", "invalid_value", None),
    ("trends", {**TRENDS, "formula": "A / C"}, "formula", "invalid_value", None),
    ("trends", {**TRENDS, "formula": "A; DROP"}, "formula", "invalid_value", None),
    ("trends", {**TRENDS, "trailing": 0}, "trailing", "invalid_value", None),
    ("trends", {**TRENDS, "cohorts": ["vip"]}, "cohorts", "not_implemented", None),
    ("trends", {**TRENDS, "actor": "usr"}, "actor", "unknown_value", "user"),
    ("trends/users", {**TRENDS}, "cell", "missing_field", None),
    ("trends/users", {**TRENDS, "cell": {"series": 1}}, "cell.series", "invalid_value", None),
    ("trends/users", {**TRENDS, "cell": {"buket": "x"}}, "cell.buket", "unknown_field", "bucket"),
    ("trends/users", {**TRENDS, "cell": {"bucket": "1999-01-01"}}, "cell.bucket", "unknown_value", None),
    ("trends/users", {**TRENDS, "cell": {}, "cursor": "x"}, "cursor", "invalid_value", None),
    ("trends/users", {**TRENDS, "cell": {}, "limit": 5000}, "limit", "invalid_value", None),
    ("trends/users", {**TRENDS, "cell": {}, "save_as": "vip"}, "save_as", "not_implemented", None),
    ("funnel", {**FUNNEL, "ordr": "ordered"}, "ordr", "unknown_field", "order"),
    ("funnel", {**FUNNEL, "order": "orderd"}, "order", "unknown_value", "ordered"),
    ("funnel", {"steps": []}, "steps", "invalid_value", None),
    ("funnel", {"steps": [{"event": "a"}] * 31}, "steps", "invalid_value", None),
    ("funnel", {**FUNNEL, "window": {"value": 1, "unit": "month"}}, "window.unit", "unknown_value", "week"),
    ("funnel", {**FUNNEL, "window": {"value": 0, "unit": "day"}}, "window.value", "invalid_value", None),
    ("funnel", {**FUNNEL, "breakdown": {"properties": ["a"], "attribution": "first"}}, "breakdown.attribution", "unknown_value", "first_touch"),
    ("funnel", {**FUNNEL, "breakdown": {"properties": ["a"], "step": 2}}, "breakdown.step", "invalid_value", None),
    ("funnel", {**FUNNEL, "correlate": {"kind": "events"}}, "correlate", "not_implemented", None),
    ("funnel", {**FUNNEL, "breakdown": ""}, "breakdown.properties[0].property", "invalid_value", None),
    ("funnel/users", {**FUNNEL, "cell": {"step": 2}}, "cell.step", "invalid_value", None),
    ("funnel/users", {**FUNNEL, "cell": {"step": 1, "outcome": "droped"}}, "cell.outcome", "unknown_value", "dropped"),
    ("funnel/users", {**FUNNEL, "cell": {"step": 1, "key": ["a"]}}, "cell.key", "invalid_value", None),
    ("retention", {}, "start", "missing_field", None),
    ("retention", {"start": {"event": "a"}}, "return", "missing_field", None),
    ("retention/users", {**RETENTION, "range": {"from": "2026-10-01", "to": "2026-10-01"}, "cell": {"bucket": "2026-10-1"}}, "cell.bucket", "unknown_value", "2026-10-01"),
    ("retention", {**RETENTION, "retrun": {"event": "buy"}}, "retrun", "unknown_field", "return"),
    ("retention", {**RETENTION, "return_": {"event": "buy"}}, "return_", "unknown_field", "return"),
    ("retention", {**RETENTION, "total_intervals": 7}, "total_intervals", "unknown_field", "periods"),
    ("retention", {**RETENTION, "start": {"evnt": "a"}}, "start.evnt", "unknown_field", "event"),
    ("retention", {**RETENTION, "return": {"event": "a", "where": [{"property": "x", "op": "is"}]}}, "return.where[0].op", "unknown_value", "eq"),
    ("retention", {**RETENTION, "start": {"event": "a", "occurrence": "first_ever"}}, "start.occurrence", "invalid_value", None),
    ("retention", {**RETENTION, "interval": "weekly"}, "interval", "unknown_value", "week"),
    ("retention", {**RETENTION, "interval": "quarter"}, "interval", "unknown_value", "month"),
    ("retention", {**RETENTION, "interval": {"calendar": "trading"}}, "interval", "not_implemented", None),
    ("retention", {**RETENTION, "interval": 7}, "interval", "unknown_value", None),
    ("retention", {**RETENTION, "periods": -1}, "periods", "invalid_value", None),
    ("retention", {**RETENTION, "periods": "7"}, "periods", "invalid_value", None),
    ("retention", {**RETENTION, "periods": 10_001}, "periods", "invalid_value", None),
    ("retention", {**RETENTION, "periods": 10_000, "range": {"from": "2020-01-01", "to": "2026-01-01"}}, "periods", "invalid_value", None),
    ("retention", {**RETENTION, "interval": "hour", "range": {"from": "1950-01-01", "to": "2026-01-01"}}, "interval", "invalid_value", None),
    ("retention", {**RETENTION, "entry": "first_time"}, "entry", "unknown_value", "first_ever"),
    ("retention", {**RETENTION, "entry": "any"}, "entry", "unknown_value", "recurring"),
    ("retention", {**RETENTION, "mode": "on_or_afer"}, "mode", "unknown_value", "on_or_after"),
    ("retention", {**RETENTION, "mode": "unbounded"}, "mode", "unknown_value", "on_or_after"),
    ("retention", {**RETENTION, "min_occurrences": 0}, "min_occurrences", "invalid_value", None),
    ("retention", {**RETENTION, "min_occurrence": 2}, "min_occurrence", "unknown_field", "min_occurrences"),
    ("retention", {**RETENTION, "day_mode": "rolling"}, "day_mode", "unknown_value", "rolling_24h"),
    ("retention", {**RETENTION, "day_mode": "rolling_24h", "interval": "week"}, "day_mode", "invalid_value", None),
    ("retention", {**RETENTION, "value": {"sum": "amount"}}, "value", "not_implemented", None),
    ("retention", {**RETENTION, "breakdown": {"property": "a", "of": "usr"}}, "breakdown[0].of", "unknown_value", "user"),
    ("retention", {**RETENTION, "breakdown": [{"property": "a", "of": "user"}], "actor": {"property": "b"}}, "breakdown", "not_implemented", None),
    ("retention", {**RETENTION, "sample": 2}, "sample", "invalid_value", None),
    ("retention/users", {**RETENTION}, "cell", "missing_field", None),
    ("retention/users", {**RETENTION, "cell": {"period": 1}}, "cell.bucket", "missing_field", None),
    ("retention/users", {**RETENTION, "cell": {"bucket": "1999-01-01"}}, "cell.bucket", "unknown_value", None),
    ("retention/users", {**RETENTION, "cell": {"bucket": "2026-11-24", "period": 8}}, "cell.period", "invalid_value", None),
    ("retention/users", {**RETENTION, "cell": {"bucket": "2026-11-30", "period": 1}}, "cell.period", "invalid_value", None),
    ("retention/users", {**RETENTION, "cell": {"bucket": "2026-11-24", "perod": 1}}, "cell.perod", "unknown_field", "period"),
    ("retention/users", {**RETENTION, "cell": {"bucket": "2026-11-24", "outcome": "dropped"}}, "cell.outcome", "unknown_value", "lost"),
    ("retention/users", {**RETENTION, "cell": {"bucket": "2026-11-24", "key": ["a"]}}, "cell.key", "invalid_value", None),
    ("retention/users", {**RETENTION, "sample": 0.5, "cell": {"bucket": "2026-11-24"}}, "sample", "invalid_value", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "field", "code", "nearest"), CASES, ids=lambda value: str(value)[:50]
)
async def test_names_the_field_and_the_nearest_spelling(
    world: World, path: str, body: dict[str, Any], field: str, code: str, nearest: str | None
) -> None:
    problem = await world.post(f"/api/v1/query/{path}", body, status=422)
    assert (problem["field"], problem["code"]) == (field, code)
    assert problem["nearest"] == nearest
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == field
    if nearest is not None:
        assert nearest in problem["allowed"]
        assert nearest in problem["detail"]


@pytest.mark.parametrize(("path", "field"), [("trends", "series"), ("paths", "events")])
async def test_an_empty_list_is_refused_in_words_of_json(world: World, path: str, field: str) -> None:
    problem = await world.post(f"/api/v1/query/{path}", {field: []}, status=422)
    assert problem["detail"] == f"{field}: at least one is needed"


@pytest.mark.parametrize("option", ["hold", "correlate"])
@pytest.mark.parametrize("given", [0, False, {}, "", 1, ["fund_id"]], ids=repr)
async def test_only_null_and_an_empty_list_ask_for_nothing(world: World, option: str, given: Any) -> None:
    for nothing in (None, []):
        await world.post("/api/v1/query/funnel", {**FUNNEL, option: nothing})
    problem = await world.post("/api/v1/query/funnel", {**FUNNEL, option: given}, status=422)
    assert (problem["field"], problem["code"]) == (option, "not_implemented")


@pytest.mark.parametrize(
    ("path", "body", "given"),
    [
        ("funnel", {**FUNNEL, "window": {"value": 1.5, "unit": "day"}}, Decimal("1.5")),
        ("trends", {**TRENDS, "sample": 1.25}, Decimal("1.25")),
        ("trends", {**TRENDS, "cohorts": ["vip"]}, '["vip"]'),
        ("trends/users", {**TRENDS, "cell": {}, "save_as": "vip"}, "vip"),
        ("funnel/users", {**FUNNEL, "cell": {"histogram": 60}}, None),
        ("funnel/users", {**FUNNEL, "cell": {"step": 1, "bucket": "2026-10-01"}}, None),
        ("trends", where(property="x", op="eq"), None),
        ("trends", {**TRENDS, "range": {"from": "2026-10-02"}}, None),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_shows_what_was_given_in_the_field(
    world: World, path: str, body: dict[str, Any], given: Any
) -> None:
    problem = await world.post(f"/api/v1/query/{path}", body, status=422)
    assert problem["given"] == problem["errors"][0]["given"] == given


@pytest.mark.parametrize("timezone", ["localtime", "Factory"])
async def test_a_zone_that_depends_on_the_machine_is_none(world: World, timezone: str) -> None:
    await world.post("/api/v1/query/trends", {**TRENDS, "timezone": timezone}, status=422)
    await world.post("/api/v1/projects", {"name": "refusals-zone", "timezone": timezone}, status=422)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_body"),
        (b"", 400, "malformed_body"),
        (b"\xff", 400, "malformed_body"),
        (b'{"a": NaN}', 400, "malformed_body"),
        (b'{"a": "\\ud800"}', 400, "malformed_body"),
        (b"[" * 50_000, 400, "malformed_body"),
        (b'{"where":' + b'[{"any":' * 30 + b"[]" + b"}]" * 30 + b"}", 400, "malformed_body"),
        (b"9" * 5_000, 400, "malformed_body"),
        (b"[]", 422, "invalid_value"),
        (b" " * 1_100_000, 413, "body_too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_body_that_is_no_query_is_a_problem(
    world: World, body: bytes, status: int, code: str
) -> None:
    response = await world.client.post("/api/v1/query/trends", content=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("key", "status"),
    [("", 401), ("Basic x", 401), ("Bearer", 401), ("Bearer ff_sk_no", 401), (f"Bearer {WRITE}", 403)],
)
async def test_asks_for_the_secret_key(world: World, key: str, status: int) -> None:
    for path in ("query/trends", "query/funnel/users", "query/trends/explain", "projects"):
        problem = await world.post(f"/api/v1/{path}", TRENDS, status=status, Authorization=key)
        assert problem["status"] == status
    for path in ("users/ann", "users/ann/events", "catalogue", "projects/refusals/ledger"):
        await world.get(f"/api/v1/{path}", status=status, Authorization=key)


async def test_a_project_key_opens_its_own_project_only(world: World) -> None:
    mine = {"Authorization": f"Bearer {world.keys.secret_key}"}
    await world.post("/api/v1/query/trends", TRENDS, **mine)
    problem = await world.post("/api/v1/query/trends", {**TRENDS, "project": "default"}, status=403, **mine)
    assert problem["code"] == "wrong_project"
    await world.get("/api/v1/catalogue?project=default", status=403, **mine)
    await world.post("/api/v1/projects", {"name": "mine"}, status=403, **mine)


async def test_an_unknown_project_is_not_found(world: World) -> None:
    problem = await world.post("/api/v1/query/trends", {**TRENDS, "project": "refusal"}, status=404)
    assert problem["code"] == "unknown_project"
    assert "'refusals'" in problem["detail"]
    await world.get("/api/v1/projects/nothing/ledger", status=404)
    await world.get("/api/v1/catalogue?project=nothing", status=404)


async def test_other_urls_are_problems_too(world: World) -> None:
    assert (await world.get("/nowhere", status=404))["code"] == "not_found"
    assert (await world.get("/api/v1/query/trends", status=405))["code"] == "method_not_allowed"
    assert (await world.post("/api/v1/query/funel", {}, status=404))["code"] == "unknown_analysis"
    assert (await world.post("/api/v1/query/lifecycle", {}, status=422))["code"] == "not_implemented"
    assert (await world.get("/api/v1/catalogue?projekt=x", status=422))["nearest"] == "project"


async def test_unknown_names_are_warnings(world: World) -> None:
    world.put(Event("purchase", "ann", "2026-10-01T10:00:00+08:00", {"channel": "a"}))
    body = {
        "series": [{"event": "purchas", "where": [{"property": "chanel", "op": "eq", "value": "a"}]}],
        "range": {"from": "2026-10-01", "to": "2026-10-01"},
    }
    answer = await world.post("/api/v1/query/trends", body)
    assert answer["result"]["series"][0]["total"] == 0
    assert answer["meta"]["warnings"] == [
        "no event 'purchas' was ever seen; did you mean 'purchase'?",
        "no property 'chanel' was ever seen; did you mean 'channel'?",
    ]


def test_every_status_has_a_title() -> None:
    from query_api import problems

    kinds = [
        kind
        for kind in vars(problems).values()
        if isinstance(kind, type) and issubclass(kind, problems.Problem)
    ]
    assert {kind.status for kind in kinds if kind is not problems.Problem} == set(TITLES)


async def test_the_bootstrap_secret_is_never_in_an_answer(world: World) -> None:
    response = await world.client.get("/openapi.json")
    assert SECRET not in response.text


@pytest.mark.parametrize(
    ("path", "route"),
    [("/api/v1/query/trends", "query/trends"), ("/api/v1/projects/refusals/keys", "projects/keys")],
)
async def test_a_client_that_leaves_while_it_sends_is_counted_and_no_failure(
    world: World, path: str, route: str, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(coming)

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    await world.app(scope, receive, send)
    assert said[0]["status"] == 499
    metrics = (await world.client.get("/metrics")).text
    assert f'footfall_query_requests_total{{route="{route}",status="499"}} 1.0' in metrics
    assert "a query failed" not in capsys.readouterr().out


async def test_a_body_that_is_too_large_is_counted(world: World) -> None:
    response = await world.client.post("/api/v1/projects/refusals/keys", content=b" " * 1_100_000)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    metrics = (await world.client.get("/metrics")).text
    assert 'footfall_query_requests_total{route="projects/keys",status="413"} 1.0' in metrics
