"""Whether a record keeps to a plan: the plan made into look-ups, once a version.

Judges what the client sent, as a door decodes it. Types are those of JSON: a number in quotes is no number,
and a datetime is a text of the form that the SDKs send. A null is an absent property.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, get_args

from footfall.events.datetimes import is_datetime
from footfall.events.names import HOISTED
from footfall.events.reasons import Reason
from footfall.events.record import Record, event_name
from footfall.events.spellings import Spellings
from footfall.tracking_plan.limits import VIOLATIONS_PER_RECORD
from footfall.tracking_plan.plan import SOURCES, Plan, PlannedProperty, PropertyType, Source
from footfall.tracking_plan.presets import PRESET_EVENTS, PRESET_PROPERTIES, is_preset_property

Kind = Literal["unknown_event", "unknown_property", "missing_property", "wrong_type", "not_allowed"]

REASONS: Final[Mapping[Kind, Reason]] = {
    "unknown_event": Reason.PLAN_UNKNOWN_EVENT,
    "unknown_property": Reason.PLAN_UNKNOWN_PROPERTY,
    "missing_property": Reason.PLAN_MISSING_PROPERTY,
    "wrong_type": Reason.PLAN_WRONG_TYPE,
    "not_allowed": Reason.PLAN_NOT_ALLOWED,
}
"""How a record is refused for each kind of violation."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

DURATION, DURATION_ALIAS = "event_duration", "$event_duration"


class Violation(NamedTuple):
    """One way in which a record does not keep to the plan."""

    kind: Kind
    property: str  # "" of an unknown event


_Test = Callable[[Any], bool]


class _Rule(NamedTuple):
    """What a property's value may be."""

    tests: Mapping[type, _Test | None]  # by the value's type; None: every value of it is good
    fault: Callable[[Any], Kind]  # of a value that is not

    def allows_absence(self) -> _Rule:
        """A null is no value."""
        return self._replace(tests={**self.tests, type(None): None})


class _Rules(NamedTuple):
    """Of one event, or of users, or of items."""

    of: Mapping[str, _Rule]
    tests: Mapping[str, Mapping[type, _Test | None]]  # the rules' own, since each look-up counts
    required: frozenset[str]
    in_order: tuple[str, ...]  # the required ones, as the plan has them
    unknown: bool  # whether other properties are violations


def _is_wrong_type(_value: Any) -> Kind:
    return "wrong_type"


_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_LARGEST_DECIMAL = 10**32
_is_64_bit = range(_SMALLEST_INTEGER, _LARGEST_INTEGER + 1).__contains__
_is_decimal_integer = range(1 - _LARGEST_DECIMAL, _LARGEST_DECIMAL).__contains__


def _is_below_limit(value: float | Decimal) -> bool:
    return -1e32 < value < 1e32


_TESTS: Final[Mapping[PropertyType, Mapping[type, _Test | None]]] = {
    "string": {str: None},
    # Integers beyond 64 bits are kept as text, so they are no numbers.
    "number": {int: _is_64_bit, float: None, Decimal: None},
    "decimal": {int: _is_decimal_integer, float: _is_below_limit, Decimal: _is_below_limit},
    "boolean": {bool: None},
    "datetime": {str: is_datetime},
    "list": {list: None},
}
_ANY: Final = _Rule(dict.fromkeys((str, int, float, Decimal, bool, list, type(None))), _is_wrong_type)
_KNOWN: Final[Mapping[str, _Rule]] = dict.fromkeys((*PRESET_PROPERTIES, *HOISTED), _ANY)
_UNJUDGED: Final = _Rules({}, {}, frozenset(), (), False)


