"""GET and POST /api/v1/projects; GET and PATCH of /api/v1/projects/{name}; its ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.eventlog.log import Log
from footfall.storage.store import Store
from query_api.access import Access
from query_api.body import read_json
from query_api.control import (
    ProjectChange,
    ProjectSpec,
    change_project,
    create_project,
    describe_project,
    list_projects,
)
from query_api.ledger import read_ledger
from query_api.routes.front import Front


def _settings(spec: ProjectSpec | ProjectChange) -> dict[str, Any]:
    """What was set, for the audit log: lists of ids as how many there are."""
    given = spec.model_dump(exclude_unset=True, exclude={"name"})
    if isinstance(rules := given.get("identity"), dict):
        given["identity"] = {
            name: len(value) if isinstance(value, list | tuple) else value for name, value in rules.items()
        }
    return given


def build_project_routes(
    front: Front, access: Access, store: Store, log: Log, data_until: Callable[[], int]
) -> APIRouter:
    """Which projects there are, making them, and the proof that nothing vanishes from one."""
    router = APIRouter(prefix="/api/v1/projects", include_in_schema=False)

    @router.get("")
    async def list_all(request: Request) -> Response:
        def work() -> dict[str, Any]:
            grant = access.grant(request.headers.get("authorization"), hides_small_cells=True)
            return list_projects(access.workspace, grant)

        return await front.answer("projects", work)

    @router.post("")
    async def create(request: Request) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant = access.grant(request.headers.get("authorization"))
            access.everywhere(grant)
            spec = ProjectSpec.model_validate(read_json(body))
            made = create_project(access.workspace, spec)
            access.record(grant, "project.create", spec.name, **_settings(spec))
            return made

        return await front.answer_body(request, "projects", work, status=201)

    @router.get("/{name}")
    async def describe(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            return describe_project(project)

        return await front.answer("projects/describe", work)

    @router.patch("/{name}")
    async def change(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            change = ProjectChange.model_validate(read_json(body))
            change_project(access.workspace, project.name, change)
            access.record(grant, "project.change", project.name, **_settings(change))
            return describe_project(access.project(grant, name))

        return await front.answer_body(request, "projects/change", work)

    @router.get("/{name}/ledger")
    async def ledger(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            return read_ledger(store, log, project.name, data_until())

        return await front.answer("projects/ledger", work)

    return router
