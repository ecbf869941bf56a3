"""From a plan to JSON values: what was left out stays out, and fields come in one order, so that equal plans
are equal texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from footfall.tracking_plan.plan import Description, Plan, PlannedEvent, PlannedProperty
from footfall.tracking_plan.reading import read_plan


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """JSON values that `read_plan` makes the same plan of."""
    written: dict[str, Any] = {
        "mode": plan.mode,
        "unknown_events": plan.unknown_events,
        "unknown_properties": plan.unknown_properties,
    }
    if plan.common_properties:
        written["common_properties"] = _properties(plan.common_properties)
    written["events"] = {name: _event(event) for name, event in plan.events.items()}
    if plan.user_properties:
        written["user_properties"] = _properties(plan.user_properties)
    if plan.item_properties:
        written["item_properties"] = _properties(plan.item_properties)
    return written


def write_plan(plan: Plan) -> str:
    """The plan as JSON text, as the workspace keeps it."""
    return orjson.dumps(plan_as_json(plan)).decode()


def plan_of_text(text: str) -> Plan:
    """The plan that `write_plan` wrote."""
    return read_plan(orjson.loads(text))


def _event(event: PlannedEvent) -> dict[str, Any]:
    written = _said(event.description, event.owner, event.grade)
    if event.properties:
        written["properties"] = _properties(event.properties)
    return written


def _properties(properties: Mapping[str, PlannedProperty]) -> dict[str, Any]:
    return {name: _property(planned) for name, planned in properties.items()}


def _property(planned: PlannedProperty) -> dict[str, Any]:
    written: dict[str, Any] = {"type": planned.type}
    if planned.required:
        written["required"] = True
    if planned.allowed:
        written["allowed"] = list(planned.allowed)
    said = _said(planned.description, planned.owner, planned.grade)
    return written | {name: said[name] for name in ("grade", "owner", "description") if name in said}


def _said(description: Description, owner: str, grade: str | None) -> dict[str, Any]:
    texts = {"zh": description.zh, "en": description.en}
    said: dict[str, Any] = {
        "description": {language: text for language, text in texts.items() if text},
        "owner": owner,
        "grade": grade,
    }
    return {name: value for name, value in said.items() if value}
