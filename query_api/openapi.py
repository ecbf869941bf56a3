"""The OpenAPI document: routes read bodies themselves, so that numbers stay exact; this describes them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from footfall import __version__
from footfall.events.identity import REASONS
from query_api.control import ProjectChange, ProjectSpec
from query_api.decisions import KINDS, OUTCOMES
from query_api.export import SUBJECTS
from query_api.identity_words import WordSpec
from query_api.problems import TITLES
from query_api.routes.dead_letters import ReplaySpec
from query_api.run import ANALYSES
from query_api.spec.virtual_event import VirtualEvent

_SECRET: Final[list[dict[str, list[str]]]] = [{"secret_key": []}]
_NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_KEY: Final = _list({"description": "A value for each part of the breakdown, null where missing, or $other."})
_META: Final = _object(
    {
        "elapsed_ms": {"type": "number"},
        "rows_read": _COUNT,
        "bytes_read": _COUNT,
        "data_until": {"type": "string", "format": "date-time"},
        "cached": {"type": "boolean"},
        "sample": _NUMBER_OR_NULL,
        "timezone": _TEXT,
        "warnings": _list(_TEXT),
    }
)
_STEP: Final = _object(
    {
        "label": _TEXT,
        "users": _COUNT,
        "conversion_rate": {"type": "number"},
        "step_conversion_rate": {"type": "number"},
        "dropped": _COUNT,
        "average_seconds": _NUMBER_OR_NULL,
        "median_seconds": _NUMBER_OR_NULL,
    }
)
_COHORTS: Final = {
    "rows": _list(
        _object({"bucket": _TEXT, "size": _COUNT, "values": _list(_COUNT), "partial": {"type": "boolean"}})
    ),
    "mean": _list({"type": "number"}),
}
_ANY_LIST: Final = _list({"type": "object"})
_RESULTS: Final[dict[str, dict[str, Any]]] = {
    "trends": _object(
        {
            "buckets": _list(_TEXT),
            "series": _list(
                _object(
                    {"label": _TEXT, "key": _KEY, "values": _list(_NUMBER_OR_NULL), "total": _NUMBER_OR_NULL}
                )
            ),
        }
    ),
    "funnel": _object(
        {
            "steps": _list(_STEP),
            "groups": _list(
                _object({"key": _KEY, "steps": _list(_STEP), "trend": _ANY_LIST, "histogram": _ANY_LIST})
            ),
            "trend": _ANY_LIST,
            "histogram": _ANY_LIST,
            "correlate": _ANY_LIST,
        }
    ),
    "retention": _object({**_COHORTS, "groups": _list(_object({"key": _KEY, **_COHORTS}))}),
    "paths": _object(
        {
            "nodes": _list(
                _object(
                    {
                        "id": _TEXT,
                        "name": _TEXT,
                        "step": _COUNT,
                        "users": _COUNT,
                        "sessions": _COUNT,
                        "continuing": _COUNT,
                        "exits": _COUNT,
                    }
                )
            ),
            "links": _list(
                _object(
                    {
                        "source": _TEXT,
                        "target": _TEXT,
                        "count": _COUNT,
                        "users": _COUNT,
                        "average_seconds": {"type": "number"},
                    }
                )
            ),
            "sessions": _COUNT,
            "other": _COUNT,
        }
    ),
}
"""What each analysis answers under `result`."""

_PERSON: Final = _object(
    {
        "user_id": _TEXT,
        "distinct_ids": _list(_TEXT),
        "first_time": _TEXT_OR_NULL,
        "last_time": _TEXT_OR_NULL,
        "properties": {"type": "object"},
    }
)
_PEOPLE: Final = _object(
    {"users": _list(_PERSON), "total": _COUNT, "next_cursor": _TEXT_OR_NULL, "meta": _META}
)
_QUERY: Final = _object({"purpose": _TEXT, "sql": _TEXT, "parameters": {"type": "object"}})
_EXPLAINED: Final = _object({"analysis": _TEXT, "queries": _list(_QUERY), "notes": _list(_TEXT)})
_TIMELINE: Final = _object(
    {
        "events": _list(
            _object(
                {
                    "event": _TEXT,
                    "type": _TEXT,
                    "time": _TEXT,
                    "received_at": _TEXT,
                    "distinct_id": _TEXT,
                    "anonymous_id": _TEXT_OR_NULL,
                    "login_id": _TEXT_OR_NULL,
                    "door": _TEXT,
                    "properties": {"type": "object"},
                    "session": {"type": ["integer", "null"]},
                }
            )
        ),
        "sessions": _list(_object({"number": _COUNT, "from": _TEXT, "to": _TEXT, "events": _COUNT})),
        "next_before": _TEXT_OR_NULL,
    }
)
_HISTORY: Final = _object(
    {
        "operations": _list(
            _object(
                {
                    "time": _TEXT,
                    "distinct_id": _TEXT,
                    "operation": _TEXT,
                    "property": _TEXT_OR_NULL,
                    "value": {"description": "As it was sent; null for unset and delete."},
                }
            )
        ),
        "next_before": _TEXT_OR_NULL,
    }
)
_DECISION: Final = {
    "type": "object",
    "properties": {
        "decided_at": _TEXT,
        "kind": {"enum": list(KINDS)},
        "anonymous_id": {"type": "string", "description": "Not in merges."},
        "login_id": _TEXT_OR_NULL,
        "into": {"type": "string", "description": "In merges: the login that stands for both."},
        "trusted": {"type": "boolean"},
        "outcome": {"enum": list(OUTCOMES)},
        "reason": {"enum": [*[reason for reason in REASONS if reason != "accepted"], None]},
        "why": _TEXT,
        "is_current": {"type": "boolean", "description": "False once a later line says otherwise."},
        "record": {"type": "object", "description": "When it was received, and where it lies in the log."},
    },
}
_DECISIONS: Final = _object({"decisions": _list(_DECISION), "next_cursor": _TEXT_OR_NULL})
_DECISION_COUNTS: Final = _object({"accepted": {"type": "object"}, "refused": {"type": "object"}})
_WORD: Final = _object({"action": _TEXT, "received_at": _TEXT})
_VIRTUAL_EVENT: Final = _object({"name": _TEXT, "events": _list({"type": "object"}), "created_at": _TEXT})
_CATALOGUE: Final = _object(
    {
        "project": _TEXT,
        "events": _list(
            _object({"event": _TEXT, "type": _TEXT, "count": _COUNT, "first_seen": _TEXT, "last_seen": _TEXT})
        ),
        "properties": _list(
            _object(
                {
                    "property": _TEXT,
                    "of": {"enum": ["event", "user", "item"]},
                    "type": _TEXT,
                    "has_column": {"type": "boolean"},
                    "first_seen": _TEXT,
                    "conflicts": {"type": "object"},
                }
            )
        ),
        "virtual_events": _list(_VIRTUAL_EVENT),
    }
)
_ACCOUNT: Final = {
    "received": _COUNT,
    "stored": _COUNT,
    "duplicate": _COUNT,
    "rejected": {"type": "object", "additionalProperties": _COUNT},
    "queued": _COUNT,
}
_LEDGER: Final = _object(
    {
        "total": _object(_ACCOUNT),
        "minutes": _list(_object({"minute": _TEXT, "door": _TEXT, **_ACCOUNT})),
        "data_until": _TEXT,
    }
)
_PROJECTS: Final = _object(
    {
        "projects": _list(
            _object({"name": _TEXT, "timezone": _TEXT, "week_start": {"enum": ["monday", "sunday"]}})
        )
    }
)
_KEYS: Final = _object({"name": _TEXT, "write_key": _TEXT, "secret_key": _TEXT})
_PROJECT: Final = _object(
    {
        "name": _TEXT,
        "timezone": _TEXT,
        "week_start": _TEXT,
        "keyless": {"type": "boolean"},
        "identity": {"type": "object"},
        "keep_days": {"type": ["integer", "null"]},
    }
)
_STATUS: Final = {"type": "object", "properties": {"status": _TEXT}}

PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": _COUNT,
        "detail": _TEXT,
        "code": _TEXT,
        "field": {"type": "string", "description": "Where in the body, as in steps[0].where[1].op."},
        "given": {},
        "allowed": _list(_TEXT),
        "nearest": {"type": ["string", "null"], "description": "The allowed spelling that comes closest."},
        "errors": _list({"type": "object"}),
    },
}


@cache
def describe() -> dict[str, Any]:
    """The whole document."""
    specs = [spec for analysis in ANALYSES.values() for spec in (analysis.spec, analysis.users_spec)]
    bodies: tuple[type[BaseModel], ...] = (
        *specs,
        ProjectSpec,
        ProjectChange,
        VirtualEvent,
        WordSpec,
        ReplaySpec,
    )
    wanted = [(body, "validation") for body in bodies]
    _, schemas = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Footfall query API", "version": __version__},
        "paths": _query_paths() | _other_paths(),
        "components": {
            "schemas": _referred(schemas["$defs"], {body.__name__ for body in bodies}) | {"Problem": PROBLEM},
            "securitySchemes": {"secret_key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _referred(schemas: dict[str, Any], asked: set[str]) -> dict[str, Any]:
    """Without what nothing refers to: models of values that come as text, such as a node's id."""
    text = str(schemas)
    return {
        name: schema
        for name, schema in schemas.items()
        if name in asked or f"'#/components/schemas/{name}'" in text
    }


