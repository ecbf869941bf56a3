"""GET and POST /api/v1/projects/{name}/envelope-keys; POST .../{key}/publish and .../{key}/retire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.envelopes.vault import Vault
from query_api.access import Access
from query_api.body import read_json
from query_api.envelope_keys import (
    EnvelopeKeySpec,
    make_envelope_key,
    publish_envelope_key,
    retire_envelope_key,
    show_envelope_keys,
)
from query_api.routes.front import Front
from query_api.routes.parameters import read_parameters

_ROUTE = "projects/envelope-keys"


def build_envelope_key_routes(
    front: Front, access: Access, vault: Vault, *, clock: Callable[[], int]
) -> APIRouter:
    """What encrypted uploads are sealed to; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/envelope-keys", include_in_schema=False)

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return show_envelope_keys(access.workspace, project.name)

        return await front.answer(_ROUTE, work)

    @router.post("")
    async def make(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            read_parameters(request)
            spec = EnvelopeKeySpec.model_validate(read_json(body))
            return make_envelope_key(access.workspace, vault, project.name, spec, grant=grant, now=clock())

        return await front.answer_body(request, _ROUTE, work, status=201)

    @router.post("/{key}/publish")
    async def publish(request: Request, name: str, key: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            read_parameters(request)
            return publish_envelope_key(access.workspace, project.name, key, grant=grant, now=clock())

        return await front.answer(_ROUTE, work)

    @router.post("/{key}/retire")
    async def retire(request: Request, name: str, key: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            read_parameters(request)
            return retire_envelope_key(access.workspace, project.name, key, grant=grant, now=clock())

        return await front.answer(_ROUTE, work)

    return router
