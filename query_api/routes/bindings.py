"""GET and POST /api/v1/projects/{name}/bindings, GET .../bindings/counts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.events.keys import KeyedHash
from footfall.storage.store import Store
from query_api.access import Access
from query_api.body import read_json
from query_api.decisions import count_decisions, read_decisions
from query_api.identity_words import AdministratorsDoor, WordSpec
from query_api.ids_at_rest import IdAtRest, either_id
from query_api.options import QueryOptions
from query_api.routes.front import Front
from query_api.routes.parameters import read_limit, read_parameters
from query_api.store_reader import StoreReader


def build_binding_routes(
    front: Front,
    access: Access,
    store: Store,
    *,
    keyed_hash: KeyedHash,
    options: QueryOptions,
    door: AdministratorsDoor,
    at_rest: IdAtRest,
) -> APIRouter:
    """What became of every claim on an id, and what an administrator says about ids."""
    router = APIRouter(prefix="/api/v1/projects/{name}/bindings", include_in_schema=False)

    @router.get("")
    async def decisions(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            given = read_parameters(request, "id", "outcome", "reason", "kind", "limit", "cursor")
            limit = read_limit(given.get("limit"))
            ids = either_id(given["id"], at_rest(name, given["id"])) if "id" in given else ()
            reader = StoreReader(store, options.limits)
            found = read_decisions(reader, project, keyed_hash, given, limit=limit, ids=ids)
            about = access.hashed(name, given["id"]) if "id" in given else ""
            access.record(grant, "bindings.list", name, about, rows=len(found["decisions"]))
            return found

        return await front.answer("projects/bindings", work)

    @router.get("/counts")
    async def counts(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            read_parameters(request)
            return count_decisions(StoreReader(store, options.limits), project)

        return await front.answer("projects/bindings", work)

    @router.post("")
    async def say(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = WordSpec.model_validate(read_json(body))
            said = door.say(StoreReader(store, options.limits), project, spec)
            access.record(grant, f"bindings.{spec.action}", name, **_hashed_ids(access, name, spec))
            return said

        return await front.answer_body(request, "projects/bindings", work, status=202)

    return router


def _hashed_ids(access: Access, project: str, spec: WordSpec) -> dict[str, str]:
    given = spec.model_dump(exclude={"action"}, exclude_none=True)
    return {field: access.hashed(project, str(text)) for field, text in given.items()}
