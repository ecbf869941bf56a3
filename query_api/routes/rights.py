"""/api/v1/projects/{name}/persons, /erasures, /holds: what a person is entitled to.

Ids come in bodies and never in addresses, which proxies write down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Protocol

from fastapi import APIRouter
from pydantic import Field, StrictBool
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from footfall.workspace.erasures import ErasureBegun, UnknownPerson
from footfall.workspace.projects import Project
from query_api.access import Access
from query_api.body import read_json
from query_api.problems import Conflict, NotFound
from query_api.routes.front import Front, LinesResponse, problem_response, read_body
from query_api.routes.parameters import read_parameters
from query_api.spec.strict import Strict

LONGEST_ID = 1_024
LONGEST_REASON = 1_000


class EraseSpec(Strict):
    """Whom, why, and whether only to count. `refuse_all`: nothing of these ids is ever taken again."""

    id: str = Field(min_length=1, max_length=LONGEST_ID, description="Any id of the person.")
    reason: str = Field(min_length=1, max_length=LONGEST_REASON, description="For the audit log.")
    refuse_all: StrictBool = False
    dry_run: StrictBool = False


class PersonExportSpec(Strict):
    """Whom, and why."""

    id: str = Field(min_length=1, max_length=LONGEST_ID, description="Any id of the person.")
    reason: str = Field(min_length=1, max_length=LONGEST_REASON, description="For the audit log.")


class HoldSpec(Strict):
    """Whom (null: the whole project), and why."""

    id: str | None = Field(default=None, min_length=1, max_length=LONGEST_ID)
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


class Rights(Protocol):
    """What these routes need of whoever can do it. UnknownPerson: nobody has the id."""

    def count(self, project: Project, distinct_id: str, reason: str, actor: str) -> dict[str, Any]: ...

    def erase(
        self, project: Project, distinct_id: str, reason: str, actor: str, *, refuse_all: bool
    ) -> dict[str, Any]: ...

    def erasures(self, project: Project) -> list[dict[str, Any]]: ...

    def erasure(self, project: Project, id_: str) -> dict[str, Any] | None: ...

    def export(self, project: Project, distinct_id: str, reason: str, actor: str) -> Iterator[bytes]: ...

    def holds(self, project: Project) -> list[dict[str, Any]]: ...

    def hold(self, project: Project, distinct_id: str | None, reason: str, actor: str) -> dict[str, Any]:
        """ErasureBegun if it comes too late."""
        ...

    def release(self, project: Project, distinct_id: str | None, reason: str, actor: str) -> bool: ...


def build_rights_routes(front: Front, access: Access, rights: Rights) -> APIRouter:
    """All with a secret key."""
    router = APIRouter(prefix="/api/v1/projects/{name}", include_in_schema=False)

    _add_persons(router, front, access, rights)
    _add_holds(router, front, access, rights)
    return router


def _add_persons(router: APIRouter, front: Front, access: Access, rights: Rights) -> None:
    @router.post("/persons/erase")
    async def erase(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = EraseSpec.model_validate(read_json(body))
            try:
                if spec.dry_run:
                    return rights.count(project, spec.id, spec.reason, grant.actor)
                return rights.erase(project, spec.id, spec.reason, grant.actor, refuse_all=spec.refuse_all)
            except UnknownPerson as error:
                raise NotFound(str(error), code="unknown_user") from None

        return await front.answer_body(request, "persons/erase", work, status=202)

    @router.post("/persons/export")
    async def export(request: Request, name: str) -> Response:
        try:
            body = await read_body(request)
            lines = await asyncio.to_thread(begin, request, name, body)
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)
        return LinesResponse(_streamed(lines))

    def begin(request: Request, name: str, body: bytes) -> Iterator[bytes]:
        grant, project = access.opened(request, name)
        spec = PersonExportSpec.model_validate(read_json(body))
        try:
            return rights.export(project, spec.id, spec.reason, grant.actor)
        except UnknownPerson as error:
            raise NotFound(str(error), code="unknown_user") from None

    @router.get("/erasures")
    async def erasures(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return {"erasures": rights.erasures(project)}

        return await front.answer("erasures", work)

    @router.get("/erasures/{erasure}")
    async def erasure(request: Request, name: str, erasure: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            found = rights.erasure(project, erasure)
            if found is None:
                raise NotFound(f"there is no erasure {erasure[:50]!r}", code="unknown_erasure")
            return found

        return await front.answer("erasures/one", work)


def _add_holds(router: APIRouter, front: Front, access: Access, rights: Rights) -> None:
    @router.get("/holds")
    async def holds(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return {"holds": rights.holds(project)}

        return await front.answer("holds", work)

    @router.post("/holds")
    async def hold(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = HoldSpec.model_validate(read_json(body))
            try:
                return rights.hold(project, spec.id, spec.reason, grant.actor)
            except UnknownPerson as error:
                raise NotFound(str(error), code="unknown_user") from None
            except ErasureBegun as error:
                raise Conflict(str(error), code="erasure_begun") from None

        return await front.answer_body(request, "holds", work, status=201)

    @router.post("/holds/release")
    async def release(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = HoldSpec.model_validate(read_json(body))
            if not rights.release(project, spec.id, spec.reason, grant.actor):
                whom = "project" if spec.id is None else "id: name the id with which it was placed"
                raise NotFound(f"there is no hold on this {whom}", code="unknown_hold")
            return {"released": True}

        return await front.answer_body(request, "holds/release", work)


async def _streamed(lines: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for line in iterate_in_threadpool(lines):
            yield line
    finally:
        close = getattr(lines, "close", None)
        if close is not None:
            close()
