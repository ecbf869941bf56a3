"""From JSON or YAML values to a plan: the one place that says what a plan may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from footfall.events.names import HOISTED, explain_name, name_fault
from footfall.tracking_plan.faults import InvalidPlan, Path, PlanFault, nearest
from footfall.tracking_plan.limits import PLAN_ALLOWED, PLAN_DECLARATIONS, PLAN_EVENTS, PLAN_TEXT
from footfall.tracking_plan.plan import (
    GRADES,
    MODES,
    PROPERTY_TYPES,
    UNKNOWN,
    Description,
    Plan,
    PlannedEvent,
    PlannedProperty,
    PropertyType,
)
from footfall.tracking_plan.presets import FIXED_TYPES

PLAN_FIELDS: Final = (
    "mode", "unknown_events", "unknown_properties", "common_properties", "events", "user_properties",
    "item_properties",
)  # fmt: skip
EVENT_FIELDS: Final = ("description", "owner", "grade", "properties")
PROPERTY_FIELDS: Final = ("type", "required", "allowed", "grade", "owner", "description")
DESCRIPTION_FIELDS: Final = ("zh", "en")
TYPES_WITH_ALLOWED: Final = ("string", "number", "decimal", "list")

_MOST_FAULTS: Final = 100
_NOTHING: Final[Mapping[str, Any]] = {}
_Word = TypeVar("_Word", bound=str)
_Planned = TypeVar("_Planned")


def read_plan(value: Any) -> Plan:
    """The plan that JSON values describe. Raises InvalidPlan with the first hundred faults."""
    reader = _Reader()
    plan = reader.read(value)
    if reader.faults:
        raise InvalidPlan(reader.faults[:_MOST_FAULTS])
    return plan


class _Reader:
    """Reads on behind a fault, so that all are told at once."""

    def __init__(self) -> None:
        self.faults: list[PlanFault] = []
        self._declarations = 0
        self._types: dict[str, tuple[PropertyType, Path]] = {}  # of event properties, and where first

    def read(self, value: Any) -> Plan:
        fields = self._fields((), value, PLAN_FIELDS)
        plan = Plan(
            mode=self._word(("mode",), fields.get("mode", "off"), MODES),
            unknown_events=self._word(("unknown_events",), fields.get("unknown_events", "report"), UNKNOWN),
            unknown_properties=self._word(
                ("unknown_properties",), fields.get("unknown_properties", "report"), UNKNOWN
            ),
            common_properties=self._properties(("common_properties",), fields, of_events=True),
            events=self._named(("events",), fields, self._event),
            user_properties=self._properties(("user_properties",), fields, of_events=False),
            item_properties=self._properties(("item_properties",), fields, of_events=False),
        )
        self._check_sizes(plan)
        self._check_repeated(plan)
        return plan

    def _event(self, path: Path, value: Any) -> PlannedEvent:
        fields = self._fields(path, {} if value is None else value, EVENT_FIELDS)
        return PlannedEvent(
            properties=self._properties((*path, "properties"), fields, of_events=True),
            owner=self._text((*path, "owner"), fields),
            grade=self._optional_word((*path, "grade"), fields, GRADES),
            description=self._description(path, fields),
        )

    def _properties(
        self, path: Path, fields: Mapping[str, Any], *, of_events: bool
    ) -> Mapping[str, PlannedProperty]:
        def read(place: Path, value: Any) -> PlannedProperty:
            planned = self._property(place, value)
            if of_events and isinstance(value, Mapping) and value.get("type") in PROPERTY_TYPES:
                self._check_type(place, planned.type)  # else it is a fault already, and nobody's type
            if not of_events and planned.required:
                self._fault((*place, "required"), "invalid_value", "only properties of events are required")
            return planned

        return self._named(path, fields, read)

    def _property(self, path: Path, value: Any) -> PlannedProperty:
        self._declarations += 1
        fields = self._fields(path, value, PROPERTY_FIELDS)
        given = fields.get("type")
        if given is None and isinstance(value, Mapping):
            words = ", ".join(PROPERTY_TYPES)
            self._fault((*path, "type"), "missing_field", f"a property needs a type: {words}", None)
        type_ = self._word((*path, "type"), given or "string", PROPERTY_TYPES)
        required = fields.get("required", False)
        if not isinstance(required, bool):
            self._fault((*path, "required"), "invalid_value", "true or false", required)
        return PlannedProperty(
            type=type_,
            required=required is True,
            allowed=self._allowed((*path, "allowed"), fields.get("allowed"), type_),
            owner=self._text((*path, "owner"), fields),
            grade=self._optional_word((*path, "grade"), fields, GRADES),
            description=self._description(path, fields),
        )

    def _allowed(self, path: Path, value: Any, type_: PropertyType) -> tuple[str | int | float, ...]:
        if value is None:
            return ()
        if type_ not in TYPES_WITH_ALLOWED:
            self._fault(path, "invalid_value", f"a {type_} takes every value of its type: leave this out")
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= PLAN_ALLOWED:
            self._fault(path, "invalid_value", f"a list of 1 to {PLAN_ALLOWED} values", value)
            return ()
        numbers = type_ in ("number", "decimal")
        found: list[str | int | float] = []
        for index, each in enumerate(value):
            read = _number(each) if numbers else each if isinstance(each, str) else None
            if read is None or (isinstance(read, str) and len(read) > PLAN_TEXT):
                kind = (
                    "numbers, of digits that a double holds"
                    if numbers
                    else f"texts, to {PLAN_TEXT} characters"
                )
                message = f"the values that a {type_} may have are {kind}"
                if not numbers and isinstance(each, bool | int | float):
                    message += ": put it in quotes"
                self._fault((*path, str(index)), "invalid_value", message, each)
            elif read in found:
                self._fault((*path, str(index)), "invalid_value", "it is there twice", each)
            else:
                found.append(read)
        return tuple(found)

    def _description(self, path: Path, fields: Mapping[str, Any]) -> Description:
        place = (*path, "description")
        given = fields.get("description")
        if isinstance(given, str):
            message = "a text in each language: {zh: ..., en: ...}"
            self._fault(place, "invalid_value", message, given)
            return Description()
        texts = self._fields(place, {} if given is None else given, DESCRIPTION_FIELDS)
        return Description(self._text((*place, "zh"), texts), self._text((*place, "en"), texts))

    def _named(
        self, path: Path, fields: Mapping[str, Any], read: Callable[[Path, Any], _Planned]
    ) -> Mapping[str, _Planned]:
        """The mapping from names to what `read` makes of each, in the order of the text."""
        value = fields.get(path[-1])
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._fault(path, "invalid_value", "an object of names was expected", value)
            return {}
        found: dict[str, _Planned] = {}
        for name, each in value.items():
            if len(self.faults) > _MOST_FAULTS or self._declarations > PLAN_DECLARATIONS:
                break
            place = (*path, str(name))
            if not isinstance(name, str):
                self._fault(place, "invalid_value", "a name is a text: put it in quotes", name)
            elif name in HOISTED:
                message = f"{name!r} speaks about the record and is no property of it: leave it out"
                self._fault(place, "invalid_value", message, name)
            elif name_fault(name) is not None:
                self._fault(place, "invalid_value", explain_name(name), name)
            else:
                found[name] = read(place, each)
        return found

    def _check_type(self, path: Path, type_: PropertyType) -> None:
        """A property has one type, wherever it is declared, and that of its column if it has one."""
        name = path[-1]
        fixed = FIXED_TYPES.get(name)
        if fixed is not None and fixed != type_:
            message = f"the store keeps {name!r} as {fixed}: declare it so, or use another name"
            self._fault((*path, "type"), "invalid_value", message, type_, (fixed,), fixed)
            return
        first, where = self._types.setdefault(name, (type_, path))
        if first != type_:
            message = f"{name!r} is declared as {first} at {'.'.join(where)}: a name has one type"
            self._fault((*path, "type"), "invalid_value", message, type_, (first,), first)

    def _check_sizes(self, plan: Plan) -> None:
        if len(plan.events) > PLAN_EVENTS:
            self._fault(("events",), "invalid_value", f"at most {PLAN_EVENTS} events, not {len(plan.events)}")
        if self._declarations > PLAN_DECLARATIONS:
            self._fault((), "invalid_value", f"at most {PLAN_DECLARATIONS} declarations of properties")

    def _check_repeated(self, plan: Plan) -> None:
        for event, planned in plan.events.items():
            for name in planned.properties:
                if name in plan.common_properties:
                    message = "all events have it already: it is in common_properties"
                    self._fault(("events", event, "properties", name), "invalid_value", message)

    def _fields(self, path: Path, value: Any, allowed: Sequence[str]) -> Mapping[str, Any]:
        """The value as an object with these fields; what else there is is a fault."""
        if not isinstance(value, Mapping):
            self._fault(path, "invalid_value", "an object was expected", value)
            return _NOTHING
        for name in value:
            if name not in allowed:
                message = f"{str(name)[:100]!r} is no field here"
                self._fault(
                    (*path, str(name)), "unknown_field", message, name, allowed, nearest(name, allowed)
                )
        return value

    def _word(self, path: Path, given: Any, allowed: tuple[_Word, ...]) -> _Word:
        if isinstance(given, str) and given in allowed:
            return given
        message = f"not one of {', '.join(allowed)}"
        self._fault(path, "unknown_value", message, given, allowed, nearest(given, allowed))
        return allowed[0]

    def _optional_word(
        self, path: Path, fields: Mapping[str, Any], allowed: tuple[_Word, ...]
    ) -> _Word | None:
        given = fields.get(path[-1])
        return None if given is None else self._word(path, given, allowed)

    def _text(self, path: Path, fields: Mapping[str, Any]) -> str:
        given = fields.get(path[-1])
        if given is None:
            return ""
        if isinstance(given, str) and len(given) <= PLAN_TEXT:
            return given
        self._fault(path, "invalid_value", f"a text of at most {PLAN_TEXT} characters", given)
        return ""

    def _fault(self, path: Path, code: str, message: str, given: Any = None, *meant: Any) -> None:
        """`meant`: the allowed words, and the nearest."""
        self.faults.append(PlanFault(path, code, message, given, *meant))


def _number(value: Any) -> int | float | None:
    """The number, if it is one that a double holds with every digit."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else None
    number = float(value)
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(str(value)):
        return None
    return int(number) if number.is_integer() and abs(number) <= 2**53 else number
