"""The OpenAPI document: routes read bodies themselves, so that numbers stay exact; this describes them."""

from __future__ import annotations

from functools import cache
from typing import Any

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
    PROBLEM,
    PROJECT,
    PROJECTS,
    REMOTE_CONFIG,
    REPLAYED,
    RESULTS,
    STATUS,
    TIMELINE,
    VIRTUAL_EVENT,
    WORD,
)
from query_api.openapi_parts import COUNT, TEXT, TEXT_OR_NULL, list_of, object_of, parameter_of, route_of
from query_api.openapi_plans import (
    plan_paths,
)
from query_api.openapi_privacy import privacy_paths
from query_api.openapi_rights import BODIES as RIGHTS_BODIES
from query_api.openapi_rights import rights_paths
from query_api.plans import PlanChange
from query_api.privacy import DetokeniseSpec, TryOutSpec
from query_api.remote_config import ApprovalSpec, RemoteConfigSpec, WithdrawalSpec
from query_api.routes.dead_letters import ReplaySpec
from query_api.routes.project_keys import KeySpec
from query_api.run import ANALYSES
from query_api.spec.virtual_event import VirtualEvent


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
        paths[url] = {"post": route_of(f"Ask {name}.", answer, body=spec)}
        paths[f"{url}/users"] = {
            "post": route_of(f"Who is behind a cell of {name}.", PEOPLE, body=users_spec)
        }
        paths[f"{url}/explain"] = {
            "post": route_of(f"The SQL of {name}; nothing is run.", EXPLAINED, body=spec)
        }
    return paths


def _other_paths() -> dict[str, Any]:
    project = parameter_of("project", "query", "Project name; default: default.")
    person = parameter_of("id", "path", "Any id of the person.")
    before = parameter_of("before", "query", "An instant, or next_before of the page before.")
    limit = parameter_of("limit", "query", "1 to 1000; default 100.", schema=COUNT)
    name = parameter_of("name", "path", "The project's name.")
    event = parameter_of("event", "path", "The virtual event's name.")
    metrics = route_of("For Prometheus.", TEXT, public=True)
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": TEXT}}
    console = route_of("The console: a page for browsers.", TEXT, public=True)
    console["responses"]["200"]["content"] = {"text/html": {"schema": TEXT}}
    return {
        "/": {"get": console},
        "/api/v1/users/{id}": {"get": route_of("A person with the profile.", PERSON, [person, project])},
        "/api/v1/users/{id}/events": {
            "get": route_of("A person's events, newest first.", TIMELINE, [person, project, before, limit])
        },
        "/api/v1/users/{id}/history": {
            "get": route_of(
                "What made a person's profile, newest first.", HISTORY, [person, project, before, limit]
            )
        },
        "/api/v1/projects/{name}/bindings": _binding_paths(),
        "/api/v1/projects/{name}/bindings/counts": {
            "get": route_of("How many claims on ids stand, and why others do not.", DECISION_COUNTS, [name])
        },
        "/api/v1/catalogue": {"get": route_of("Events and properties seen so far.", CATALOGUE, [project])},
        "/api/v1/projects": {
            "get": route_of("The projects that the key opens.", PROJECTS),
            "post": route_of("Make a project.", KEYS, body="ProjectSpec", status="201"),
        },
        "/api/v1/projects/{name}": {
            "get": route_of("A project's settings.", PROJECT, [name]),
            "patch": route_of("Change how long events are kept.", PROJECT, [name], body="ProjectChange"),
        },
        "/api/v1/projects/{name}/ledger": {
            "get": route_of("What was received and what became of it.", LEDGER, [name])
        },
        **_key_paths(name),
        "/api/v1/projects/{name}/export": {"get": _export(name)},
        "/api/v1/projects/{name}/virtual-events": {
            "get": route_of(
                "The project's virtual events.", object_of({"virtual_events": list_of(VIRTUAL_EVENT)}), [name]
            ),
            "post": route_of(
                "Save a virtual event.", VIRTUAL_EVENT, [name], body="VirtualEvent", status="201"
            ),
        },
        "/api/v1/projects/{name}/virtual-events/{event}": {
            "delete": route_of("Delete a virtual event.", object_of({"deleted": TEXT}), [name, event])
        },
        **_remote_config_paths(name),
        **privacy_paths(name),
        **_envelope_key_paths(name),
        **plan_paths(name),
        **_dead_letter_paths(name),
        **_audit_paths(name),
        **rights_paths(),
        "/api/v1/snapshots": {
            "post": route_of("Make a snapshot in the home, for `footfall backup`.", {"type": "object"})
        },
        "/api/v1/verify": {"get": _verify_operation(project)},
        "/healthz": {"get": route_of("Alive.", STATUS, public=True)},
        "/readyz": {"get": route_of("Store and workspace can be reached.", STATUS, public=True)},
        "/metrics": {"get": metrics},
    }


def _binding_paths() -> dict[str, Any]:
    name = parameter_of("name", "path", "The project's name.")
    filters = [
        parameter_of("id", "query", "Only claims that name this id."),
        parameter_of("outcome", "query", "accepted or refused."),
        parameter_of("reason", "query", "Why it was refused."),
        parameter_of("kind", "query", "bind, unbind, merge or unmerge."),
        parameter_of("limit", "query", "1 to 1000; default 100.", schema=COUNT),
        parameter_of("cursor", "query", "next_cursor of the page before."),
    ]
    return {
        "get": route_of("The log of decisions on ids, newest first.", DECISIONS, [name, *filters]),
        "post": route_of(
            "What an administrator says about ids.", WORD, [name], body="WordSpec", status="202"
        ),
    }