class CompiledPlan:
    """Safe to use from several threads."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.judges = plan.mode != "off"
        self._refused = refused_kinds(plan)
        tells_unknown = plan.unknown_properties != "allow"
        self._tells_events = plan.unknown_events != "allow"
        self._presets = _rules(plan.common_properties, tells_unknown)
        self._identity = self._presets._replace(required=frozenset(), in_order=())
        self._unknown_event = self._presets._replace(unknown=False)
        self._users, self._items = (
            _rules(declared, tells_unknown) if declared else _UNJUDGED
            for declared in (plan.user_properties, plan.item_properties)
        )
        self._events: dict[str, _Rules] = {}  # of those that came

    def judge(self, record: Record) -> list[Violation]:
        """Violations of a record whose properties are decoded; at most VIOLATIONS_PER_RECORD.

        In this order: the event, what is missing as the plan has it, then as the record has it.
        """
        if record.type[:5] != "track":
            return self._judge_profile(record)
        event = event_name(record)
        rules = self._events.get(event)
        if rules is None and (planned := self.plan.events.get(event)) is not None:
            declared = {**self.plan.common_properties, **planned.properties}
            rules = self._events[event] = _rules(declared, self._presets.unknown)
        if rules is not None:
            return _violations(rules, record.properties)
        if record.type != "track":
            return _violations(self._identity, record.properties)
        if event in PRESET_EVENTS:
            return _violations(self._presets, record.properties)
        found = _violations(self._unknown_event, record.properties)
        if self._tells_events:
            found.insert(0, Violation("unknown_event", ""))
        return found[:VIOLATIONS_PER_RECORD]

    def refused_for(self, violations: Iterable[Violation]) -> Violation | None:
        """The violation for which a record is turned away, if any: the first that is not only reported."""
        return next((each for each in violations if each.kind in self._refused), None)

    def _judge_profile(self, record: Record) -> list[Violation]:
        """Of records of users and items; taking away needs no value."""
        rules = self._items if record.type[:4] == "item" else self._users
        if record.type in ("profile_unset", "profile_delete", "item_delete"):
            rules = rules._replace(tests=dict.fromkeys(rules.of, _ANY.tests))
        return _violations(rules, record.properties)


def refused_kinds(plan: Plan) -> frozenset[Kind]:
    """The kinds of violations for which records are turned away."""
    if plan.mode != "enforce":
        return frozenset()
    kinds: set[Kind] = {"missing_property", "wrong_type", "not_allowed"}
    if plan.unknown_events == "refuse":
        kinds.add("unknown_event")
    if plan.unknown_properties == "refuse":
        kinds.add("unknown_property")
    return frozenset(kinds)


def _violations(rules: _Rules, properties: Mapping[str, Any]) -> list[Violation]:
    tests_of = rules.tests
    found: list[Violation] = []
    if not properties.keys() >= rules.required or None in properties.values():
        found += [Violation("missing_property", name) for name in rules.in_order if _lacks(properties, name)]
    for name, value in properties.items():
        tests = tests_of.get(name)
        if tests is None:
            if rules.unknown and value is not None and not is_preset_property(name):
                found.append(Violation("unknown_property", name))
            continue
        test = tests.get(value.__class__, _no_value)
        if test is not None and not test(value):
            found.append(Violation(rules.of[name].fault(value), name))
    return found[:VIOLATIONS_PER_RECORD]


def _lacks(properties: Mapping[str, Any], name: str) -> bool:
    if properties.get(name) is not None:
        return False
    return name != DURATION or properties.get(DURATION_ALIAS) is None


def _rules(declared: Mapping[str, PlannedProperty], unknown: bool) -> _Rules:
    required = tuple(name for name, planned in declared.items() if planned.required)
    of = {**_KNOWN, **_rules_of(declared)}
    tests = {name: rule.tests for name, rule in of.items()}
    return _Rules(of, tests, frozenset(required), required, unknown)


def _rules_of(declared: Mapping[str, PlannedProperty]) -> dict[str, _Rule]:
    rules = {name: _rule_of(planned).allows_absence() for name, planned in declared.items()}
    if DURATION in rules:
        rules.setdefault(DURATION_ALIAS, rules[DURATION])
    return rules


def _rule_of(planned: PlannedProperty) -> _Rule:
    tests = _TESTS[planned.type]
    if not planned.allowed:
        return _Rule(tests, _is_wrong_type)
    allowed = frozenset(planned.allowed)

    def fault(value: Any) -> Kind:
        test = tests.get(value.__class__, _no_value)
        return "not_allowed" if test is None or test(value) else "wrong_type"

    among: dict[type, _Test | None] = {
        list: allowed.issuperset,
        # As a plan holds numbers: a door reads them as doubles, others read all their digits.
        Decimal: lambda value: float(value) in allowed,
    }
    return _Rule({type_: among.get(type_, allowed.__contains__) for type_ in tests}, fault)


def _no_value(_value: Any) -> bool:
    """The test of a type that no value of the property has."""
    return False


class Words:
    """What is said of a plan's violations to those who sent them. Never a value that was sent; and of the
    plan's allowed values only those of properties that anybody may see.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._grades = {source: plan.grades(source) for source in SOURCES}
        self._events = Spellings(plan.events, {})
        self._common = Spellings(plan.common_properties, {})

    def field(self, violation: Violation) -> str:
        """Where it is in the record: `event`, `properties.amount`."""
        if violation.kind == "unknown_event":
            return "event"
        name = violation.property
        return f"properties.{shown_name(name) if violation.kind == 'unknown_property' else name}"

    def message(self, record: Record, violation: Violation) -> str:
        """A sentence for the sender."""
        source, event = _source_of(record), event_name(record)
        name = violation.property
        planned = self._declared(source, event, name)
        match violation.kind:
            case "unknown_event":
                near = self._events.nearest(event)
                return f"the tracking plan has no event {_short(shown_name(event))}{_meant(near)}"
            case "unknown_property":
                owner = {"event": f"the event {_short(event)}", "user": "users", "item": "items"}[source]
                near = self._nearest_property(source, event, name)
                return (
                    f"the tracking plan has no property {_short(shown_name(name))} of {owner}{_meant(near)}"
                )
            case "missing_property":
                type_ = f" ({planned.type})" if planned is not None else ""
                return f"the event {_short(event)} needs the property {name!r}{type_}"
            case "wrong_type":
                type_ = _TYPE_WORDS[planned.type] if planned is not None else "of another type"
                return f"properties.{name} must be {type_}"
        if planned is None or self._grades[source].get(name, "C1") != "C1":
            return f"properties.{name} has a value that the tracking plan does not allow"
        return f"properties.{name} must be {_listed(planned)}"

    def _declared(self, source: Source, event: str, name: str) -> PlannedProperty | None:
        name = DURATION if name == DURATION_ALIAS else name
        if source == "user":
            return self._plan.user_properties.get(name)
        if source == "item":
            return self._plan.item_properties.get(name)
        planned = self._plan.events.get(event)
        own = planned.properties.get(name) if planned is not None else None
        return own or self._plan.common_properties.get(name)

    def _nearest_property(self, source: Source, event: str, name: str) -> str | None:
        if source == "event":
            planned = self._plan.events.get(event)
            own = Spellings(planned.properties, {}).nearest(name) if planned is not None else None
            return own or self._common.nearest(name)
        declared = self._plan.user_properties if source == "user" else self._plan.item_properties
        return Spellings(declared, {}).nearest(name)


