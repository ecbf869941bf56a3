"""What the OpenAPI document is put together from."""

from __future__ import annotations

from typing import Any, Final

from query_api.problems import TITLES

NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
TEXT: Final = {"type": "string"}
COUNT: Final = {"type": "integer"}
_SECRET: Final[list[dict[str, list[str]]]] = [{"secret_key": []}]


def object_of(properties: dict[str, Any]) -> dict[str, Any]:
    """All of the properties are there in every answer."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def route_of(
    summary: str,
    answer: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    body: str | None = None,
    status: str = "200",
    public: bool = False,
) -> dict[str, Any]:
    """An operation; `body` names the model of its request's."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "security": [] if public else _SECRET,
        "responses": {status: {"description": summary, "content": {"application/json": {"schema": answer}}}}
        | {str(code): {"description": title, "content": problem} for code, title in TITLES.items()},
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def parameter_of(
    name: str, place: str, description: str, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "description": description,
        "required": place == "path",
        "schema": schema or TEXT,
    }
