"""GET and PUT /api/v1/projects/{name}/privacy; POST .../detokenise and .../test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.privacy.privacy import Privacy
from footfall.storage.store import Store
from footfall.treatment.policy import PolicyOf
from footfall.workspace.projects import Project
from footfall.workspace.workspace import Grant
from query_api.access import Access
from query_api.body import read_json
from query_api.privacy import DetokeniseSpec, TryOutSpec, detokenise, set_privacy, show_privacy, try_out
from query_api.problems import Fault, refused
from query_api.routes.front import Front
from query_api.routes.parameters import read_parameters

_ROUTE = "projects/privacy"
_DAYS = 30
_MOST_DAYS = 3_650


def build_privacy_routes(
    front: Front, access: Access, store: Store, policy_of: PolicyOf, *, clock: Callable[[], int]
) -> APIRouter:
    """What is done to a project's personal data; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/privacy", include_in_schema=False)

    def privacy_of(project: Project) -> Privacy:
        privacy = policy_of(project.name).privacy
        assert privacy is not None, "every project has one"
        return privacy

    async def act(
        request: Request, name: str, work: Callable[[Grant, Project, Any], dict[str, Any]]
    ) -> Response:
        return await front.answer_body(
            request, _ROUTE, lambda body: work(*access.opened(request, name), read_json(body))
        )

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            days = _read_days(read_parameters(request, "days").get("days"))
            return show_privacy(access.workspace, store, project.name, days)

        return await front.answer(_ROUTE, work)

    @router.put("")
    async def put(request: Request, name: str) -> Response:
        def work(grant: Grant, project: Project, given: Any) -> dict[str, Any]:
            set_privacy(access.workspace, project.name, given, grant=grant, now=clock())
            return show_privacy(access.workspace, store, project.name, _DAYS)

        return await act(request, name, work)

    @router.post("/detokenise")
    async def reveal(request: Request, name: str) -> Response:
        def work(grant: Grant, project: Project, given: Any) -> dict[str, Any]:
            spec = DetokeniseSpec.model_validate(given)
            return detokenise(access.workspace, project.name, privacy_of(project), spec, grant)

        return await act(request, name, work)

    @router.post("/test")
    async def test(request: Request, name: str) -> Response:
        def work(_: Grant, project: Project, given: Any) -> dict[str, Any]:
            return try_out(privacy_of(project), TryOutSpec.model_validate(given), clock())

        return await act(request, name, work)

    return router


def _read_days(text: str | None) -> int:
    if text is None:
        return _DAYS
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_DAYS):
        message = f"days is a number from 1 to {_MOST_DAYS}"
        raise refused([Fault("days", "invalid_value", message, text[:20])])
    return int(text)
