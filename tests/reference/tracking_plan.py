"""What a tracking plan finds in a record, slow and obvious: each rule in the order in which a person asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from footfall.tracking_plan.plan import Plan, PlannedProperty
from footfall.tracking_plan.presets import PRESET_EVENTS, is_preset_property

MOST = 20
ABOUT_THE_RECORD = ("$project", "$token", "$time", "$is_login_id")
IDENTITY = {"track_signup": "$SignUp", "track_id_bind": "$BindID", "track_id_unbind": "$UnbindID"}


def violations(plan: Plan, record: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, property) of a record as JSON values; nulls are absent."""
    if plan.mode == "off":
        return []
    type_ = record.get("type", "track")
    sent = {name: value for name, value in record.get("properties", {}).items() if value is not None}
    if type_.startswith("item"):
        found = _of_owner(plan, plan.item_properties, type_, sent)
    elif type_.startswith("profile"):
        found = _of_owner(plan, plan.user_properties, type_, sent)
    else:
        found = _of_event(plan, record.get("event") or IDENTITY.get(type_, ""), type_, sent)
    return list(found)[:MOST]


def is_refused(plan: Plan, found: list[tuple[str, str]]) -> bool:
    if plan.mode != "enforce":
        return False
    kinds = {kind for kind, _ in found}
    return bool(
        kinds & {"missing_property", "wrong_type", "not_allowed"}
        or ("unknown_event" in kinds and plan.unknown_events == "refuse")
        or ("unknown_property" in kinds and plan.unknown_properties == "refuse")
    )


def _of_owner(plan: Plan, declared: Any, type_: str, sent: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not declared:
        return
    takes_away = type_ in ("profile_unset", "profile_delete", "item_delete")
    for name, value in sent.items():
        planned = _planned(declared, name)
        if planned is None:
            yield from _unknown(plan, name)
        elif not takes_away:
            yield from _value(planned, name, value)


def _of_event(plan: Plan, event: str, type_: str, sent: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = plan.events[event].properties if event in plan.events else {}
    declared = {**plan.common_properties, **own}
    is_declared = event in plan.events
    if not is_declared and event not in PRESET_EVENTS and type_ == "track" and plan.unknown_events != "allow":
        yield "unknown_event", ""
    if is_declared or type_ == "track":
        for name, planned in declared.items():
            alias = sent.get("$event_duration") if name == "event_duration" else None
            if planned.required and name not in sent and alias is None:
                yield "missing_property", name
    for name, value in sent.items():
        planned = _planned(declared, name)
        if planned is not None:
            yield from _value(planned, name, value)
        elif is_declared or event in PRESET_EVENTS or type_ != "track":
            yield from _unknown(plan, name)


def _planned(declared: Any, name: str) -> PlannedProperty | None:
    found = declared.get(name)
    return declared.get("event_duration") if found is None and name == "$event_duration" else found


def _unknown(plan: Plan, name: str) -> Iterator[tuple[str, str]]:
    if plan.unknown_properties != "allow" and not is_preset_property(name) and name not in ABOUT_THE_RECORD:
        yield "unknown_property", name


def _value(planned: PlannedProperty, name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not _is_of_type(planned.type, value):
        yield "wrong_type", name
    elif planned.allowed:
        values = value if isinstance(value, list) else [value]
        if any(not any(_same(each, allowed) for allowed in planned.allowed) for each in values):
            yield "not_allowed", name


def _same(sent: Any, allowed: Any) -> bool:
    if isinstance(sent, str) or isinstance(allowed, str):
        return bool(sent == allowed)
    return float(sent) == float(allowed)


def _is_of_type(type_: str, value: Any) -> bool:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    match type_:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "number":
            return is_number and not (isinstance(value, int) and not -(2**63) <= value < 2**64)
        case "decimal":
            return is_number and abs(value) < 10**32
        case _:
            return isinstance(value, str) and _is_datetime(value)


def _is_datetime(text: str) -> bool:
    whole, dot, fraction = text.partition(".")
    if dot and not (1 <= len(fraction) <= 3 and fraction.isascii() and fraction.isdigit()):
        return False
    try:
        return datetime.fromisoformat(whole).strftime("%Y-%m-%d %H:%M:%S") == whole
    except ValueError:
        return False
