"""The OpenAPI document: routes read bodies themselves, so that numbers stay exact; this describes them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from footfall import __version__
from query_api.control import ProjectChange, ProjectSpec
from query_api.envelope_keys import EnvelopeKeySpec
from query_api.export import SUBJECTS
from query_api.identity_words import WordSpec
from query_api.openapi_answers import (
    AUDIT,
    CATALOGUE,
    COUNT,
    DECISION_COUNTS,
    DECISIONS,
    ENVELOPE_KEY,
    EXPLAINED,
    HISTORY,
    KEYS,
    LEDGER,
    LETTER,
    LINE,
    LISTED_KEY,
    META,
    PEOPLE,
    PERSON,
    PRIVACY,
    PRIVACY_SETTINGS,
    PRIVACY_TEST,
    PROBLEM,
    PROJECT,
    PROJECTS,
    REMOTE_CONFIG,
    REPLAYED,
    RESULTS,
    STATUS,
    TEXT,
    TEXT_OR_NULL,
    TIMELINE,
    VIRTUAL_EVENT,
    WORD,
    list_of,
    object_of,
)
from query_api.openapi_plans import PLAN, PLAN_CHANGED, PLAN_PROPOSED, PLAN_VERSIONS, PLAN_VIOLATIONS
from query_api.openapi_rights import BODIES as RIGHTS_BODIES
from query_api.openapi_rights import rights_paths
from query_api.plan_violations import FILTERS
from query_api.plans import PlanChange
from query_api.privacy import DetokeniseSpec, TryOutSpec
from query_api.problems import TITLES
from query_api.remote_config import ApprovalSpec, RemoteConfigSpec, WithdrawalSpec
from query_api.routes.dead_letters import ReplaySpec
from query_api.routes.plans import YAML
from query_api.routes.project_keys import KeySpec
from query_api.run import ANALYSES
from query_api.spec.virtual_event import VirtualEvent

_SECRET: Final[list[dict[str, list[str]]]] = [{"secret_key": []}]


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
        KeySpec,
        ReplaySpec,
        EnvelopeKeySpec,
        DetokeniseSpec,
        TryOutSpec,
        RemoteConfigSpec,
        ApprovalSpec,
        WithdrawalSpec,
        PlanChange,
        *RIGHTS_BODIES,
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
        result = RESULTS[name]
        answer = object_of(
            {"result": result, "comparison": {"oneOf": [result, {"type": "null"}]}, "meta": META}
        )
        spec, users_spec = analysis.spec.__name__, analysis.users_spec.__name__
        url = f"/api/v1/query/{name}"
        paths[url] = {"post": _operation(f"Ask {name}.", answer, body=spec)}
        paths[f"{url}/users"] = {
            "post": _operation(f"Who is behind a cell of {name}.", PEOPLE, body=users_spec)
        }
        paths[f"{url}/explain"] = {
            "post": _operation(f"The SQL of {name}; nothing is run.", EXPLAINED, body=spec)
        }
    return paths


def _other_paths() -> dict[str, Any]:
    project = _parameter("project", "query", "Project name; default: default.")
    person = _parameter("id", "path", "Any id of the person.")
    before = _parameter("before", "query", "An instant, or next_before of the page before.")
    limit = _parameter("limit", "query", "1 to 1000; default 100.", schema=COUNT)
    name = _parameter("name", "path", "The project's name.")
    event = _parameter("event", "path", "The virtual event's name.")
    metrics = _operation("For Prometheus.", TEXT, public=True)
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": TEXT}}
    console = _operation("The console: a page for browsers.", TEXT, public=True)
    console["responses"]["200"]["content"] = {"text/html": {"schema": TEXT}}
    return {
        "/": {"get": console},
        "/api/v1/users/{id}": {"get": _operation("A person with the profile.", PERSON, [person, project])},
        "/api/v1/users/{id}/events": {
            "get": _operation("A person's events, newest first.", TIMELINE, [person, project, before, limit])
        },
        "/api/v1/users/{id}/history": {
            "get": _operation(
                "What made a person's profile, newest first.", HISTORY, [person, project, before, limit]
            )
        },
        "/api/v1/projects/{name}/bindings": _binding_paths(),
        "/api/v1/projects/{name}/bindings/counts": {
            "get": _operation("How many claims on ids stand, and why others do not.", DECISION_COUNTS, [name])
        },
        "/api/v1/catalogue": {"get": _operation("Events and properties seen so far.", CATALOGUE, [project])},
        "/api/v1/projects": {
            "get": _operation("The projects that the key opens.", PROJECTS),
            "post": _operation("Make a project.", KEYS, body="ProjectSpec", status="201"),
        },
        "/api/v1/projects/{name}": {
            "get": _operation("A project's settings.", PROJECT, [name]),
            "patch": _operation("Change how long events are kept.", PROJECT, [name], body="ProjectChange"),
        },
        "/api/v1/projects/{name}/ledger": {
            "get": _operation("What was received and what became of it.", LEDGER, [name])
        },
        **_key_paths(name),
        "/api/v1/projects/{name}/export": {"get": _export(name)},
        "/api/v1/projects/{name}/virtual-events": {
            "get": _operation(
                "The project's virtual events.", object_of({"virtual_events": list_of(VIRTUAL_EVENT)}), [name]
            ),
            "post": _operation(
                "Save a virtual event.", VIRTUAL_EVENT, [name], body="VirtualEvent", status="201"
            ),
        },
        "/api/v1/projects/{name}/virtual-events/{event}": {
            "delete": _operation("Delete a virtual event.", object_of({"deleted": TEXT}), [name, event])
        },
        **_remote_config_paths(name),
        **_privacy_paths(name),
        **_envelope_key_paths(name),
        **_plan_paths(name),
        **_dead_letter_paths(name),
        **_audit_paths(name),
        **rights_paths(_operation, _parameter),
        "/api/v1/snapshots": {
            "post": _operation("Make a snapshot in the home, for `footfall backup`.", {"type": "object"})
        },
        "/api/v1/verify": {"get": _verify_operation(project)},
        "/healthz": {"get": _operation("Alive.", STATUS, public=True)},
        "/readyz": {"get": _operation("Store and workspace can be reached.", STATUS, public=True)},
        "/metrics": {"get": metrics},
    }


def _binding_paths() -> dict[str, Any]:
    name = _parameter("name", "path", "The project's name.")
    filters = [
        _parameter("id", "query", "Only claims that name this id."),
        _parameter("outcome", "query", "accepted or refused."),
        _parameter("reason", "query", "Why it was refused."),
        _parameter("kind", "query", "bind, unbind, merge or unmerge."),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=COUNT),
        _parameter("cursor", "query", "next_cursor of the page before."),
    ]
    return {
        "get": _operation("The log of decisions on ids, newest first.", DECISIONS, [name, *filters]),
        "post": _operation(
            "What an administrator says about ids.", WORD, [name], body="WordSpec", status="202"
        ),
    }


def _key_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/keys"
    listed = object_of({"keys": list_of(object_of(LISTED_KEY))})
    made = object_of({"key": TEXT, **LISTED_KEY})
    fingerprint = _parameter("fingerprint", "path", "As the list has it.")
    return {
        base: {
            "get": _operation("The project's keys.", listed, [name]),
            "post": _operation("Make a key, shown this once.", made, [name], body="KeySpec", status="201"),
        },
        f"{base}/{{fingerprint}}": {
            "delete": _operation("Revoke a key.", object_of({"revoked": TEXT}), [name, fingerprint])
        },
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
    operation = _operation("All of it, as records: a line of JSON each.", TEXT, parameters)
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": TEXT}}
    return operation


def _remote_config_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/remote-config"
    put = "Set what apps are told; the kill switch waits for another key's approval."
    return {
        base: {
            "get": _operation("What apps are told, and what is proposed.", REMOTE_CONFIG, [name]),
            "put": _operation(put, REMOTE_CONFIG, [name], body="RemoteConfigSpec"),
        },
        f"{base}/approve": {
            "post": _operation(
                "Approve what another key proposed.", REMOTE_CONFIG, [name], body="ApprovalSpec"
            )
        },
        f"{base}/withdraw": {
            "post": _operation("Take a proposal back.", REMOTE_CONFIG, [name], body="WithdrawalSpec")
        },
    }


def _privacy_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/privacy"
    days = _parameter("days", "query", "Counts of so many days; 30 if left out.", COUNT)
    put = _operation("Set the rules, all of them; what is left out gets its default.", PRIVACY, [name])
    schema = {"application/json": {"schema": PRIVACY_SETTINGS}}
    put["requestBody"] = {"required": True, "content": schema}
    reveal = "Read what tokens stand for; the audit log has who and why."
    revealed = object_of({"values": list_of(TEXT)})
    test = "What would rest of a record, and why; nothing is stored."
    return {
        base: {
            "get": _operation("Rules on personal data, and what they did.", PRIVACY, [name, days]),
            "put": put,
        },
        f"{base}/detokenise": {"post": _operation(reveal, revealed, [name], body="DetokeniseSpec")},
        f"{base}/test": {"post": _operation(test, PRIVACY_TEST, [name], body="TryOutSpec")},
    }


def _envelope_key_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/envelope-keys"
    own = [name, _parameter("key", "path", "Its name: sm2-3.")]
    shown = object_of({"keys": list_of(ENVELOPE_KEY)})
    make = "Make a key, or keep one that exists."
    return {
        base: {
            "get": _operation("What encrypted uploads are sealed to.", shown, [name]),
            "post": _operation(make, ENVELOPE_KEY, [name], body="EnvelopeKeySpec", status="201"),
        },
        f"{base}/{{key}}/publish": {"post": _operation("Make it current.", ENVELOPE_KEY, own)},
        f"{base}/{{key}}/retire": {"post": _operation("Destroy its private part.", ENVELOPE_KEY, own)},
    }


def _plan_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/plan"
    format_ = _parameter("format", "query", "json or yaml; default: by Accept.", {"enum": ["json", "yaml"]})
    version = _parameter("version", "query", "A version, with YAML: the one that was changed.", COUNT)
    dry_run = _parameter("dry_run", "query", "Only say what would change.", {"enum": ["true", "false"]})
    days = _parameter("days", "query", "Of the last so many days; default: all.", COUNT)
    filters = [
        _parameter("from", "query", "First day, in the project's time zone; default: a week ago."),
        _parameter("to", "query", "Last day; default: today."),
        _parameter("by", "query", "Of day, event, property, kind, lib, app_version, refused; with commas."),
        *(_parameter(each, "query", f"Only of this {each}.") for each in FILTERS),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=COUNT),
    ]
    operations: dict[str, Any] = {
        base: {
            "get": _operation("The tracking plan.", PLAN, [name, version, format_]),
            "put": _operation(
                "Replace the tracking plan.",
                PLAN_CHANGED,
                [name, version, format_, dry_run],
                body="PlanChange",
            ),
        },
        f"{base}/versions": {
            "get": _operation("Versions of the plan, newest first, and who made them.", PLAN_VERSIONS, [name])
        },
        f"{base}/violations": {
            "get": _operation(
                "How often what was sent did not keep to it.", PLAN_VIOLATIONS, [name, *filters]
            )
        },
        f"{base}/propose": {
            "post": _operation("A plan made of what was seen.", PLAN_PROPOSED, [name, days, format_])
        },
    }
    operations[base]["put"]["requestBody"]["content"][YAML] = {"schema": TEXT}
    for operation in (operations[base]["get"], operations[f"{base}/propose"]["post"]):
        operation["responses"]["200"]["content"][YAML] = {"schema": TEXT}
    return operations


def _dead_letter_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/dead-letters"
    filters = [
        name,
        _parameter("reason", "query", "Only letters of this reason."),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=COUNT),
        _parameter("cursor", "query", "next_cursor of the page before."),
    ]
    count = object_of({"reason": TEXT, "count": COUNT, "first": TEXT, "last": TEXT, "replayed": COUNT})
    page = object_of({"letters": list_of(object_of(LETTER)), "next_cursor": TEXT_OR_NULL})
    opened = object_of({**LETTER, "raw": TEXT_OR_NULL, "encoding": TEXT_OR_NULL})
    letter = _parameter("letter", "path", "Its id.")
    return {
        base: {"get": _operation("Records that were turned away.", page, filters)},
        f"{base}/counts": {
            "get": _operation("How many, by reason.", object_of({"reasons": list_of(count)}), [name])
        },
        f"{base}/{{letter}}": {"get": _operation("One, with the bytes that came.", opened, [name, letter])},
        f"{base}/replay": {"post": _operation("Mend and send again.", REPLAYED, [name], body="ReplaySpec")},
    }


def _audit_paths(name: dict[str, Any]) -> dict[str, Any]:
    filters = [
        _parameter("actor", "query", "Only by this one."),
        _parameter("action", "query", "Only this; with a dot at its end, all that begin so."),
        _parameter("since", "query", "From this instant on."),
        _parameter("until", "query", "Before this instant."),
        _parameter("after", "query", "Only rows behind this number.", schema=COUNT),
        _parameter("limit", "query", "1 to 1000; default 100.", schema=COUNT),
    ]
    person = _parameter("id", "query", "Only rows about this id of a person.")
    summary = "What was done, and by whom; reading it is recorded, too."
    return {
        "/api/v1/audit": {"get": _operation(summary, AUDIT, filters)},
        "/api/v1/projects/{name}/audit": {"get": _operation(summary, AUDIT, [name, *filters, person])},
    }


def _verify_operation(project: dict[str, Any]) -> dict[str, Any]:
    months = [
        _parameter("since", "query", "A month, 2026-09: only events of it and later."),
        _parameter("until", "query", "A month: only events up to it."),
    ]
    operation = _operation(
        "Compare counts, outcomes and every stored row; lines of JSON.", LINE, [project, *months]
    )
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": LINE}}
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
        "schema": schema or TEXT,
    }
