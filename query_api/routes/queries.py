"""POST /api/v1/query/<analysis>, /users and /explain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from query_api.answer_cache import Computed
from query_api.answers import write_json
from query_api.flights import Flights
from query_api.problems import InvalidQuery, NotFound
from query_api.routes.front import Front, problem_response, read_body, while_wanted
from query_api.run import ANALYSES, Asked, Prepared, Queries
from query_api.spec.spellings import nearest
from query_api.ticket import Ticket

PLANNED = (
    "lifecycle", "stickiness", "distribution", "interval", "attribution", "ltv",
    "sessions", "user_properties", "sql",
)  # fmt: skip
"""Analyses of the contract that are not built yet."""


def build_query_routes(front: Front, queries: Queries) -> APIRouter:
    """Every analysis has the same three URLs."""
    router = APIRouter(prefix="/api/v1/query", include_in_schema=False)
    gate, flights = front.gate, Flights[Computed]()

    async def respond(
        request: Request, analysis: str, act: Callable[[Prepared], Awaitable[bytes]], *, users: bool = False
    ) -> Response:
        try:
            _check_analysis(analysis)
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)
        authorization = request.headers.get("authorization")

        async def ask() -> bytes:
            body = await read_body(request)
            prepared = await gate.at_desk(lambda: queries.prepare(analysis, body, authorization, users=users))
            return await while_wanted(request, act(prepared))

        return await front.respond(f"query/{analysis}", ask)

    def compute(asked: Asked, ticket: Ticket) -> Computed:
        computed = queries.compute(asked, ticket)
        front.meters.rows_read.inc(computed.rows_read)
        return computed

    async def answer(prepared: Prepared) -> bytes:
        """From the cache, from an equal query that runs, or computed now."""

        def look_up() -> tuple[Asked, Computed | None]:
            asked = queries.ask(prepared)
            return asked, queries.known(asked)

        asked, computed = await gate.at_desk(look_up)
        is_known = computed is not None
        front.meters.cached.inc(is_known)
        if computed is None:
            # Who wants a fresh answer has a computation of their own.
            key = f"{asked.key} {id(asked)}" if prepared.spec.refresh else asked.key
            computed, is_known = await flights.join(
                key, lambda: gate.run(prepared.project.name, lambda ticket: compute(asked, ticket))
            )
            front.meters.shared.inc(is_known)
        found = computed
        return await gate.at_desk(lambda: write_json(queries.show(asked, found, cached=is_known)))

    async def people(prepared: Prepared) -> bytes:
        def work(ticket: Ticket) -> bytes:
            found = queries.people(prepared, ticket)
            front.meters.rows_read.inc(found["meta"]["rows_read"])
            return write_json(found)

        return await gate.run(prepared.project.name, work)

    async def explain(prepared: Prepared) -> bytes:
        return await gate.at_counter(lambda: write_json(queries.explain(prepared)))

    @router.post("/{analysis}")
    async def query(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, answer)

    @router.post("/{analysis}/users")
    async def query_users(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, people, users=True)

    @router.post("/{analysis}/explain")
    async def query_explain(request: Request, analysis: str) -> Response:
        return await respond(request, analysis, explain)

    return router


def _check_analysis(name: str) -> None:
    if name in ANALYSES:
        return
    if name in PLANNED:
        raise InvalidQuery(f"the analysis {name!r} is not implemented yet", code="not_implemented")
    close = nearest(name, [*ANALYSES, *PLANNED])
    hint = f"; did you mean {close!r}?" if close is not None else ""
    raise NotFound(f"there is no analysis {name[:100]!r}{hint}", code="unknown_analysis")
