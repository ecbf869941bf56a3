"""GET and POST /api/v1/projects/{name}/keys, DELETE .../{fingerprint}."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field, StrictInt, StrictStr, model_validator
from starlette.requests import Request
from starlette.responses import Response

from footfall.workspace import KeyTerms, ListedKey, TooManyKeys
from query_api.access import Access
from query_api.answers import instant
from query_api.body import read_json
from query_api.problems import Conflict, NotFound
from query_api.routes.front import Front
from query_api.spec.strict import Strict, refuse

MAX_MIN_CELL = 1_000
_FINGERPRINT = re.compile(r"[0-9a-f]{8}")


class KeySpec(Strict):
    """`{"kind": "secret", "name": "reports", "expires_at": "2027-01-01", "min_cell": 10}`."""

    kind: Literal["write", "secret"]
    name: StrictStr = Field(default="", max_length=100)
    expires_at: StrictStr | None = Field(default=None, max_length=40)
    min_cell: StrictInt | None = Field(default=None, ge=2, le=MAX_MIN_CELL)

    @model_validator(mode="after")
    def _check(self) -> KeySpec:
        if self.min_cell is not None and self.kind == "write":
            refuse("invalid_value", "write keys ask nothing: leave it out", field="min_cell")
        _ = self.expires_ms
        return self

    @property
    def expires_ms(self) -> int | None:
        """Epoch milliseconds."""
        if self.expires_at is None:
            return None
        try:
            moment = datetime.fromisoformat(self.expires_at)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return round(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            message = "write an instant, as 2027-01-01 or 2027-01-01T00:00:00+08:00 (UTC if unsaid)"
            refuse("invalid_value", message, field="expires_at", given=self.expires_at)


def build_key_routes(front: Front, access: Access, clock: Callable[[], int]) -> APIRouter:
    """Further keys of a project; `clock` gives epoch milliseconds."""
    router = APIRouter(prefix="/api/v1/projects/{name}/keys", include_in_schema=False)

    @router.get("")
    async def show(request: Request, name: str) -> Response:
        def work() -> dict[str, Any]:
            _, project = access.opened(request, name)
            return {"keys": [_listed(key) for key in access.workspace.keys.of_project(project.name)]}

        return await front.answer("projects/keys", work)

    @router.post("")
    async def create(request: Request, name: str) -> Response:
        def work(body: bytes) -> dict[str, Any]:
            grant, project = access.opened(request, name)
            spec = KeySpec.model_validate(read_json(body))
            if spec.expires_ms is not None and spec.expires_ms <= clock():
                refuse("invalid_value", "it is past already", field="expires_at", given=spec.expires_at)
            terms = KeyTerms(spec.name, spec.expires_ms, spec.min_cell)
            try:
                key, made = access.workspace.create_key(project.name, spec.kind, terms)
            except TooManyKeys as error:
                raise Conflict(str(error)) from None
            shown = _listed(made)
            about = {name: shown[name] for name in ("kind", "name", "expires_at", "min_cell")}
            access.record(grant, "keys.create", project.name, f"key {made.fingerprint}", **about)
            return {"key": key, **shown}

        return await front.answer_body(request, "projects/keys", work, status=201)

    @router.delete("/{fingerprint}")
    async def revoke(request: Request, name: str, fingerprint: str) -> Response:
        def work() -> dict[str, Any]:
            grant, project = access.opened(request, name)
            is_one = _FINGERPRINT.fullmatch(fingerprint)
            if not is_one or not access.workspace.keys.revoke(project.name, fingerprint):
                raise NotFound(f"the project has no key {fingerprint[:50]!r}: take a fingerprint of the list")
            access.record(grant, "keys.revoke", project.name, f"key {fingerprint}")
            return {"revoked": fingerprint}

        return await front.answer("projects/keys", work)

    return router


def _listed(key: ListedKey) -> dict[str, Any]:
    return {
        "fingerprint": key.fingerprint,
        "kind": key.kind,
        "name": key.terms.name,
        "created_at": None if key.created_at is None else instant(key.created_at),
        "expires_at": None if key.terms.expires_at is None else instant(key.terms.expires_at),
        "min_cell": key.terms.min_cell,
    }
