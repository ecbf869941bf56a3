"""The OpenAPI document's part on tracking plans."""

from __future__ import annotations

from typing import Any, Final

from footfall.tracking_plan.judging import KINDS
from footfall.tracking_plan.plan import GRADES, MODES, PROPERTY_TYPES, UNKNOWN
from query_api.openapi_parts import COUNT, TEXT, TEXT_OR_NULL, list_of, object_of, parameter_of, route_of
from query_api.plan_violations import FILTERS
from query_api.routes.plans import YAML

_DESCRIPTION = {
    "type": "object",
    "properties": {"zh": TEXT, "en": TEXT},
    "additionalProperties": False,
}
_GRADE = {"enum": list(GRADES), "description": "How sensitive it is, from C1 (anybody may see it) to C3."}
_PROPERTIES = {
    "type": "object",
    "description": "By name.",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "type": {"enum": list(PROPERTY_TYPES)},
            "required": {"type": "boolean", "description": "Of events only."},
            "allowed": {"type": "array", "items": {"type": ["string", "number"]}},
            "grade": _GRADE,
            "owner": TEXT,
            "description": _DESCRIPTION,
        },
        "required": ["type"],
        "additionalProperties": False,
    },
}
TRACKING_PLAN: Final[dict[str, Any]] = {
    "type": "object",
    "description": "docs/tracking-plan.md explains it.",
    "properties": {
        "mode": {"enum": list(MODES)},
        "unknown_events": {"enum": list(UNKNOWN)},
        "unknown_properties": {"enum": list(UNKNOWN)},
        "common_properties": _PROPERTIES,
        "events": {
            "type": "object",
            "description": "By name.",
            "additionalProperties": {
                "type": ["object", "null"],
                "properties": {
                    "description": _DESCRIPTION,
                    "owner": TEXT,
                    "grade": _GRADE,
                    "properties": _PROPERTIES,
                },
                "additionalProperties": False,
            },
        },
        "user_properties": _PROPERTIES,
        "item_properties": _PROPERTIES,
    },
    "additionalProperties": False,
}
PLAN: Final = object_of(
    {
        "version": {"type": "integer", "description": "0: there is no plan."},
        "changed_at": TEXT_OR_NULL,
        "changed_by": TEXT_OR_NULL,
        "plan": TRACKING_PLAN,
    }
)
_CHANGE = object_of({"path": TEXT, "change": {"enum": ["added", "removed", "changed"]}})
PLAN_CHANGED: Final = object_of(
    {
        "version": COUNT,
        "changed": {"type": "boolean"},
        "dry_run": {"type": "boolean"},
        "changes": list_of(_CHANGE),
        "warnings": list_of(TEXT),
    }
)
PLAN_VERSIONS: Final = object_of(
    {"versions": list_of(object_of({"version": COUNT, "changed_at": TEXT, "changed_by": TEXT}))}
)
PLAN_VIOLATIONS: Final = object_of(
    {
        "from": TEXT,
        "to": TEXT,
        "by": list_of(TEXT),
        "total": COUNT,
        "refused": {**COUNT, "description": "Of records that were turned away for it."},
        "rows": list_of(
            {
                "type": "object",
                "properties": {"count": COUNT, "kind": {"enum": list(KINDS)}},
                "required": ["count"],
            }
        ),
        "truncated": {"type": "boolean", "description": "There are more rows than the limit."},
    }
)
PLAN_PROPOSED: Final = object_of({"plan": TRACKING_PLAN, "notes": list_of(TEXT)})


def plan_paths(name: dict[str, Any]) -> dict[str, Any]:
    """By URL."""
    base = "/api/v1/projects/{name}/plan"
    format_ = parameter_of("format", "query", "json or yaml; default: by Accept.", {"enum": ["json", "yaml"]})
    version = parameter_of("version", "query", "A version, with YAML: the one that was changed.", COUNT)
    dry_run = parameter_of("dry_run", "query", "Only say what would change.", {"enum": ["true", "false"]})
    days = parameter_of("days", "query", "Of the last so many days; default: all.", COUNT)
    filters = [
        parameter_of("from", "query", "First day, in the project's time zone; default: a week ago."),
        parameter_of("to", "query", "Last day; default: today."),
        parameter_of("by", "query", "Of day, event, property, kind, lib, app_version, refused; with commas."),
        *(parameter_of(each, "query", f"Only of this {each}.") for each in FILTERS),
        parameter_of("limit", "query", "1 to 1000; default 100.", schema=COUNT),
    ]
    operations: dict[str, Any] = {
        base: {
            "get": route_of("The tracking plan.", PLAN, [name, version, format_]),
            "put": route_of(
                "Replace the tracking plan.",
                PLAN_CHANGED,
                [name, version, format_, dry_run],
                body="PlanChange",
            ),
        },
        f"{base}/versions": {
            "get": route_of("Versions of the plan, newest first, and who made them.", PLAN_VERSIONS, [name])
        },
        f"{base}/violations": {
            "get": route_of("How often what was sent did not keep to it.", PLAN_VIOLATIONS, [name, *filters])
        },
        f"{base}/propose": {
            "post": route_of("A plan made of what was seen.", PLAN_PROPOSED, [name, days, format_])
        },
    }
    operations[base]["put"]["requestBody"]["content"][YAML] = {"schema": TEXT}
    for operation in (operations[base]["get"], operations[f"{base}/propose"]["post"]):
        operation["responses"]["200"]["content"][YAML] = {"schema": TEXT}
    return operations