def _query_paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for name, analysis in ANALYSES.items():
        result = _RESULTS[name]
        answer = _object(
            {"result": result, "comparison": {"oneOf": [result, {"type": "null"}]}, "meta": _META}
        )
        spec, users_spec = analysis.spec.__name__, analysis.users_spec.__name__
        url = f"/api/v1/query/{name}"
        paths[url] = {"post": _operation(f"Ask {name}.", answer, body=spec)}
        paths[f"{url}/users"] = {
            "post": _operation(f"Who is behind a cell of {name}.", _PEOPLE, body=users_spec)
        }
        paths[f"{url}/explain"] = {
            "post": _operation(f"The SQL of {name}; nothing is run.", _EXPLAINED, body=spec)
        }
    return paths


def _other_paths() -> dict[str, Any]:
    project = _parameter("project", "query", "Project name; default: default.")
    person = _parameter("id", "path", "Any id of the person.")
    before = _parameter("before", "query", "An instant, or next_before of the page before.")
    limit = _parameter("limit", "query", "1 to 1000; default 100.", schema=_COUNT)
    name = _parameter("name", "path", "The project's name.")
    event = _parameter("event", "path", "The virtual event's name.")
    metrics = _operation("For Prometheus.", _TEXT, public=True)
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": _TEXT}}
    console = _operation("The console: a page for browsers.", _TEXT, public=True)
    console["responses"]["200"]["content"] = {"text/html": {"schema": _TEXT}}
    return {
        "/": {"get": console},
        "/api/v1/users/{id}": {"get": _operation("A person with the profile.", _PERSON, [person, project])},
        "/api/v1/users/{id}/events": {
            "get": _operation("A person's events, newest first.", _TIMELINE, [person, project, before, limit])
        },
        "/api/v1/users/{id}/history": {
            "get": _operation(
                "What made a person's profile, newest first.", _HISTORY, [person, project, before, limit]
            )
        },
        "/api/v1/projects/{name}/bindings": _binding_paths(),
        "/api/v1/projects/{name}/bindings/counts": {
            "get": _operation(
                "How many claims on ids stand, and why others do not.", _DECISION_COUNTS, [name]
            )
        },
        "/api/v1/catalogue": {"get": _operation("Events and properties seen so far.", _CATALOGUE, [project])},
        "/api/v1/projects": {
            "get": _operation("The projects that the key opens.", _PROJECTS),
            "post": _operation("Make a project.", _KEYS, body="ProjectSpec", status="201"),
        },
        "/api/v1/projects/{name}": {
            "get": _operation("A project's settings.", _PROJECT, [name]),
            "patch": _operation("Change how long events are kept.", _PROJECT, [name], body="ProjectChange"),
        },
        "/api/v1/projects/{name}/ledger": {
            "get": _operation("What was received and what became of it.", _LEDGER, [name])
        },
        "/api/v1/projects/{name}/export": {"get": _export(name)},
        "/api/v1/projects/{name}/virtual-events": {
            "get": _operation(
                "The project's virtual events.", _object({"virtual_events": _list(_VIRTUAL_EVENT)}), [name]
            ),
            "post": _operation(
                "Save a virtual event.", _VIRTUAL_EVENT, [name], body="VirtualEvent", status="201"
            ),
        },
        "/api/v1/projects/{name}/virtual-events/{event}": {
            "delete": _operation("Delete a virtual event.", _object({"deleted": _TEXT}), [name, event])
        },
        **_dead_letter_paths(name),
        "/api/v1/snapshots": {
            "post": _operation("Make a snapshot in the home, for `footfall backup`.", {"type": "object"})
        },
        "/api/v1/verify": {"get": _verify_operation(project)},
        "/healthz": {"get": _operation("Alive.", _STATUS, public=True)},
        "/readyz": {"get": _operation("Store and workspace can be reached.", _STATUS, public=True)},
        "/metrics": {"get": metrics},
    }


