"""The doors' part of the OpenAPI document: FastAPI does not know them, being behind them."""

from __future__ import annotations

from typing import Any, Final

from footfall.events.faults import FIELD_TYPES, TYPES
from footfall.events.reasons import Reason

_JSON_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}

_RECORD: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        field: {"type": [_JSON_TYPES[each] for each in types]} for field, types in FIELD_TYPES.items()
    }
    | {"type": {"type": "string", "enum": list(TYPES), "default": "track"}},
}
_REFUSALS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "reason", "field", "message"],
        "properties": {
            "index": {"type": "integer", "description": "Position in the request, from 0."},
            "reason": {"type": "string", "enum": [reason.value for reason in Reason]},
            "field": {"type": "string"},
            "message": {"type": "string"},
        },
    },
}
_VERDICTS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {"accepted": {"type": "integer"}, "rejected": _REFUSALS},
}
_VALIDATED: Final[dict[str, Any]] = {
    **_VERDICTS,
    "properties": {
        **_VERDICTS["properties"],
        "violations": {
            **_REFUSALS,
            "description": "What breaks the project's tracking plan, refused or not; absent if nothing does.",
        },
    },
}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def _response(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problem(description: str) -> dict[str, Any]:
    return _response(description, "application/problem+json", _PROBLEM)


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


def _native(summary: str, verdicts: dict[str, Any]) -> dict[str, Any]:
    batch = {"type": "array", "items": _RECORD}
    envelope = {"type": "object", "required": ["events"], "properties": {"events": batch}}
    return {
        "post": {
            "summary": summary,
            "tags": ["native"],
            "security": [{"writeKey": []}, {"writeKeyInUrl": []}],
            "parameters": [
                _parameter("project", "Only with a key that opens several projects."),
                _parameter("compression", "gzip or zstd, where Content-Encoding cannot be set."),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"oneOf": [_RECORD, batch, envelope]}},
                    "application/x-ndjson": {"schema": {"type": "string", "description": "A record a line."}},
                },
            },
            "responses": {
                "200": _response("A verdict on every record.", "application/json", verdicts),
                "400": _problem("No record can be found in the body."),
                "401": _problem("No key, or one that opens nothing."),
                "403": _problem("The key does not open the project in the URL."),
                "413": _problem("Too large; the detail names the limit."),
                "415": _problem("Unknown Content-Encoding."),
                "503": _problem("Nothing was stored: send it again after Retry-After seconds."),
            },
        }
    }


def _sensors(path: str) -> dict[str, Any]:
    parameters = [
        _parameter("project", "Name of the project; `default` if absent."),
        _parameter("token", "The write key."),
        _parameter("data", "One record: base64 of JSON, or of gzipped JSON."),
        _parameter("data_list", "An array of records, in the same way."),
        _parameter("gzip", "0 or 1; 9 and 13 are encrypted envelopes."),
        _parameter("crc", "Checksum of the data; a diagnostic."),
    ]
    responses = {"200": {"description": "Stored."}, "503": _problem("Nothing was stored.")}
    if path == "/debug":
        told = '`{}`; of a dry run also {"violations": [...]}: what breaks the project\'s tracking plan.'
        responses["200"] = {"description": told}
        responses["400"] = {"description": 'What is wrong: {"errors": [...]}.'}
    operation = {
        "summary": "Takes what Sensors Analytics' SDKs send, at any path prefix.",
        "tags": ["sensors"],
        "parameters": parameters,
        "responses": responses,
    }
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    return {"get": operation, "post": operation | {"requestBody": {"content": form}}}


def _poll(summary: str, parameters: list[dict[str, Any]], responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "tags": ["config"], "parameters": parameters, "responses": responses}}


def _polls() -> dict[str, Any]:
    """What is asked for beside sending; at any path prefix, too."""
    of_app = [
        _parameter("project", "Name of the project; `default` if absent."),
        _parameter("app_id", "The app."),
    ]
    versions = [_parameter("v", "The version that the client has."), _parameter("nv", "The same.")]
    remote = {
        "200": _response("What an operator set.", "application/json", {"type": "object"}),
        "304": {"description": "Nothing that the client does not have."},
    }
    off = {"205": {"description": "There are no codeless events."}}
    script = {"application/javascript": {"schema": {"type": "string"}}}
    callback = _parameter("callbackName", "saJSSDKVtrackCollectConfig, and nothing else.")
    web = {
        "200": {"description": "A call of the one callback.", "content": script},
        "400": _problem("Another callback."),
    }
    open_id = {"200": _response("No open id.", "application/json", {"type": "object"})}
    systems = ("Android", "iOS")
    return {
        **{f"/config/{os}.conf": _poll("Remote configuration.", of_app + versions, remote) for os in systems},
        **{f"/config/visualized/{os}.conf": _poll("Codeless events.", of_app, off) for os in systems},
        "/config/visualized/Web.conf": _poll("Codeless events of pages.", [*of_app, callback], web),
        "/mp_login": _poll("A mini-program asks for an open id.", [], open_id),
    }


def door_paths() -> dict[str, Any]:
    """OpenAPI path items of all doors."""
    return {
        "/v1/events": _native("Stores records.", _VERDICTS),
        "/v1/validate": _native("Says what would become of records, and stores nothing.", _VALIDATED),
        **{path: _sensors(path) for path in ("/sa", "/sa.gif", "/debug")},
        **_polls(),
    }


SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "writeKey": {"type": "http", "scheme": "bearer"},
    "writeKeyInUrl": {"type": "apiKey", "in": "query", "name": "key"},
}
