"""GET /api/v1/users/{id}, its events, and GET /api/v1/catalogue."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.events.keys import KeyedHash
from footfall.storage.store import Store
from query_api.access import Access
from query_api.catalogue import describe_catalogue, read_catalogue
from query_api.options import QueryOptions
from query_api.people import find_person, read_timeline, show_person
from query_api.problems import Fault, refused
from query_api.routes.front import Front, problem_response
from query_api.spec.spellings import nearest
from query_api.store_reader import StoreReader
from query_api.virtual_events import list_virtual_events

MAX_EVENTS = 1_000
DEFAULT_EVENTS = 100


def build_people_routes(
    front: Front, access: Access, store: Store, keyed_hash: KeyedHash, options: QueryOptions
) -> APIRouter:
    """A person by any of their ids; ids are opaque and may contain anything, slashes too."""
    router = APIRouter(prefix="/api/v1", include_in_schema=False)

    @router.get("/catalogue")
    async def catalogue(request: Request) -> Response:
        try:
            given = _parameters(request, "project")
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

        def work() -> dict[str, Any]:
            project = _project(access, request, given)
            virtual = list_virtual_events(access.workspace, project.name)
            return describe_catalogue(store, project.name) | {"virtual_events": virtual}

        return await front.answer("catalogue", work)

    @router.get("/users/{rest:path}")
    async def user(request: Request, rest: str) -> Response:
        try:
            wanted = _read_path(request, rest)
            given = _parameters(request, "project", *(("before", "limit") if wanted.events else ()))
            limit = _limit(given.get("limit"))
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

        def work() -> dict[str, Any]:
            project = _project(access, request, given)
            reader = StoreReader(store, options.limits)
            known = read_catalogue(store, project.name)
            person = show_person(reader, project, known, keyed_hash, wanted.distinct_id)
            if not wanted.events:
                return person
            key = find_person(reader, project, keyed_hash, wanted.distinct_id)
            return read_timeline(reader, project, known, key, before=given.get("before"), limit=limit)

        return await front.answer("users/events" if wanted.events else "users", work)

    return router


class _Wanted(NamedTuple):
    distinct_id: str
    events: bool


def _read_path(request: Request, rest: str) -> _Wanted:
    """An id's own slashes come as %2F: only an unescaped /events at the end asks for the timeline."""
    raw: bytes = request.scope.get("raw_path") or b""
    _, found, escaped = raw.partition(b"/api/v1/users/")
    parts = escaped.split(b"?")[0].split(b"/") if found else [quote(rest, safe="/").encode()]
    events = len(parts) > 1 and parts[-1] == b"events"
    distinct_id = unquote_to_bytes(b"/".join(parts[:-1] if events else parts)).decode(errors="replace")
    return _Wanted(distinct_id, events)


def _project(access: Access, request: Request, given: dict[str, str]) -> Any:
    grant = access.grant(request.headers.get("authorization"))
    return access.project(grant, given.get("project", "default"))


def _parameters(request: Request, *allowed: str) -> dict[str, str]:
    """The query parameters; unknown ones are refused, as unknown fields of a body are."""
    for name in request.query_params:
        if name not in allowed:
            fault = Fault(
                name,
                "unknown_field",
                f"{name[:100]!r} is no parameter here",
                name,
                allowed,
                nearest(name, allowed),
            )
            raise refused([fault])
    return dict(request.query_params)


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_EVENTS
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not 1 <= int(given) <= MAX_EVENTS:
        raise refused([Fault("limit", "invalid_value", f"a number from 1 to {MAX_EVENTS}", given)])
    return int(given)