def _binding_paths() -> dict[str, Any]:
    name = _parameter("name", "path", "The project's name.")
    filters = [
        _parameter("id", "query", "Only claims that name this id."),
        _parameter("outcome", "query", "accepted or refused."),
        _parameter("reason", "query", "Why it was refused."),
        _parameter("kind", "query", "bind, unbind, merge or unmerge."),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=_COUNT),
        _parameter("cursor", "query", "next_cursor of the page before."),
    ]
    return {
        "get": _operation("The log of decisions on ids, newest first.", _DECISIONS, [name, *filters]),
        "post": _operation(
            "What an administrator says about ids.", _WORD, [name], body="WordSpec", status="202"
        ),
    }


def _export(name: dict[str, Any]) -> dict[str, Any]:
    subject = {"enum": list(SUBJECTS)}
    parameters = [
        name,
        _parameter("subject", "query", "What; default: events.", schema=subject),
        _parameter("from", "query", "First day, or an instant; goes with to."),
        _parameter("to", "query", "Last day, or the instant before which it ends."),
        _parameter("event", "query", "Only events of this name; may be repeated."),
    ]
    operation = _operation("All of it, as records: a line of JSON each.", _TEXT, parameters)
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": _TEXT}}
    return operation


_LETTER: Final = {
    "id": {"type": "string", "description": "partition:offset:seq of the event log."},
    "received_at": _TEXT,
    "door": _TEXT,
    "reason": _TEXT,
    "field": _TEXT,
    "message": _TEXT,
    "replays": _list(_object({"outcome": _TEXT, "replayed_at": _TEXT, "event_id": _TEXT})),
}
_REPLAYED: Final = _object(
    {
        "dry_run": {"type": "boolean"},
        "replayed": _COUNT,
        "stored_before": _COUNT,
        "replayed_before": _COUNT,
        "refused": {"type": "object", "additionalProperties": _COUNT},
        "letters": _list(_object({"id": _TEXT, "problem": _TEXT})),
    }
)


