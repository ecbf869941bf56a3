"""GET /api/v1/users/{id}, its events, and GET /api/v1/catalogue."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.events.keys import KeyedHash
from footfall.storage.store import Store
from footfall.workspace import Grant, Project
from query_api.access import Access
from query_api.catalogue import describe_catalogue, read_catalogue
from query_api.ids_at_rest import IdAtRest
from query_api.options import QueryOptions
from query_api.people import find_person, show_person
from query_api.problems import NotFound
from query_api.routes.front import Front, problem_response
from query_api.routes.parameters import read_limit, read_parameters
from query_api.small_cells import without_counts
from query_api.store_reader import StoreReader
from query_api.timelines import read_profile_history, read_timeline
from query_api.virtual_events import list_virtual_events


def build_people_routes(
    front: Front,
    access: Access,
    store: Store,
    *,
    keyed_hash: KeyedHash,
    options: QueryOptions,
    at_rest: IdAtRest,
) -> APIRouter:
    """A person by any of their ids; ids are opaque and may contain anything, slashes too."""
    router = APIRouter(prefix="/api/v1", include_in_schema=False)

    @router.get("/catalogue")
    async def catalogue(request: Request) -> Response:
        try:
            given = read_parameters(request, "project")
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

        def work() -> dict[str, Any]:
            grant, project = _project(access, request, given, hides_small_cells=True)
            seen = describe_catalogue(store, project.name)
            if grant.min_cell is not None:
                seen = without_counts(seen)
            return seen | {"virtual_events": list_virtual_events(access.workspace, project.name)}

        return await front.answer("catalogue", work)

    @router.get("/users/{rest:path}")
    async def user(request: Request, rest: str) -> Response:
        try:
            wanted = _read_path(request, rest)
            given = read_parameters(request, "project", *(("before", "limit") if wanted.part else ()))
            limit = read_limit(given.get("limit"))
        except Exception as error:  # noqa: BLE001 - becomes an answer
            return problem_response(error)

        def work() -> dict[str, Any]:
            grant, project = _project(access, request, given)
            reader = StoreReader(store, options.limits)
            known = read_catalogue(store, project.name)
            # Before it is known whether there is such a person: who searches by guessing is seen, too.
            about = access.hashed(project.name, wanted.distinct_id)
            access.record(grant, _ACTIONS[wanted.part], project.name, about)
            id_, person = wanted.distinct_id, None
            if (rest := at_rest(project.name, id_)) != id_:
                with suppress(NotFound):  # rows from before the rule carry the id itself
                    person = show_person(reader, project, known, keyed_hash, rest)
                    id_ = rest
            if person is None:
                person = show_person(reader, project, known, keyed_hash, id_)
            if not wanted.part:
                return person
            key, before = find_person(reader, project, keyed_hash, id_), given.get("before")
            if wanted.part == "history":
                return read_profile_history(reader, project, key, before=before, limit=limit)
            return read_timeline(reader, project, known, key, before=before, limit=limit)

        return await front.answer(f"users/{wanted.part}" if wanted.part else "users", work)

    return router


PARTS = ("events", "history")
_ACTIONS = {"": "person.show", "events": "person.timeline", "history": "person.history"}
"""What the audit log calls a look at a person, by the part that was looked at."""


class _Wanted(NamedTuple):
    distinct_id: str
    part: str  # of PARTS, or "" for the person


def _read_path(request: Request, rest: str) -> _Wanted:
    """An id's own slashes come as %2F: only an unescaped word of PARTS at the end asks for more."""
    raw: bytes = request.scope.get("raw_path") or b""
    _, found, escaped = raw.partition(b"/api/v1/users/")
    parts = escaped.split(b"?")[0].split(b"/") if found else [quote(rest, safe="/").encode()]
    part = parts[-1].decode(errors="replace") if len(parts) > 1 else ""
    part = part if part in PARTS else ""
    distinct_id = unquote_to_bytes(b"/".join(parts[:-1] if part else parts)).decode(errors="replace")
    return _Wanted(distinct_id, part)


def _project(
    access: Access, request: Request, given: dict[str, str], *, hides_small_cells: bool = False
) -> tuple[Grant, Project]:
    return access.opened(request, given.get("project", "default"), hides_small_cells=hides_small_cells)
