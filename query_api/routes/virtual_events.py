"""GET and POST /api/v1/projects/{name}/virtual-events, DELETE .../{event}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.storage.store import Store
from query_api.access import Access
from query_api.body import read_json
from query_api.catalogue import read_catalogue
from query_api.options import QueryOptions
from query_api.routes.front import Front
from query_api.spec.virtual_event import VirtualEvent
from query_api.store_reader import StoreReader
from query_api.virtual_events import delete_virtual_event, list_virtual_events, save_virtual_event


def build_virtual_event_routes(
    front: Front, access: Access, store: Store, *, clock: Callable[[], int], options: QueryOptions
) -> APIRouter:
    """A project's virtual events; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/virtual-events", include_in_schema=False)

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            return {"virtual_events": list_virtual_events(access.workspace, project.name)}

        return await front.answer("projects/virtual-events", work)

    @router.post("")
    async def save(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            virtual = VirtualEvent.model_validate(read_json(body))
            catalogue = read_catalogue(store, project.name)
            reader = StoreReader(store, options.limits)
            saved = save_virtual_event(
                access.workspace, project, virtual, catalogue=catalogue, reader=reader, now=clock()
            )
            access.record(grant, "virtual_event.create", project.name, virtual.name)
            return saved

        return await front.answer_body(request, "projects/virtual-events", work, status=201)

    @router.delete("/{event}")
    async def delete(request: Request, name: str, event: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            deleted = delete_virtual_event(access.workspace, project.name, event)
            access.record(grant, "virtual_event.delete", project.name, event)
            return deleted

        return await front.answer("projects/virtual-events", work)

    return router
