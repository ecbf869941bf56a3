"""GET and PUT /api/v1/projects/{name}/plan; its versions, its violations, and a proposal of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from footfall.privacy.rulebook import Grades, Rulebook
from footfall.storage.store import Store
from footfall.tracking_plan.plan import SOURCES, Plan, Source
from footfall.tracking_plan.yaml_form import write_yaml
from footfall.workspace.workspace import Workspace
from query_api.access import Access
from query_api.answers import write_json
from query_api.body import read_json
from query_api.catalogue import read_catalogue
from query_api.options import QueryOptions
from query_api.plan_proposal import Known, propose_plan
from query_api.plan_violations import FILTERS, read_violations
from query_api.plans import change_of_json, change_plan, list_versions, plan_of_yaml, saved_plan, show_plan
from query_api.problems import Fault, refused
from query_api.routes.front import Front
from query_api.routes.parameters import read_limit, read_parameters
from query_api.spec.spellings import nearest
from query_api.store_reader import StoreReader
from query_api.ticket import Ticket

YAML: Final = "application/yaml"
_YAML_TYPES: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
_FORMATS: Final = ("json", "yaml")


def build_plan_routes(
    front: Front, access: Access, store: Store, *, clock: Callable[[], int], options: QueryOptions
) -> APIRouter:
    """A project's tracking plan; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/plan", include_in_schema=False)

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> bytes:
            _, project = access.opened(request, name)
            asked = read_parameters(request, "version", "format")
            version = _number("version", asked["version"]) if "version" in asked else None
            saved = saved_plan(access.workspace, project.name, version)
            return write_yaml(saved.plan).encode() if _wants_yaml(request) else write_json(show_plan(saved))

        response = await front.respond("projects/plan", lambda: front.gate.at_counter(work))
        return _in_its_format(request, response)

    @router.put("")
    async def change(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            asked = read_parameters(request, "version", "format", "dry_run")
            base, plan = _change(request, asked, body)
            return change_plan(
                access.workspace,
                project.name,
                plan,
                base=base,
                catalogue=read_catalogue(store, project.name),
                grant=grant,
                now=clock(),
                dry_run=_flag("dry_run", asked.get("dry_run", "false")),
            )

        return await front.answer_body(request, "projects/plan", work)

    @router.get("/versions")
    async def versions(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            limit = read_limit(read_parameters(request, "limit").get("limit"))
            return list_versions(access.workspace, project.name, limit)

        return await front.answer("projects/plan/versions", work)

    @router.get("/violations")
    async def violations(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            asked = read_parameters(request, "from", "to", "by", "limit", *FILTERS)
            reader = StoreReader(store, options.limits)
            limit = read_limit(asked.get("limit"))
            return read_violations(reader, project, asked, limit=limit, now=clock())

        return await front.answer("projects/plan/violations", work)

    @router.post("/propose")
    async def propose(request: Request, name: str) -> Response:
        def permitted() -> tuple[str, int | None]:
            grant, project = access.opened(request, name)
            asked = read_parameters(request, "days", "format")
            _wants_yaml(request)
            days = _number("days", asked["days"]) if "days" in asked else None
            # It shows values that people sent, if few.
            access.workspace.audit.record(grant.actor, "plan.propose", project.name, "", {"days": days})
            return project.name, days

        async def ask() -> bytes:
            project, days = await front.gate.at_counter(permitted)

            def work(ticket: Ticket) -> bytes:
                reader = StoreReader(store, options.limits, ticket)
                plan = saved_plan(access.workspace, project).plan
                known = Known(
                    read_catalogue(store, project), plan, _is_changed(access.workspace, project, plan)
                )
                proposed = propose_plan(reader, known, project, days, clock())
                if _wants_yaml(request):
                    return write_yaml(proposed.plan).encode()
                return write_json(proposed.as_json())

            return await front.gate.run(project, work)

        return _in_its_format(request, await front.respond("projects/plan/propose", ask))

    return router


def _is_changed(workspace: Workspace, project: str, plan: Plan) -> Callable[[Source, str, str], bool]:
    """By the project's rules of privacy and the plan's grades."""
    grades: Grades = {source: plan.grades(source) for source in SOURCES}
    rulebook = Rulebook(workspace.privacy.settings(project), grades)

    def is_changed(source: Source, event: str, name: str) -> bool:
        verdict = rulebook.verdict(source, event, name)
        return verdict is not None and verdict.action != "keep"

    return is_changed


def _change(request: Request, asked: dict[str, str], body: bytes) -> tuple[int, Plan]:
    """The version that the body's plan was made on, and the plan."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in _YAML_TYPES and _format(asked) != "yaml":
        if "version" in asked:
            message = 'give it in the body: {"version": ..., "plan": ...}'
            raise refused([Fault("version", "invalid_value", message, asked["version"])])
        return change_of_json(read_json(body))
    if "version" not in asked:
        message = (
            "a file has no version: say with ?version= which one it was made from (0: there was no plan)"
        )
        raise refused([Fault("version", "missing_field", message)])
    return _number("version", asked["version"]), plan_of_yaml(body)


def _wants_yaml(request: Request) -> bool:
    """By ?format=, else by the Accept header."""
    if "format" in request.query_params:
        return _format(request.query_params) == "yaml"
    accepted = request.headers.get("accept", "")
    return any(each in accepted for each in _YAML_TYPES)


def _in_its_format(request: Request, response: Response) -> Response:
    if response.status_code == 200 and _wants_yaml(request):
        response.headers["Content-Type"] = YAML
    return response


def _format(asked: Mapping[str, str]) -> str:
    given = asked.get("format", "json")
    if given not in _FORMATS:
        message = f"{given[:100]!r} is no format"
        raise refused([Fault("format", "unknown_value", message, given, _FORMATS, nearest(given, _FORMATS))])
    return given


def _number(field: str, given: str) -> int:
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise refused([Fault(field, "invalid_value", "a whole number", given)])
    return int(given)


def _flag(field: str, given: str) -> bool:
    if given not in ("true", "false"):
        raise refused([Fault(field, "invalid_value", "true or false", given, ("true", "false"))])
    return given == "true"
