"""The OpenAPI document: privacy."""

from __future__ import annotations

from typing import Any, Final

from footfall.privacy.kinds import ACTIONS, DETECTED
from query_api.openapi_parts import COUNT, TEXT, TEXT_OR_NULL, list_of, object_of, parameter_of, route_of

_ACTION: Final = {"type": "string", "enum": list(ACTIONS)}
PRIVACY_SETTINGS: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "detect": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(DETECTED, _ACTION),
        },
        "ids": {"type": "string", "enum": ["detected", "all", "keep"]},
        "ip": {"type": "string", "enum": ["drop", "truncate", "keep"]},
        "c2": {"type": "string", "enum": ["mask", "tokenise", "hash"]},
        "suite": {"type": ["string", "null"], "enum": ["intl", "gm", None]},
        "rules": list_of(
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["property", "action"],
                "properties": {
                    "property": {"type": "string", "minLength": 1, "maxLength": 255},
                    "action": _ACTION,
                    "events": list_of(TEXT),
                    "of": {"type": "string", "enum": ["event", "user", "item"]},
                },
            }
        ),
    },
}
_DONE: Final = {"event": TEXT, "property": TEXT, "kind": TEXT, "action": TEXT, "count": COUNT}
PRIVACY: Final = object_of(
    {
        "settings": PRIVACY_SETTINGS,
        "changed_at": TEXT_OR_NULL,
        "changed_by": TEXT_OR_NULL,
        "never_collected": list_of(TEXT),
        "counts": list_of(object_of({"day": TEXT, **_DONE})),
    }
)
PRIVACY_TEST: Final = object_of(
    {
        "accepted": {"type": "boolean"},
        "problem": TEXT_OR_NULL,
        "record": {"type": ["object", "null"]},
        "done": list_of(object_of(_DONE)),
    }
)


def privacy_paths(name: dict[str, Any]) -> dict[str, Any]:
    """By URL."""
    base = "/api/v1/projects/{name}/privacy"
    days = parameter_of("days", "query", "Counts of so many days; 30 if left out.", COUNT)
    put = route_of("Set the rules, all of them; what is left out gets its default.", PRIVACY, [name])
    schema = {"application/json": {"schema": PRIVACY_SETTINGS}}
    put["requestBody"] = {"required": True, "content": schema}
    reveal = "Read what tokens stand for; the audit log has who and why."
    revealed = object_of({"values": list_of(TEXT)})
    test = "What would rest of a record, and why; nothing is stored."
    return {
        base: {
            "get": route_of("Rules on personal data, and what they did.", PRIVACY, [name, days]),
            "put": put,
        },
        f"{base}/detokenise": {"post": route_of(reveal, revealed, [name], body="DetokeniseSpec")},
        f"{base}/test": {"post": route_of(test, PRIVACY_TEST, [name], body="TryOutSpec")},
    }