def _dead_letter_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/dead-letters"
    filters = [
        name,
        _parameter("reason", "query", "Only letters of this reason."),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=_COUNT),
        _parameter("cursor", "query", "next_cursor of the page before."),
    ]
    count = _object({"reason": _TEXT, "count": _COUNT, "first": _TEXT, "last": _TEXT, "replayed": _COUNT})
    page = _object({"letters": _list(_object(_LETTER)), "next_cursor": _TEXT_OR_NULL})
    opened = _object({**_LETTER, "raw": _TEXT_OR_NULL, "encoding": _TEXT_OR_NULL})
    letter = _parameter("letter", "path", "Its id.")
    return {
        base: {"get": _operation("Records that were turned away.", page, filters)},
        f"{base}/counts": {
            "get": _operation("How many, by reason.", _object({"reasons": _list(count)}), [name])
        },
        f"{base}/{{letter}}": {"get": _operation("One, with the bytes that came.", opened, [name, letter])},
        f"{base}/replay": {"post": _operation("Mend and send again.", _REPLAYED, [name], body="ReplaySpec")},
    }


_LINE: Final = {
    "type": "object",
    "description": "A check that is through, a finding, or, last, the verdict (or the error that ended it).",
    "properties": {
        "kind": {"enum": ["checked", "finding", "verdict", "error"]},
        "check": _TEXT,
        "compared": _COUNT,
        "table": _TEXT,
        "problem": _TEXT,
        "record": {"type": "string", "description": "partition:offset:seq of the event log."},
        "event_id": _TEXT_OR_NULL,
        "message": _TEXT,
        "ok": {"type": "boolean"},
        "findings": _COUNT,
    },
    "required": ["kind"],
}


def _verify_operation(project: dict[str, Any]) -> dict[str, Any]:
    months = [
        _parameter("since", "query", "A month, 2026-09: only events of it and later."),
        _parameter("until", "query", "A month: only events up to it."),
    ]
    operation = _operation(
        "Compare counts, outcomes and every stored row; lines of JSON.", _LINE, [project, *months]
    )
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": _LINE}}
    return operation


def _operation(
    summary: str,
    answer: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    body: str | None = None,
    status: str = "200",
    public: bool = False,
) -> dict[str, Any]:
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


def _parameter(
    name: str, place: str, description: str, schema: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "description": description,
        "required": place == "path",
        "schema": schema or _TEXT,
    }