_TYPE_WORDS: Final[Mapping[PropertyType, str]] = {
    "string": "a string",
    "number": "a number of at most 64 bits, not in quotes",
    "decimal": "a number below 10^32, not in quotes",
    "boolean": "true or false, not in quotes",
    "datetime": "a string of the form 2026-01-31 08:00:00 or 2026-01-31 08:00:00.123",
    "list": "a list of strings",
}
_LISTED = 20
_LISTED_LENGTH = 60


def _source_of(record: Record) -> Source:
    return "event" if record.type[:5] == "track" else "item" if record.type[:4] == "item" else "user"


def _listed(planned: PlannedProperty) -> str:
    shown = ", ".join(_short(each) for each in islice(planned.allowed, _LISTED))
    more = f" or one of {len(planned.allowed) - _LISTED} more" if len(planned.allowed) > _LISTED else ""
    each = "a list of" if planned.type == "list" else "one of"
    return f"{each} {shown}{more}"


def _short(value: str | float) -> str:
    if isinstance(value, str) and len(value) > _LISTED_LENGTH:
        value = value[: _LISTED_LENGTH - 3] + "..."
    return repr(value)


def shown_name(name: str) -> str:
    """A name that a client made up: what may be somebody's number in it is not repeated.

    >>> shown_name("open_page2"), shown_name("user_13800138000")
    ('open_page2', 'user_###########')
    """
    return _DIGIT.sub("#", name) if len(_DIGIT.findall(name)) > _MOST_DIGITS else name


_DIGIT = re.compile(r"\d")
_MOST_DIGITS = 8


def _meant(near: str | None) -> str:
    return f"; did you mean {near!r}?" if near is not None else ""
