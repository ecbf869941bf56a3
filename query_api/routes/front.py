"""What every route does around its work: a thread, an answer in JSON, a problem instead, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from query_api.answers import write_json
from query_api.body import MAX_BODY_BYTES
from query_api.gate import Gate
from query_api.meters import Meters
from query_api.problems import BodyTooLarge, Problem, problem_of

Answer = TypeVar("Answer")
CLIENT_LEFT = 499
"""The status that metrics count where nobody waits for the answer any more."""

_logger = structlog.get_logger("query_api")


class ClientLeft(Exception):  # noqa: N818 - reads as what it is
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Front:
    """Shared by all routes of an app."""

    gate: Gate
    meters: Meters

    async def answer(self, route: str, work: Callable[[], Any], *, status: int = 200) -> Response:
        """`work`, which is quick, runs at the counter: its outcome becomes JSON, its failure a problem."""

        async def ask() -> bytes:
            return await self.gate.at_counter(lambda: write_json(work()))

        return await self.respond(route, ask, status=status)

    async def answer_body(
        self, request: Request, route: str, work: Callable[[bytes], Any], *, status: int = 200
    ) -> Response:
        """As `answer`, with the body that was sent for `work` to read: who may not ask is told so first."""

        async def ask() -> bytes:
            body = await read_body(request)
            return await self.gate.at_counter(lambda: write_json(work(body)))

        return await self.respond(route, ask, status=status)

    async def respond(
        self, route: str, ask: Callable[[], Awaitable[bytes]], *, status: int = 200
    ) -> Response:
        """What `ask` gives is the body; what it raises becomes a problem."""
        started = time.perf_counter()
        try:
            response = Response(await ask(), status, media_type="application/json")
        except Exception as error:  # noqa: BLE001 - the one place where every failure becomes an answer
            response = problem_response(error)
        self.meters.requests.labels(route, str(response.status_code)).inc()
        self.meters.seconds.labels(route).observe(time.perf_counter() - started)
        return response


class LinesResponse(StreamingResponse):
    """Lines of JSON as they are made. Where the client leaves, the making ends at once.

    Left to themselves, iterators end when memory is next tidied up, and hold what they hold until then.
    """

    def __init__(
        self, blocks: AsyncGenerator[bytes, None], *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(blocks, media_type="application/x-ndjson", headers=headers)
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._blocks):
            await super().__call__(scope, receive, send)


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge before more than that is held, ClientLeft where no more comes."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise BodyTooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientLeft("the client went away") from None
    return b"".join(chunks)


async def while_wanted(request: Request, asking: Awaitable[Answer]) -> Answer:
    """The answer; ClientLeft, and the asking cancelled, if the client goes away before. The body was read."""
    working = asyncio.ensure_future(asking)
    leaving = asyncio.ensure_future(_until_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft("the client went away")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def problem_response(error: Exception) -> Response:
    """application/problem+json for any failure; bugs are logged with their trace."""
    if isinstance(error, ClientLeft):
        return Response(status_code=CLIENT_LEFT)
    problem: Problem = problem_of(error)
    if problem.status == 500:
        _logger.error("a query failed", exc_info=error)
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = write_json(problem.as_json())
    return Response(body, problem.status, headers, media_type="application/problem+json")
