"""The shapes of answers, as JSON schemas for the OpenAPI document (query_api/openapi.py)."""

from __future__ import annotations

from typing import Any, Final

from footfall.events.identity import REASONS
from query_api.decisions import KINDS, OUTCOMES
from query_api.openapi_parts import COUNT, NUMBER_OR_NULL, TEXT, TEXT_OR_NULL, list_of, object_of

KEY: Final = list_of(
    {"description": "A value for each part of the breakdown, null where missing, or $other."}
)
META: Final = object_of(
    {
        "elapsed_ms": {"type": "number"},
        "rows_read": {"type": ["integer", "null"]},
        "bytes_read": {"type": ["integer", "null"]},
        "data_until": {"type": "string", "format": "date-time"},
        "cached": {"type": "boolean"},
        "sample": NUMBER_OR_NULL,
        "timezone": TEXT,
        "warnings": list_of(TEXT),
    }
)
META["properties"]["min_cell"] = {"type": "integer"}  # only to a key that has one
ENVELOPE_KEY: Final = object_of(
    {
        "name": TEXT,
        "algorithm": {"enum": ["RSA", "SM2", "AES"]},
        "version": TEXT,
        "public_key": TEXT,
        "current": {"type": "boolean"},
        "created_at": TEXT,
        "published_at": TEXT_OR_NULL,
        "retired_at": TEXT_OR_NULL,
    }
)
STEP: Final = object_of(
    {
        "label": TEXT,
        "users": COUNT,
        "conversion_rate": {"type": "number"},
        "step_conversion_rate": {"type": "number"},
        "dropped": COUNT,
        "average_seconds": NUMBER_OR_NULL,
        "median_seconds": NUMBER_OR_NULL,
    }
)
COHORTS: Final = {
    "rows": list_of(
        object_of({"bucket": TEXT, "size": COUNT, "values": list_of(COUNT), "partial": {"type": "boolean"}})
    ),
    "mean": list_of({"type": "number"}),
}
ANY_LIST: Final = list_of({"type": "object"})
RESULTS: Final[dict[str, dict[str, Any]]] = {
    "trends": object_of(
        {
            "buckets": list_of(TEXT),
            "series": list_of(
                object_of(
                    {"label": TEXT, "key": KEY, "values": list_of(NUMBER_OR_NULL), "total": NUMBER_OR_NULL}
                )
            ),
        }
    ),
    "funnel": object_of(
        {
            "steps": list_of(STEP),
            "groups": list_of(
                object_of({"key": KEY, "steps": list_of(STEP), "trend": ANY_LIST, "histogram": ANY_LIST})
            ),
            "trend": ANY_LIST,
            "histogram": ANY_LIST,
            "correlate": ANY_LIST,
        }
    ),
    "retention": object_of({**COHORTS, "groups": list_of(object_of({"key": KEY, **COHORTS}))}),
    "paths": object_of(
        {
            "nodes": list_of(
                object_of(
                    {
                        "id": TEXT,
                        "name": TEXT,
                        "step": COUNT,
                        "users": COUNT,
                        "sessions": COUNT,
                        "continuing": COUNT,
                        "exits": COUNT,
                    }
                )
            ),
            "links": list_of(
                object_of(
                    {
                        "source": TEXT,
                        "target": TEXT,
                        "count": COUNT,
                        "users": COUNT,
                        "average_seconds": {"type": "number"},
                    }
                )
            ),
            "sessions": COUNT,
            "other": COUNT,
        }
    ),
}
"""What each analysis answers under `result`."""

