"""Conditions become SQL. A missing property fails every positive operator and so passes its negation.

Each leaf is a positive test that is never NULL, or NOT of one. A value of the property's own kind is
compared as that kind: numbers exactly, times by the clock of the project's zone, texts byte by byte. A
value of another kind is compared with the text that is stored, which finds values that came with the wrong
type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from query_api.answers import number_text, read_number
from query_api.buckets import Calendar
from query_api.catalogue import Catalogue
from query_api.spec.conditions import AllOf, AnyOf, Condition, Leaf, Not, Operator
from query_api.spec.time_range import Span
from query_api.sql.items import current_items, item_is, item_property
from query_api.sql.parameters import Parameters
from query_api.sql.properties import PropertySql, event_property, map_property
from query_api.sql.wall_clock import PATTERN, Stretch, read_stretch, write_wall_clock

LATEST_PROFILES = """SELECT user_key FROM (
    SELECT user_key, argMax(properties, version) AS profile, argMax(deleted, version) AS is_deleted
    FROM profiles WHERE project = {project} GROUP BY user_key
) WHERE NOT is_deleted"""

_NEGATIONS: dict[Operator, Operator] = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "is_not_set": "is_set",
}
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class ConditionWriter:
    """Writes the conditions of one query. `person` is the SQL of a row's person."""

    parameters: Parameters
    catalogue: Catalogue
    project: str
    person: str
    calendar: Calendar  # of the project: times in properties are its local times
    now: int

    def all_of(self, conditions: Sequence[Condition]) -> str:
        """SQL that is 1 or 0, never NULL."""
        return _joined(" AND ", [self.one(condition) for condition in conditions], empty="1")

    def one(self, condition: Condition) -> str:
        """SQL of one condition and all that it nests."""
        match condition:
            case AnyOf():
                return _joined(" OR ", [self.one(inner) for inner in condition.any], empty="0")
            case AllOf():
                return self.all_of(condition.all)
            case Not():
                return f"NOT ({self.one(condition.not_)})"
            case Leaf():
                positive = _NEGATIONS.get(condition.op)
                if positive is None:
                    return self._leaf(condition, condition.op)
                return f"NOT ({self._leaf(condition, positive)})"

    def _leaf(self, leaf: Leaf, op: Operator) -> str:
        if leaf.of == "event":
            found = event_property(leaf.property, self.catalogue, self.parameters)
            return self._test(found, op, leaf.value)
        if leaf.of == "item":
            return self._item_leaf(leaf, op)
        found = map_property(leaf.property, "user", "profile", self.catalogue, self.parameters)
        profiles = LATEST_PROFILES.replace("{project}", self.parameters.text(self.project))
        return f"{self.person} IN ({profiles} AND {self._test(found, op, leaf.value)})"

    def _item_leaf(self, leaf: Leaf, op: Operator) -> str:
        assert leaf.item_type is not None
        assert leaf.by is not None
        by = event_property(leaf.by, self.catalogue, self.parameters)
        found = item_property(leaf.property, self.catalogue, self.parameters)
        items = current_items(self.project, leaf.item_type, self.parameters)
        return item_is(by, items, self._test(found, op, leaf.value))

    def _test(self, found: PropertySql, op: Operator, value: Any) -> str:
        return f"ifNull({_TESTS[op](self, found, op, value)}, 0)"

    def is_set(self, found: PropertySql, _op: Operator, _value: Any) -> str:
        return found.present

    def is_boolean(self, found: PropertySql, op: Operator, _value: Any) -> str:
        return self._equals(found, op == "is_true")

    def equal(self, found: PropertySql, _op: Operator, value: Any) -> str:
        return self._equals(found, value)

    def one_of(self, found: PropertySql, _op: Operator, values: list[Any]) -> str:
        texts = [value for value in values if isinstance(value, str) and not self._is_special(found, value)]
        others = [value for value in values if value not in texts]
        tests = [self._equals(found, value) for value in others]
        if texts:
            text = found.text if "" in texts else _text_for(found, texts[0])
            tests.append(f"{text} IN {self.parameters.one_of(texts)}")
        return _joined(" OR ", [f"ifNull({test}, 0)" for test in tests], empty="0")

    def ordered(self, found: PropertySql, op: Operator, value: Any) -> str:
        return self._compares(found, op, value)

    def between(self, found: PropertySql, _op: Operator, value: list[Any]) -> str:
        low, high = self._compares(found, "gte", value[0]), self._compares(found, "lte", value[1])
        return f"({low} AND {high})"

    def contains(self, found: PropertySql, _op: Operator, value: str) -> str:
        needle = self.parameters.text(value)
        inside = f"position({_text_for(found, value)}, {needle}) > 0"
        if found.type != "list":
            return inside
        return f"if(startsWith({found.raw}, '['), has({_elements(found)}, {needle}), {inside})"

    def begins_or_ends(self, found: PropertySql, op: Operator, value: str) -> str:
        function = "startsWith" if op == "starts_with" else "endsWith"
        needle = self.parameters.text(value)
        if found.type == "list":
            return f"arrayExists(element -> {function}(element, {needle}), {_elements(found)})"
        return f"{function}({_text_for(found, value)}, {needle})"

    def matches(self, found: PropertySql, _op: Operator, value: str) -> str:
        pattern = self.parameters.text(value)
        if found.type == "list":
            return f"arrayExists(element -> match(element, {pattern}), {_elements(found)})"
        return f"({found.present} AND match({found.raw}, {pattern}))"

    def before_or_after(self, found: PropertySql, op: Operator, value: str) -> str:
        stretch = read_stretch(value, self.calendar.zone)
        if stretch is None or found.type not in ("datetime", "string", None):
            return "0"
        return self._compares_times(found, "lt" if op == "before" else "gt", stretch)

    def within_last(self, found: PropertySql, _op: Operator, value: Any) -> str:
        if found.type not in ("datetime", "string", None):
            return "0"
        begin = self.calendar.shift(self.now, Span.model_validate(value))
        texts = [
            self.parameters.text(write_wall_clock(self.calendar.local_exact(instant)))
            for instant in (begin, self.now)
        ]
        return f"({found.raw} >= {texts[0]} AND {found.raw} <= {texts[1]} AND {_is_time(found)})"

    def _is_special(self, found: PropertySql, value: str) -> bool:
        return found.type == "datetime" and read_stretch(value, self.calendar.zone) is not None

    def _equals(self, found: PropertySql, value: Any) -> str:
        if isinstance(value, bool):
            return f"{found.raw} = {self.parameters.text('true' if value else 'false')}"
        if isinstance(value, list):
            return f"(startsWith({found.raw}, '[') AND {_elements(found)} = {self.parameters.texts(value)})"
        if isinstance(value, int | Decimal):
            if found.type == "string":
                return f"{found.raw} = {self.parameters.text(number_text(Decimal(value)))}"
            return self._compares_numbers(found, "=", Decimal(value))
        if found.type == "datetime" and (stretch := read_stretch(value, self.calendar.zone)) is not None:
            return self._compares_times(found, "eq", stretch)
        return f"{_text_for(found, value)} = {self.parameters.text(value)}"

    def _compares(self, found: PropertySql, op: Operator, value: Any) -> str:
        if isinstance(value, int | Decimal):
            return self._compares_numbers(found, _SIGNS[op], Decimal(value))
        if found.type in ("number", "decimal"):
            number = read_number(value)
            return "0" if number is None else self._compares_numbers(found, _SIGNS[op], Decimal(number))
        if found.type == "datetime" and (stretch := read_stretch(value, self.calendar.zone)) is not None:
            return self._compares_times(found, op, stretch)
        return f"{found.text} {_SIGNS[op]} {self.parameters.text(value)}"

    def _compares_numbers(self, found: PropertySql, sign: str, value: Decimal) -> str:
        """Exactly where both sides fit Decimal(76, 30), else as doubles."""
        exact = self.parameters.exact(value)
        if exact is not None and found.native is not None and found.type == "decimal":
            return f"{found.exact} {sign} {exact}"
        as_float = f"{found.float} {sign} {self.parameters.float(float(value))}"
        if exact is None or (found.native is not None and found.type == "number"):
            return as_float
        return f"if(isNull({found.exact}), {as_float}, {found.exact} {sign} {exact})"

    def _compares_times(self, found: PropertySql, op: Operator, stretch: Stretch) -> str:
        begin, end = self.parameters.text(stretch.begin), self.parameters.text(stretch.end)
        test = {
            "eq": f"{found.raw} >= {begin} AND {found.raw} < {end}",
            "gt": f"{found.raw} >= {end}",
            "gte": f"{found.raw} >= {begin}",
            "lt": f"{found.raw} < {begin}",
            "lte": f"{found.raw} < {end}",
        }[op]
        return f"({test} AND {_is_time(found)})"


