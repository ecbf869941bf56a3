"""GET /api/v1/verify: the proof that the store holds what was inserted, in lines as it is being made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Protocol

import structlog
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from query_api.access import Access
from query_api.answers import write_json
from query_api.problems import Busy, Fault, problem_of, refused
from query_api.routes.front import LinesResponse, problem_response

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_logger = structlog.get_logger("query_api")


class Evidence(Protocol):
    """What this route needs of whoever can verify."""

    def verify(self, project: str | None, since: str, until: str) -> Iterator[dict[str, Any]]:
        """Lines of JSON; `since` and `until` are months ("202611") or ""."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Makes a snapshot in the home; what is in it."""
        ...


def build_proof_routes(access: Access, evidence: Evidence) -> APIRouter:
    """One route; its work has a thread of its own, beside the gate of queries."""
    router = APIRouter(include_in_schema=False)

    @router.get("/api/v1/verify")
    async def verify(request: Request) -> Response:
        def begin() -> tuple[dict[str, Any] | None, Iterator[dict[str, Any]]]:
            grant = access.grant(request.headers.get("authorization"))
            project = request.query_params.get("project")
            if project is None:
                access.everywhere(grant)
            else:
                project = access.project(grant, project).name
            lines = evidence.verify(project, _month(request, "since"), _month(request, "until"))
            return next(lines, None), lines

        try:
            first, lines = await asyncio.to_thread(begin)
        except BlockingIOError as error:  # one at a time
            return problem_response(Busy(str(error)))
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)
        return LinesResponse(_as_text(first, lines))

    @router.post("/api/v1/snapshots")
    async def snapshot(request: Request) -> Response:
        """For `footfall backup` on this machine: the files are in the home, the answer says which."""

        def work() -> bytes:
            grant = access.grant(request.headers.get("authorization"))
            access.everywhere(grant)
            taken = evidence.snapshot()
            access.record(grant, "backup.take", "")
            return write_json(taken)

        try:
            return Response(await asyncio.to_thread(work), media_type="application/json")
        except BlockingIOError as error:  # one at a time, and only where all data is in the home
            return problem_response(Busy(str(error)))
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

    return router


async def _as_text(
    first: dict[str, Any] | None, lines: Iterator[dict[str, Any]]
) -> AsyncGenerator[bytes, None]:
    line = first
    try:
        while line is not None:
            yield write_json(line) + b"\n"
            line = await run_in_threadpool(next, lines, None)
    except Exception as error:
        _logger.exception("a verification failed")
        yield write_json({"kind": "error", **problem_of(error).as_json()}) + b"\n"
    finally:
        close = getattr(lines, "close", None)
        if close is not None:
            close()


def _month(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    found = _MONTH.fullmatch(text)
    if text and found is None:
        raise refused([Fault(name, "invalid_value", f"{text[:50]!r} is no month: write 2026-11", text)])
    return "" if found is None else found[1] + found[2]
