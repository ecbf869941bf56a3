"""GET /api/v1/projects/{name}/export: records as lines of JSON, streamed as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.concurrency import iterate_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from footfall.events.keys import KeyedHash
from footfall.storage.store import Store
from footfall.workspace.projects import Project
from query_api.access import Access
from query_api.buckets import Calendar
from query_api.catalogue import read_catalogue
from query_api.export import SUBJECTS, Export, count_rows, stream_records
from query_api.problems import Busy, Fault, refused
from query_api.routes.front import LinesResponse, problem_response
from query_api.spec.spellings import nearest
from query_api.spec.time_range import Range

AT_ONCE = 2
"""Exports at once; another gets 503."""

ROWS_HEADER = "X-Footfall-Rows"
_PARAMETERS = ("subject", "from", "to", "event")


def build_export_routes(
    access: Access, store: Store, keyed_hash: KeyedHash, clock: Callable[[], int]
) -> APIRouter:
    """What a project holds, for whoever has its secret key."""
    router = APIRouter(prefix="/api/v1/projects", include_in_schema=False)
    turns = asyncio.Semaphore(AT_ONCE)

    @router.get("/{name}/export")
    async def export(request: Request, name: str) -> Response:
        if turns.locked():
            return problem_response(Busy(f"{AT_ONCE} exports are running: try again when one has ended"))
        try:
            rows, blocks = await asyncio.to_thread(begin, request, name)
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

        async def body() -> AsyncGenerator[bytes, None]:
            async with turns:
                try:
                    async for block in iterate_in_threadpool(blocks):
                        yield block
                finally:
                    blocks.close()  # ends the query if the client has left

        return LinesResponse(body(), headers={ROWS_HEADER: str(rows)})

    def begin(request: Request, name: str) -> tuple[int, Generator[bytes, None, None]]:
        grant, project = access.opened(request, name)
        wanted = read_export(request.query_params, project, clock())
        catalogue = read_catalogue(store, project.name)
        rows = count_rows(store, wanted)
        asked = access.hashed(project.name, str(request.query_params))
        access.record(grant, f"export.{wanted.subject}", project.name, rows=rows, query=asked)
        return rows, stream_records(store, wanted, catalogue, keyed_hash)

    return router


def read_export(given: QueryParams, project: Project, now: int) -> Export:
    """What the parameters of a URL ask for. Raises InvalidQuery."""
    for name in given:
        if name not in _PARAMETERS:
            message = f"{name[:100]!r} is no parameter here"
            near = nearest(name, _PARAMETERS)
            raise refused([Fault(name, "unknown_field", message, name, _PARAMETERS, near)])
    subject = given.get("subject", "events")
    known = next((each for each in SUBJECTS if each == subject), None)
    if known is None:
        near = nearest(subject, SUBJECTS)
        message = f"{subject[:100]!r} is nothing that can be exported"
        raise refused([Fault("subject", "unknown_value", message, subject, SUBJECTS, near)])
    events = given.getlist("event")
    for name in ("from", "to", "event"):
        if name in given and known != "events":
            message = f"{name} goes with subject=events only"
            raise refused([Fault(name, "invalid_value", message, given[name])])
    period = None
    if "from" in given or "to" in given:
        edges = {name: given[name] for name in ("from", "to") if name in given}
        period = Calendar(ZoneInfo(project.timezone)).period(Range.model_validate(edges), now)
    return Export(project, known, period, tuple(dict.fromkeys(events)))
