"""Why a record is turned away: a closed list. Verdicts, dead letters, the ledger and metrics use these words.

Each has a line in docs/limits.md and a test of its own; tests check both.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The word that goes over the wire, and (``about``) what it means."""

    about: str

    def __new__(cls, word: str, about: str) -> Reason:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.about = about
        return reason

    # The body as a whole. Its raw bytes are the dead letter.
    UNREADABLE = "unreadable", "not JSON (or, on the Sensors door, not base64 of it)"
    BODY_TOO_LARGE = "body_too_large", "the body, or what it decompresses to, exceeds the limit"
    TOO_MANY_RECORDS = "too_many_records", "more records in one request than the limit"
    UNKNOWN_KEY = (
        "unknown_key",
        "the key or token belongs to no project, and the project is not keyless",
    )
    ENCRYPTED = (
        "encrypted",
        "an encrypted envelope that no key of the project opens: replayed by itself once there is one",
    )
    UNDECRYPTABLE = (
        "undecryptable",
        "a payload that the key of its envelope does not open, or no record in it",
    )
    MALFORMED_ENVELOPE = "malformed_envelope", "an encrypted envelope without what any form of it needs"
    UNSUPPORTED_ENCRYPTION = (
        "unsupported_encryption",
        "an envelope sealed by ECIES, whose parameters are not public",
    )

    # The record's form.
    NOT_AN_OBJECT = "not_an_object", "the record is no JSON object"
    RECORD_TOO_LARGE = "record_too_large", "the record is longer than the limit"
    TOO_DEEP = "too_deep", "brackets are nested deeper than the limit"
    INVALID_UTF8 = "invalid_utf8", "bytes that are not UTF-8, or half of a surrogate pair"
    UNSUPPORTED_SCHEMA = (
        "unsupported_schema",
        "of the Java SDK's schema protocol, what has no place here: details, and items that belong to a user",
    )

    # The record's fields.
    UNKNOWN_FIELD = "unknown_field", "a field that records do not have (native door)"
    UNKNOWN_TYPE = "unknown_type", "`type` is none of those that exist"
    MISSING_FIELD = "missing_field", "a field that records of this type need"
    INVALID_TYPE = "invalid_type", "a field with a value of the wrong JSON type"
    ID_TOO_LONG = "id_too_long", "an id longer than the limit"
    INVALID_TIME = (
        "invalid_time",
        "neither ISO 8601 with an offset nor epoch milliseconds, 1970 to 2286",
    )
    TOO_OLD = "too_old", "`time` is over 365 days old and the record is not `time_free`"
    TOO_FAR_AHEAD = "too_far_ahead", "`time` is over 3 days ahead and the record is not `time_free`"
    WRONG_PROJECT = "wrong_project", "the record's own `project` is not one that its key may write to"

    # Names and property values.
    INVALID_NAME = "invalid_name", "an event or property name that is reserved or breaks the name rule"
    NAME_TOO_LONG = "name_too_long", "an event or property name longer than the limit"
    TOO_MANY_PROPERTIES = (
        "too_many_properties",
        "more properties, or entries of lib or identities, than the limit",
    )
    NESTED_VALUE = "nested_value", "an object, or a list of anything but strings, as a property value"
    STRING_TOO_LONG = "string_too_long", "a string longer than the limit"
    LIST_TOO_LONG = "list_too_long", "a list with more strings than the limit"
    INVALID_NUMBER = (
        "invalid_number",
        "NaN, Infinity, a number no double holds, or an integer of too many digits",
    )
    INVALID_VALUE = (
        "invalid_value",
        "a value this profile operation cannot apply (increment: number, append: list)",
    )

    # The project's tracking plan, where it is enforced.
    PLAN_UNKNOWN_EVENT = "plan_unknown_event", "an event that the project's tracking plan does not have"
    PLAN_UNKNOWN_PROPERTY = (
        "plan_unknown_property",
        "a property that the tracking plan does not have for this event",
    )
    PLAN_MISSING_PROPERTY = (
        "plan_missing_property",
        "a property that the tracking plan requires of this event is not there",
    )
    PLAN_WRONG_TYPE = "plan_wrong_type", "a property of another type than the tracking plan says"
    PLAN_NOT_ALLOWED = (
        "plan_not_allowed",
        "a property with a value that is none of those that the tracking plan allows",
    )

    # Who it is of.
    UNDECLARED_IDENTITY = (
        "undeclared_identity",
        "`identities` names a key that the project does not declare (strategy `global`)",
    )

    # Only the processor gives these.
    ERASED = "erased", "the id's person was erased, and this is from before that: kept without its content"
    UNPROCESSABLE = (
        "unprocessable",
        "accepted at the door, but the processor could not process it: report it",
    )
