"""What every route does around its work: a thread, an answer in JSON, a problem instead, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from query_api.answers import write_json
from query_api.body import MAX_BODY_BYTES
from query_api.gate import Gate
from query_api.meters import Meters
from query_api.problems import BodyTooLarge, Problem, problem_of

RETRY_AFTER_SECONDS = 2
_logger = structlog.get_logger("query_api")


@dataclass(frozen=True, slots=True)
class Front:
    """Shared by all routes of an app."""

    gate: Gate
    meters: Meters

    async def answer(self, route: str, work: Callable[[], Any], *, status: int = 200) -> Response:
        """`work` runs in a thread; what it returns becomes JSON, what it raises a problem."""
        started = time.perf_counter()
        try:
            value = await self.gate.run(work)
            response = Response(write_json(value), status, media_type="application/json")
        except Exception as error:  # noqa: BLE001 - the one place where every failure becomes an answer
            response = problem_response(error)
        self.meters.requests.labels(route, str(response.status_code)).inc()
        self.meters.seconds.labels(route).observe(time.perf_counter() - started)
        return response


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge before more than that is held."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def problem_response(error: Exception) -> Response:
    """application/problem+json for any failure; bugs are logged with their trace."""
    problem: Problem = problem_of(error)
    if problem.status == 500:
        _logger.error("a query failed", exc_info=error)
    headers = {}
    if problem.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = write_json(problem.as_json())
    return Response(body, problem.status, headers, media_type="application/problem+json")
