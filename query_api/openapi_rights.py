"""The routes of a person's rights in the OpenAPI document, described in Chinese and English."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from query_api.openapi_parts import COUNT, TEXT, list_of, object_of, parameter_of, route_of
from query_api.routes.keep_rules import KeepRulesSpec
from query_api.routes.rights import EraseSpec, HoldSpec, PersonExportSpec

BODIES: Final[tuple[type[BaseModel], ...]] = (EraseSpec, PersonExportSpec, HoldSpec, KeepRulesSpec)

_MOMENT: Final = {"type": "integer", "description": "Epoch milliseconds; 0: not yet."}
_BY_TABLE: Final = {"type": "object", "additionalProperties": COUNT}
_ERASURE: Final = object_of(
    {
        "id": TEXT,
        "project": TEXT,
        "state": {"enum": ["asked", "cutting", "removing", "finished"]},
        "reason": TEXT,
        "actor": TEXT,
        "asked_at": _MOMENT,
        "refuse_all": {"type": "boolean"},
        "keys": list_of({"type": "string", "description": "Keyed hash of an id."}),
        "erased_at": _MOMENT,
        "waits_for": {"type": "string", "description": "What stands in the way; empty: nothing."},
        "removed": _BY_TABLE,
        "backups": list_of({"type": "object", "description": "Still holds the person, until it expires."}),
        "finished_at": _MOMENT,
    }
)
_COUNTS: Final = object_of({"dry_run": {"const": True}, "removed": _BY_TABLE})
_HOLD: Final = object_of(
    {
        "project": TEXT,
        "id_key": {"type": ["string", "null"], "description": "Keyed hash of the id; null: the project."},
        "reason": TEXT,
        "actor": TEXT,
        "since": COUNT,
    }
)
_RULES: Final = object_of(
    {"rules": list_of(object_of({"kind": {"enum": ["event", "grade"]}, "name": TEXT, "keep_days": COUNT}))}
)


def rights_paths() -> dict[str, Any]:
    """By URL."""
    base = "/api/v1/projects/{name}"
    name = parameter_of("name", "path", "The project's name.")
    erasure = parameter_of("erasure", "path", "Its id.")
    about = "Everything of a person, lines of JSON. / 导出一个人的全部数据。"
    export = route_of(about, TEXT, [name], body="PersonExportSpec")
    export["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": TEXT}}
    erase = "Erase a person, or count what would go. / 删除一个人的全部数据，或仅统计。"
    released = object_of({"released": {"type": "boolean"}})
    return {
        f"{base}/persons/export": {"post": export},
        f"{base}/persons/erase": {
            "post": route_of(erase, {"oneOf": [_ERASURE, _COUNTS]}, [name], body="EraseSpec", status="202")
        },
        f"{base}/erasures": {
            "get": route_of(
                "Erasures, the newest first. / 删除请求，新的在前。",
                object_of({"erasures": list_of(_ERASURE)}),
                [name],
            )
        },
        f"{base}/erasures/{{erasure}}": {
            "get": route_of("How far one is. / 一个删除请求的进度。", _ERASURE, [name, erasure])
        },
        f"{base}/holds": {
            "get": route_of("Legal holds. / 法律保全。", object_of({"holds": list_of(_HOLD)}), [name]),
            "post": route_of("Place one. / 设置法律保全。", _HOLD, [name], body="HoldSpec", status="201"),
        },
        f"{base}/holds/release": {
            "post": route_of("Release one. / 解除法律保全。", released, [name], body="HoldSpec")
        },
        f"{base}/keep-rules": {
            "get": route_of("How long single events and grades are kept. / 保留期规则。", _RULES, [name]),
            "put": route_of("Give it these rules. / 设置保留期规则。", _RULES, [name], body="KeepRulesSpec"),
        },
    }
