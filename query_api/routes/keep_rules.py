"""/api/v1/projects/{name}/keep-rules: how long events of a name, and properties of a grade, are kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field, StrictInt
from starlette.requests import Request
from starlette.responses import Response

from footfall.workspace.keep_rules import InvalidKeepRule, KeepRule
from query_api.access import Access
from query_api.body import read_json
from query_api.problems import Fault, refused
from query_api.routes.front import Front
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.strict import Strict


class KeepRuleSpec(Strict):
    """`event`: events of this name are dropped. `grade`: event properties to which the plan gives this
    grade are blanked, and events to which it gives it are dropped.
    """

    kind: Literal["event", "grade"]
    name: str = Field(max_length=MAX_TEXT, description="An event's name, or C1, C2, C3.")
    keep_days: StrictInt


class KeepRulesSpec(Strict):
    """All rules of a project; those that were there before go."""

    rules: tuple[KeepRuleSpec, ...]


def build_keep_rule_routes(front: Front, access: Access) -> APIRouter:
    """Both with a secret key; a change is audited."""
    router = APIRouter(prefix="/api/v1/projects/{name}/keep-rules", include_in_schema=False)

    def shown(project: str) -> dict[str, Any]:
        return {"rules": [asdict(rule) for rule in access.workspace.keep_rules.of_project(project)]}

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            return shown(project.name)

        return await front.answer("keep-rules", work)

    @router.put("")
    async def put(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = KeepRulesSpec.model_validate(read_json(body))
            rules = [KeepRule(rule.kind, rule.name, rule.keep_days) for rule in spec.rules]
            try:
                access.workspace.keep_rules.replace(project.name, rules)
            except InvalidKeepRule as error:
                raise refused([Fault(error.field, "invalid_value", error.message)]) from None
            detail = shown(project.name)
            access.record(grant, "keep_rules.change", project.name, **detail)
            return detail

        return await front.answer_body(request, "keep-rules", work)

    return router
