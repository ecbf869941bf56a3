"""GET and PUT /api/v1/projects/{name}/remote-config, POST .../approve and .../withdraw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.workspace.workspace import Workspace
from query_api.access import Access
from query_api.body import read_json
from query_api.remote_config import (
    ApprovalSpec,
    RemoteConfigSpec,
    WithdrawalSpec,
    approve_remote_config,
    set_remote_config,
    show_remote_config,
    withdraw_remote_config,
)
from query_api.routes.front import Front
from query_api.routes.parameters import read_parameters
from query_api.spec.strict import Strict

Spec = TypeVar("Spec", bound=Strict)
_ROUTE = "projects/remote-config"


def build_remote_config_routes(front: Front, access: Access, *, clock: Callable[[], int]) -> APIRouter:
    """What a project's apps are told; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/remote-config", include_in_schema=False)

    async def change(
        request: Request, name: str, form: type[Spec], act: Callable[..., dict[str, Any]]
    ) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = form.model_validate(read_json(body))
            workspace: Workspace = access.workspace
            return act(workspace, project.name, spec, grant=grant, now=clock())

        return await front.answer_body(request, _ROUTE, work)

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return show_remote_config(access.workspace, project.name, clock())

        return await front.answer(_ROUTE, work)

    @router.put("")
    async def put(request: Request, name: str) -> Response:
        return await change(request, name, RemoteConfigSpec, set_remote_config)

    @router.post("/approve")
    async def approve(request: Request, name: str) -> Response:
        return await change(request, name, ApprovalSpec, approve_remote_config)

    @router.post("/withdraw")
    async def withdraw(request: Request, name: str) -> Response:
        return await change(request, name, WithdrawalSpec, withdraw_remote_config)

    return router