_Test = Callable[[ConditionWriter, PropertySql, Operator, Any], str]
_TESTS: dict[Operator, _Test] = {
    "is_set": ConditionWriter.is_set,
    "is_true": ConditionWriter.is_boolean,
    "is_false": ConditionWriter.is_boolean,
    "eq": ConditionWriter.equal,
    "in": ConditionWriter.one_of,
    "gt": ConditionWriter.ordered,
    "gte": ConditionWriter.ordered,
    "lt": ConditionWriter.ordered,
    "lte": ConditionWriter.ordered,
    "between": ConditionWriter.between,
    "contains": ConditionWriter.contains,
    "starts_with": ConditionWriter.begins_or_ends,
    "ends_with": ConditionWriter.begins_or_ends,
    "matches": ConditionWriter.matches,
    "before": ConditionWriter.before_or_after,
    "after": ConditionWriter.before_or_after,
    "within_last": ConditionWriter.within_last,
}


def _text_for(found: PropertySql, needle: str) -> str:
    """The cheaper text: of a column as it is, else, where '' cannot match, without the test for presence."""
    return found.raw if needle and found.native is None else found.text


def _elements(found: PropertySql) -> str:
    return f"JSONExtract({found.raw}, 'Array(String)')"


def _is_time(found: PropertySql) -> str:
    return f"match({found.raw}, '{PATTERN}')"


def _joined(operator: str, tests: Sequence[str], *, empty: str) -> str:
    if not tests:
        return empty
    return tests[0] if len(tests) == 1 else f"({operator.join(tests)})"
