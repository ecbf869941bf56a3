"""GET /healthz, /readyz and /metrics: for whoever watches over the process. No key is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from footfall.storage.store import Query, QueryLimits, Store
from footfall.workspace.workspace import Workspace
from query_api.answers import instant, write_json
from query_api.meters import Meters
from query_api.routes.front import problem_response

_QUICK = QueryLimits(seconds=5.0, memory_bytes=1 << 28, threads=1)


def build_upkeep_routes(
    meters: Meters, store: Store, workspace: Workspace, data_until: Callable[[], int]
) -> APIRouter:
    """Alive, ready, and how much of what."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return Response(write_json({"status": "ok"}), media_type="application/json")

    @router.get("/readyz")
    async def readyz() -> Response:
        def work() -> dict[str, Any]:
            store.rows(Query("SELECT 1"), _QUICK)
            workspace.projects()
            return {"status": "ready", "data_until": instant(data_until())}

        # Not through the gate: a queue of queries does not make the process unready.
        try:
            body = write_json(await asyncio.to_thread(work))
        except Exception as error:  # noqa: BLE001 - becomes an answer
            told = problem_response(error)
            told.status_code = 503  # whatever it is, it is not for this process to answer now
            return told
        return Response(body, media_type="application/json")

    @router.get("/metrics")
    async def metrics() -> Response:
        text = await asyncio.to_thread(meters.exposition)  # asks the log how far it is
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