def _key_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/keys"
    listed = object_of({"keys": list_of(object_of(LISTED_KEY))})
    made = object_of({"key": TEXT, **LISTED_KEY})
    fingerprint = parameter_of("fingerprint", "path", "As the list has it.")
    return {
        base: {
            "get": route_of("The project's keys.", listed, [name]),
            "post": route_of("Make a key, shown this once.", made, [name], body="KeySpec", status="201"),
        },
        f"{base}/{{fingerprint}}": {
            "delete": route_of("Revoke a key.", object_of({"revoked": TEXT}), [name, fingerprint])
        },
    }


def _export(name: dict[str, Any]) -> dict[str, Any]:
    subject = {"enum": list(SUBJECTS)}
    parameters = [
        name,
        parameter_of("subject", "query", "What; default: events.", schema=subject),
        parameter_of("from", "query", "First day, or an instant; goes with to."),
        parameter_of("to", "query", "Last day, or the instant before which it ends."),
        parameter_of("event", "query", "Only events of this name; may be repeated."),
    ]
    operation = route_of("All of it, as records: a line of JSON each.", TEXT, parameters)
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": TEXT}}
    return operation


def _remote_config_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/remote-config"
    put = "Set what apps are told; the kill switch waits for another key's approval."
    return {
        base: {
            "get": route_of("What apps are told, and what is proposed.", REMOTE_CONFIG, [name]),
            "put": route_of(put, REMOTE_CONFIG, [name], body="RemoteConfigSpec"),
        },
        f"{base}/approve": {
            "post": route_of("Approve what another key proposed.", REMOTE_CONFIG, [name], body="ApprovalSpec")
        },
        f"{base}/withdraw": {
            "post": route_of("Take a proposal back.", REMOTE_CONFIG, [name], body="WithdrawalSpec")
        },
    }


def _envelope_key_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/envelope-keys"
    own = [name, parameter_of("key", "path", "Its name: sm2-3.")]
    shown = object_of({"keys": list_of(ENVELOPE_KEY)})
    make = "Make a key, or keep one that exists."
    return {
        base: {
            "get": route_of("What encrypted uploads are sealed to.", shown, [name]),
            "post": route_of(make, ENVELOPE_KEY, [name], body="EnvelopeKeySpec", status="201"),
        },
        f"{base}/{{key}}/publish": {"post": route_of("Make it current.", ENVELOPE_KEY, own)},
        f"{base}/{{key}}/retire": {"post": route_of("Destroy its private part.", ENVELOPE_KEY, own)},
    }


def _dead_letter_paths(name: dict[str, Any]) -> dict[str, Any]:
    base = "/api/v1/projects/{name}/dead-letters"
    filters = [
        name,
        parameter_of("reason", "query", "Only letters of this reason."),
        parameter_of("limit", "query", "1 to 1000; default 100.", schema=COUNT),
        parameter_of("cursor", "query", "next_cursor of the page before."),
    ]
    count = object_of({"reason": TEXT, "count": COUNT, "first": TEXT, "last": TEXT, "replayed": COUNT})
    page = object_of({"letters": list_of(object_of(LETTER)), "next_cursor": TEXT_OR_NULL})
    opened = object_of({**LETTER, "raw": TEXT_OR_NULL, "encoding": TEXT_OR_NULL})
    letter = parameter_of("letter", "path", "Its id.")
    return {
        base: {"get": route_of("Records that were turned away.", page, filters)},
        f"{base}/counts": {
            "get": route_of("How many, by reason.", object_of({"reasons": list_of(count)}), [name])
        },
        f"{base}/{{letter}}": {"get": route_of("One, with the bytes that came.", opened, [name, letter])},
        f"{base}/replay": {"post": route_of("Mend and send again.", REPLAYED, [name], body="ReplaySpec")},
    }


def _audit_paths(name: dict[str, Any]) -> dict[str, Any]:
    filters = [
        parameter_of("actor", "query", "Only by this one."),
        parameter_of("action", "query", "Only this; with a dot at its end, all that begin so."),
        parameter_of("since", "query", "From this instant on."),
        parameter_of("until", "query", "Before this instant."),
        parameter_of("after", "query", "Only rows behind this number.", schema=COUNT),
        parameter_of("limit", "query", "1 to 1000; default 100.", schema=COUNT),
    ]
    person = parameter_of("id", "query", "Only rows about this id of a person.")
    summary = "What was done, and by whom; reading it is recorded, too."
    return {
        "/api/v1/audit": {"get": route_of(summary, AUDIT, filters)},
        "/api/v1/projects/{name}/audit": {"get": route_of(summary, AUDIT, [name, *filters, person])},
    }


def _verify_operation(project: dict[str, Any]) -> dict[str, Any]:
    months = [
        parameter_of("since", "query", "A month, 2026-09: only events of it and later."),
        parameter_of("until", "query", "A month: only events up to it."),
    ]
    operation = route_of(
        "Compare counts, outcomes and every stored row; lines of JSON.", LINE, [project, *months]
    )
    operation["responses"]["200"]["content"] = {"application/x-ndjson": {"schema": LINE}}
    return operation
