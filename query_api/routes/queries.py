"""POST /api/v1/query/<analysis>, /users and /explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from query_api.problems import InvalidQuery, NotFound
from query_api.routes.front import Front, problem_response, read_body
from query_api.run import ANALYSES, Prepared, Queries
from query_api.spec.spellings import nearest

PLANNED = (
    "lifecycle", "stickiness", "distribution", "interval", "attribution", "ltv",
    "sessions", "user_properties", "sql",
)  # fmt: skip
"""Analyses of the contract that are not built yet."""


def build_query_routes(front: Front, queries: Queries) -> APIRouter:
    """Every analysis has the same three URLs."""
    router = APIRouter(prefix="/api/v1/query", include_in_schema=False)

    async def respond(
        request: Request, analysis: str, act: Callable[[Prepared], dict[str, Any]], *, users: bool = False
    ) -> Response:
        try:
            _check_analysis(analysis)
            body = await read_body(request)
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)
        authorization = request.headers.get("authorization")

        def work() -> dict[str, Any]:
            answer = act(queries.prepare(analysis, body, authorization, users=users))
            _count(front, answer)
            return answer

        return await front.answer(f"query/{analysis}", work)

    @router.post("/{analysis}")
    async def query(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, queries.answer)

    @router.post("/{analysis}/users")
    async def users(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, queries.people, users=True)

    @router.post("/{analysis}/explain")
    async def explain(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, queries.explain)

    return router


def _check_analysis(name: str) -> None:
    if name in ANALYSES:
        return
    if name in PLANNED:
        raise InvalidQuery(f"the analysis {name!r} is not implemented yet", code="not_implemented")
    close = nearest(name, [*ANALYSES, *PLANNED])
    hint = f"; did you mean {close!r}?" if close is not None else ""
    raise NotFound(f"there is no analysis {name[:100]!r}{hint}", code="unknown_analysis")


def _count(front: Front, answer: dict[str, Any]) -> None:
    meta = answer.get("meta", {})
    if meta.get("cached"):
        front.meters.cached.inc()
    else:
        front.meters.rows_read.inc(meta.get("rows_read", 0))
