"""Every route of the OpenAPI document, old and new, with hostile text in every name, value and field.

The canary: a project that no request names keeps every row and setting of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from footfall.workspace import AuditFilter, Project
from query_api.openapi import describe
from tests.system import System

TEXTS = (
    "' OR 1=1 --\") UNION ALL SELECT * FROM events; DROP TABLE events; `x` {x:String} %s %(x)s :x $1",
    "\\' \x00 \x1f\r\n \u202e \U0001f600 ../../etc/passwd" + "a" * 70_000,
)
CANARY = "canary"


def filled(schema: Any, text: Any, schemas: dict[str, Any], depth: int = 0) -> Any:
    """A body with `text` wherever the schema takes some, and the least that it takes elsewhere."""
    if "$ref" in schema:
        return filled(schemas[schema["$ref"].rpartition("/")[2]], text, schemas, depth)
    for form in ("anyOf", "oneOf"):
        if form in schema:
            return filled(schema[form][0], text, schemas, depth + 1)
    if depth > 6:
        return text
    match schema.get("type"):
        case "object":
            return {
                name: filled(part, text, schemas, depth + 1)
                for name, part in schema.get("properties", {}).items()
            }
        case "array":
            return [filled(schema.get("items", {}), text, schemas, depth + 1)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
    return text


def requests(text: str) -> Iterator[tuple[str, str, dict[str, str], Any]]:
    """Method, URL, parameters, body: of each route with the text in its path, its parameters, its body."""
    document = describe()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        if not path.startswith("/api/"):
            continue
        own = path.replace("{name}", "default")
        hostile = own
        for name in ("analysis", "event", "letter", "id", "key", "fingerprint", "erasure", "name"):
            hostile = hostile.replace(f"{{{name}}}", quote(text[:2_000], safe=""))
        everywhere = path
        while "{" in everywhere:
            start, _, rest = everywhere.partition("{")
            everywhere = start + quote(text[:2_000], safe="") + rest.partition("}")[2]
        for method, operation in operations.items():
            body = None
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]
                schema = next(iter(content.values()))["schema"]
                body = filled(schema, text, schemas)
            yield method, hostile, {}, body
            yield method, everywhere, {}, body
            if body is not None and isinstance(body, dict):
                for field in body:
                    yield method, hostile, {}, {field: text}
                    yield method, hostile, {}, {text: body[field]}
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    yield method, hostile, {parameter["name"]: text[:2_000]}, body
            yield method, hostile, {text[:2_000]: text[:2_000]}, body


async def canary(system: System) -> Any:
    rows = system.rows("SELECT count(), uniqExact(event) FROM events WHERE project = {p:String}", p=CANARY)
    tables = system.rows("SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
    keys = system.workspace.keys.of_project(CANARY)
    return rows, tables, keys, system.workspace.project(CANARY)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_no_route_breaks_or_leaks_by_what_it_is_given(system: System, text: str) -> None:
    key = system.create_project(Project(CANARY))
    time = system.clock()
    await system.send({"type": "track", "event": "Kept", "distinct_id": "one", "time": time}, key=key)
    await system.settle()
    before = await canary(system)
    seen = 0
    for method, url, parameters, body in requests(text):
        answer = await system.query_api.request(method.upper(), url, params=parameters, json=body)
        where = f"{method} {url[:100]} {str(parameters)[:100]} {str(body)[:200]}"
        assert answer.status_code < 500 or answer.status_code == 503, f"{where}: {answer.text[:500]}"
        assert "Kept" not in answer.text, where
        seen += 1
    assert seen > 150
    assert await canary(system) == before
    assert system.workspace.audit.verify().findings == ()
    for row in system.workspace.audit.rows(AuditFilter()):
        assert len(row.subject) <= 200
        assert row.subject.isprintable()
