"""Records of the Java SDK's schema protocol (`"version": "2.0"`), put into the words of all other records.

It names what a record is of in `schema`: `events`, `users`, an item's type, or a detail's. Who did it stands
in `properties` (in those of `users`, beside them): `user_id`, or `distinct_id` with `identities`.

| schema | type | becomes |
|---|---|---|
| `events`, or another name | `track`, `track_id_bind`, ... | the same; the other name is in `$schema` |
| `users` | `profile_set`, ... | the same |
| an item's type | `item_set`, `item_delete` | the same, with `item_type` and `item_id` |
| a detail's | `detail_set`, `detail_delete` | nothing: there is no place for details, they are refused |
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from footfall.events.faults import FaultFound, is_schema_protocol
from footfall.events.reasons import Reason

EVENTS: Final = "events"
USERS: Final = "users"

_OWN_FIELDS: Final = ("schema", "version", "id", "user_id")
_WHO: Final = ("user_id", "distinct_id", "identities")
_LOGIN: Final = "$identity_login_id"

_read = msgspec.json.Decoder(dict[str, Any], float_hook=msgspec.Raw).decode
"""Numbers with a point or an exponent stay as they were written: money keeps every digit."""
_write = msgspec.json.encode


def translate(element: bytes) -> bytes:
    """The JSON of such a record as that of a usual one; the same for the same bytes, whenever they come.

    Other records come back as they are. Raises FaultFound for what has no place, and for what is not of the
    protocol's form; for what is no JSON object, msgspec's errors and RecursionError.
    """
    record = _read(element)
    if not is_schema_protocol(record):
        return element
    schema, kind = record["schema"], record.get("type", "track")
    if not isinstance(schema, str) or not schema:
        raise FaultFound(Reason.INVALID_TYPE, "schema", "schema must be a string, and not empty")
    if not isinstance(kind, str):
        raise FaultFound(Reason.INVALID_TYPE, "type", "type must be a string")
    if kind.startswith("detail_"):
        message = f"details (here of {schema[:60]!r}) have no place: only events, users and items have"
        raise FaultFound(Reason.UNSUPPORTED_SCHEMA, "type", message)
    told = {name: value for name, value in record.items() if name not in _OWN_FIELDS}
    properties = told.get("properties", {})
    if not isinstance(properties, dict):
        raise FaultFound(Reason.INVALID_TYPE, "properties", "properties must be an object")
    if kind.startswith("item_"):
        return _write(_item(told, properties, schema, record.get("id")))
    if schema == USERS and not kind.startswith("profile_"):
        message = f"schema {USERS!r} has profile_set and its kind, not {kind[:60]!r}"
        raise FaultFound(Reason.UNSUPPORTED_SCHEMA, "type", message)
    told |= _who(record, properties)
    if kind == "track" and schema != EVENTS:
        # Of an entity, not of a person: it counts as an event, and nobody as its user.
        told = {"distinct_id": "", **told}
        properties = {**properties, "$schema": schema}
    if "properties" in told:
        told["properties"] = {name: value for name, value in properties.items() if name not in _WHO}
    return _write(told)


def _item(told: dict[str, Any], properties: dict[str, Any], schema: str, id_: Any) -> dict[str, Any]:
    if not properties.keys().isdisjoint(_WHO):
        message = "an item that belongs to a user has no place: items here are everybody's"
        field = next(name for name in _WHO if name in properties)
        raise FaultFound(Reason.UNSUPPORTED_SCHEMA, f"properties.{field}", message)
    item = told | {"item_type": schema}
    return item if id_ is None else item | {"item_id": _id(id_, "id")}


def _who(record: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """distinct_id and identities, wherever they stand; without distinct_id the user_id, else an identity."""
    told: dict[str, Any] = {}
    for source in (properties, record):  # beside the properties wins
        for name in _WHO:
            if source.get(name) is not None:
                told[name] = source[name]
    user_id = told.pop("user_id", None)
    if "distinct_id" in told:
        told["distinct_id"] = _id(told["distinct_id"], "distinct_id")
    elif user_id is not None:
        told["distinct_id"] = _id(user_id, "user_id")
    elif isinstance(told.get("identities"), dict) and told["identities"]:
        told["distinct_id"] = _first_of(told["identities"])
    return told


def _first_of(identities: dict[str, Any]) -> str | None:
    """As that SDK itself has it: the login's id, else the first as `name+id`."""
    name = _LOGIN if _LOGIN in identities else next(iter(identities))
    ids = identities[name] if isinstance(identities[name], list) else [identities[name]]
    if not ids or not isinstance(ids[0], str):
        return None  # it is refused for what it is
    return ids[0] if name == _LOGIN else f"{name}+{ids[0]}"


def _id(value: Any, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value
    raise FaultFound(Reason.INVALID_TYPE, field, f"{field} must be a string or an integer")
