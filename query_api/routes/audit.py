"""GET /api/v1/audit and /api/v1/projects/{name}/audit: what was done. That it was read is a row, too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.workspace import AuditFilter, Grant
from query_api.access import Access
from query_api.answers import instant
from query_api.problems import Fault, refused
from query_api.routes.front import Front
from query_api.routes.parameters import read_limit, read_parameters

FILTERS = ("actor", "action", "since", "until", "after", "limit")


def build_audit_routes(front: Front, access: Access) -> APIRouter:
    """All rows for the installation's key, a project's rows for its own."""
    router = APIRouter(prefix="/api/v1", include_in_schema=False)

    @router.get("/audit")
    async def everything(request: Request) -> Response:
        def work() -> dict[str, Any]:
            grant = access.grant(request.headers.get("authorization"))
            access.everywhere(grant)
            return _page(access, grant, None, read_parameters(request, *FILTERS))

        return await front.answer("audit", work)

    @router.get("/projects/{name}/audit")
    async def of_project(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            return _page(access, grant, project.name, read_parameters(request, *FILTERS, "id"))

        return await front.answer("projects/audit", work)

    return router


def _page(access: Access, grant: Grant, project: str | None, given: dict[str, str]) -> dict[str, Any]:
    """`{"rows": [...], "next_after"}`, by number."""
    limit = read_limit(given.get("limit"))
    wanted = AuditFilter(
        project=project,
        actor=given.get("actor"),
        action=given.get("action"),
        subject=access.hashed(project or "", given["id"]) if "id" in given else None,
        since=_milliseconds(given, "since"),
        until=_milliseconds(given, "until"),
    )
    rows = list(access.workspace.audit.rows(wanted, after=_number(given.get("after")), limit=limit))
    access.record(grant, "audit.read", project or "", rows=len(rows))
    shown = [row.as_json() | {"time": instant(row.time)} for row in rows]
    return {"rows": shown, "next_after": rows[-1].sequence if len(rows) == limit else None}


def _number(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise refused([Fault("after", "invalid_value", "send next_after of the page before", text)])
    return int(text)


def _milliseconds(given: dict[str, str], field: str) -> int | None:
    if field not in given:
        return None
    try:
        moment = datetime.fromisoformat(given[field])
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        message = "write an instant, as 2026-11-22 or 2026-11-22T10:00:00+08:00 (UTC if unsaid)"
        raise refused([Fault(field, "invalid_value", message, given[field])]) from None
