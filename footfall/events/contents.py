"""What is wrong with the contents of a record whose form is right: what is missing, misnamed, out of time.

Types and lengths were checked before, by the typed decoders of verdicts.py; what those refuse, faults.py
explains.
"""

from __future__ import annotations

from typing import Any, Final

from footfall.events import limits
from footfall.events.faults import Fault
from footfall.events.names import HOISTED, KnownNames, explain_name
from footfall.events.reasons import Reason
from footfall.events.record import Record, event_time, written_time
from footfall.events.times import END_MS, InvalidTime

_NO_PROPERTIES: Final[dict[str, Any]] = {}


def no_properties() -> dict[str, Any]:
    """Always the same dict, so that absent properties can be told from empty ones. Nobody writes to it."""
    return _NO_PROPERTIES


def fault_of(record: Record, received_at: int, known: KnownNames, *, network: bool = True) -> Fault | None:
    """What is wrong with the contents of a record whose form is right."""
    return (
        _missing_field(record)
        or _bad_name(record, known)
        or _bad_operation(record)
        or _bad_claim(record.properties)
        or _bad_time(record, received_at, network=network)
    )


def _missing_field(record: Record) -> Fault | None:
    kind = record.type
    missing = None
    if kind in ("item_set", "item_delete"):
        missing = "item_type" if not record.item_type else "item_id" if not record.item_id else None
    elif record.distinct_id is None and record.login_id is None and record.anonymous_id is None:
        missing = "distinct_id"
    elif kind == "track":
        missing = "event" if not record.event else None
    elif kind == "track_signup":
        missing = "original_id" if record.original_id is None else None
    elif kind in ("track_id_bind", "track_id_unbind"):
        missing = "identities" if not record.identities else None
    elif kind != "profile_delete" and record.properties is _NO_PROPERTIES:
        missing = "properties"
    if missing is None:
        return None
    return Fault(Reason.MISSING_FIELD, missing, f"records of type {kind} need {missing}")


def _bad_name(record: Record, known: KnownNames) -> Fault | None:
    if record.event and (reason := known.fault(record.event)) is not None:
        return Fault(reason, "event", explain_name(record.event))
    for name in record.properties:
        if (reason := known.fault(name)) is not None:
            return Fault(reason, f"properties.{name}", explain_name(name))
    return None


def _bad_operation(record: Record) -> Fault | None:
    if record.type == "profile_increment":
        wanted: tuple[type, ...] = (int, float)
        words = "profile_increment adds numbers"
    elif record.type == "profile_append":
        wanted, words = (list,), "profile_append appends lists of strings"
    else:
        return None
    for name, value in record.properties.items():
        fits = value is None or (isinstance(value, wanted) and not isinstance(value, bool))
        if not fits and name not in HOISTED:
            return Fault(Reason.INVALID_VALUE, f"properties.{name}", f"{words}, properties.{name} is none")
    return None


def _bad_claim(properties: dict[str, Any]) -> Fault | None:
    for name in ("$project", "$token"):
        if not isinstance(properties.get(name, ""), str | None):
            return Fault(Reason.INVALID_TYPE, f"properties.{name}", f"properties.{name} must be a string")
    return None


def _bad_time(record: Record, received_at: int, *, network: bool) -> Fault | None:
    field = "time" if record.properties.get("$time") is None else "properties.$time"
    try:
        written = written_time(record)
        if isinstance(written, bool | list):
            raise InvalidTime(f"{field} must be a number or a string")
        time = event_time(record, received_at, network=network).time
    except InvalidTime as error:
        return Fault(Reason.INVALID_TIME, field, str(error))
    if not 0 <= time < END_MS:
        return Fault(
            Reason.INVALID_TIME, field, f"{field}, corrected by the client's clock, is not in 1970-2286"
        )
    if record.time_free or not network:
        return None
    if received_at - time > limits.OLDEST_MS:
        days = (received_at - time) // 86_400_000
        return Fault(
            Reason.TOO_OLD, field, f"{field} is more than {days} days ago: over 365 only with time_free"
        )
    if time - received_at > limits.FARTHEST_AHEAD_MS:
        days = (time - received_at) // 86_400_000
        return Fault(
            Reason.TOO_FAR_AHEAD, field, f"{field} is more than {days} days ahead: over 3 only with time_free"
        )
    return None