PERSON: Final = object_of(
    {
        "user_id": TEXT,
        "distinct_ids": list_of(TEXT),
        "first_time": TEXT_OR_NULL,
        "last_time": TEXT_OR_NULL,
        "properties": {"type": "object"},
    }
)
PERSON["properties"]["identities"] = {
    "type": "object",
    "description": "The ids by their key, in projects that declare identity keys.",
    "additionalProperties": list_of(TEXT),
}
PEOPLE: Final = object_of(
    {"users": list_of(PERSON), "total": COUNT, "next_cursor": TEXT_OR_NULL, "meta": META}
)
QUERY: Final = object_of({"purpose": TEXT, "sql": TEXT, "parameters": {"type": "object"}})
EXPLAINED: Final = object_of({"analysis": TEXT, "queries": list_of(QUERY), "notes": list_of(TEXT)})
TIMELINE: Final = object_of(
    {
        "events": list_of(
            object_of(
                {
                    "event": TEXT,
                    "type": TEXT,
                    "time": TEXT,
                    "received_at": TEXT,
                    "distinct_id": TEXT,
                    "anonymous_id": TEXT_OR_NULL,
                    "login_id": TEXT_OR_NULL,
                    "door": TEXT,
                    "properties": {"type": "object"},
                    "session": {"type": ["integer", "null"]},
                }
            )
        ),
        "sessions": list_of(object_of({"number": COUNT, "from": TEXT, "to": TEXT, "events": COUNT})),
        "next_before": TEXT_OR_NULL,
    }
)
HISTORY: Final = object_of(
    {
        "operations": list_of(
            object_of(
                {
                    "time": TEXT,
                    "distinct_id": TEXT,
                    "operation": TEXT,
                    "property": TEXT_OR_NULL,
                    "value": {"description": "As it was sent; null for unset and delete."},
                }
            )
        ),
        "next_before": TEXT_OR_NULL,
    }
)
DECISION: Final = {
    "type": "object",
    "properties": {
        "decided_at": TEXT,
        "kind": {"enum": list(KINDS)},
        "anonymous_id": {
            "type": "string",
            "description": "Not in merges. With declared identity keys: the id that was bound to the other.",
        },
        "login_id": TEXT_OR_NULL,
        "into": {"type": "string", "description": "In merges: the login that stands for both."},
        "trusted": {"type": "boolean"},
        "outcome": {"enum": list(OUTCOMES)},
        "reason": {"enum": [*[reason for reason in REASONS if reason != "accepted"], None]},
        "why": TEXT,
        "is_current": {"type": "boolean", "description": "False once a later line says otherwise."},
        "record": {"type": "object", "description": "When it was received, and where it lies in the log."},
    },
}
DECISIONS: Final = object_of({"decisions": list_of(DECISION), "next_cursor": TEXT_OR_NULL})
DECISION_COUNTS: Final = object_of({"accepted": {"type": "object"}, "refused": {"type": "object"}})
WORD: Final = object_of({"action": TEXT, "received_at": TEXT})
VIRTUAL_EVENT: Final = object_of({"name": TEXT, "events": list_of({"type": "object"}), "created_at": TEXT})
CATALOGUE: Final = object_of(
    {
        "project": TEXT,
        "events": list_of(
            object_of(
                {
                    "event": TEXT,
                    "type": TEXT,
                    "count": NUMBER_OR_NULL,
                    "first_seen": TEXT_OR_NULL,
                    "last_seen": TEXT_OR_NULL,
                }
            )
        ),
        "properties": list_of(
            object_of(
                {
                    "property": TEXT,
                    "of": {"enum": ["event", "user", "item"]},
                    "type": TEXT,
                    "has_column": {"type": "boolean"},
                    "first_seen": TEXT_OR_NULL,
                    "conflicts": {"type": "object"},
                }
            )
        ),
        "virtual_events": list_of(VIRTUAL_EVENT),
    }
)
ACCOUNT: Final = {
    "received": COUNT,
    "stored": COUNT,
    "duplicate": COUNT,
    "rejected": {"type": "object", "additionalProperties": COUNT},
    "queued": COUNT,
}
LEDGER: Final = object_of(
    {
        "total": object_of(ACCOUNT),
        "minutes": list_of(object_of({"minute": TEXT, "door": TEXT, **ACCOUNT})),
        "data_until": TEXT,
    }
)
PROJECTS: Final = object_of(
    {
        "projects": list_of(
            object_of({"name": TEXT, "timezone": TEXT, "week_start": {"enum": ["monday", "sunday"]}})
        )
    }
)
KEYS: Final = object_of({"name": TEXT, "write_key": TEXT, "secret_key": TEXT})
PROJECT: Final = object_of(
    {
        "name": TEXT,
        "timezone": TEXT,
        "week_start": TEXT,
        "keyless": {"type": "boolean"},
        "identity": {"type": "object"},
        "keep_days": {"type": ["integer", "null"]},
    }
)
_APP_CONFIG: Final = object_of(
    {
        "auto_track_mode": COUNT,
        "disable_sdk": {"type": "boolean"},
        "disable_debug_mode": {"type": "boolean"},
        "event_blacklist": list_of(TEXT),
        "effect_mode": COUNT,
        "support_transport_encrypt": {"type": "boolean"},
    }
)
REMOTE_CONFIG: Final = object_of(
    {
        "configs": list_of(
            object_of(
                {
                    "app_id": {"type": "string", "description": "Empty: every app without one of its own."},
                    "config": _APP_CONFIG,
                    "version": {"type": "string", "description": "The `v` of apps that have it."},
                    "changed_at": TEXT,
                    "changed_by": TEXT,
                }
            )
        ),
        "proposals": list_of(
            object_of(
                {
                    "proposal": {"type": "string", "description": "What an approval names."},
                    "app_id": TEXT,
                    "config": _APP_CONFIG,
                    "proposed_at": TEXT,
                    "proposed_by": TEXT,
                    "expires_at": TEXT,
                }
            )
        ),
        "keys": {"type": "object", "description": "The keys for encrypted uploads that apps are told."},
    }
)
STATUS: Final = {"type": "object", "properties": {"status": TEXT}}

PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": COUNT,
        "detail": TEXT,
        "code": TEXT,
        "field": {"type": "string", "description": "Where in the body, as in steps[0].where[1].op."},
        "given": {},
        "allowed": list_of(TEXT),
        "nearest": {"type": ["string", "null"], "description": "The allowed spelling that comes closest."},
        "errors": list_of({"type": "object"}),
    },
}
LETTER: Final = {
    "id": {"type": "string", "description": "partition:offset:seq of the event log."},
    "received_at": TEXT,
    "door": TEXT,
    "reason": TEXT,
    "field": TEXT,
    "message": TEXT,
    "replays": list_of(object_of({"outcome": TEXT, "replayed_at": TEXT, "event_id": TEXT})),
}
LISTED_KEY: Final = {
    "fingerprint": TEXT,
    "kind": {"enum": ["write", "secret"]},
    "name": TEXT,
    "created_at": TEXT_OR_NULL,
    "expires_at": TEXT_OR_NULL,
    "min_cell": {"type": ["integer", "null"]},
}
AUDIT: Final = object_of(
    {
        "rows": list_of(
            object_of(
                {
                    "sequence": COUNT,
                    "time": TEXT,
                    "actor": TEXT,
                    "action": TEXT,
                    "project": TEXT,
                    "subject": TEXT,
                    "detail": {"type": "object"},
                    "previous": TEXT,
                    "mac": TEXT,
                }
            )
        ),
        "next_after": {"type": ["integer", "null"]},
    }
)
REPLAYED: Final = object_of(
    {
        "dry_run": {"type": "boolean"},
        "replayed": COUNT,
        "stored_before": COUNT,
        "replayed_before": COUNT,
        "refused": {"type": "object", "additionalProperties": COUNT},
        "letters": list_of(object_of({"id": TEXT, "problem": TEXT})),
    }
)
LINE: Final = {
    "type": "object",
    "description": "A check that is through, a finding, or, last, the verdict (or the error that ended it).",
    "properties": {
        "kind": {"enum": ["checked", "finding", "verdict", "error"]},
        "check": TEXT,
        "compared": COUNT,
        "table": TEXT,
        "problem": TEXT,
        "record": {"type": "string", "description": "partition:offset:seq of the event log."},
        "event_id": TEXT_OR_NULL,
        "message": TEXT,
        "ok": {"type": "boolean"},
        "findings": COUNT,
    },
    "required": ["kind"],
}
