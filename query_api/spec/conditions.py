"""Which events or users: conditions, nested by any, all and not. A list of conditions means all of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from query_api.spec.strict import Strict, refuse, refuse_not_implemented
from query_api.spec.time_range import Span, read_moment

Operator = Literal[
    "eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with", "matches",
    "gt", "gte", "lt", "lte", "between", "is_set", "is_not_set", "is_true", "is_false",
    "before", "after", "within_last",
]  # fmt: skip

Owner = Literal["event", "user", "cohort", "item"]
"""Whose property: the event's own, the user's current profile's, an item's; cohorts come later."""

MAX_VALUES = 10_000
MAX_TEXT = 1_000


def refuse_unbuilt_owner(owner: str) -> None:
    """Cohorts are in the contract and not built yet."""
    if owner == "cohort":
        refuse_not_implemented(f'"of": "{owner}"', field="of", given=owner)


def check_item(owner: Owner, item_type: str | None, by: str | None) -> None:
    """An item's property needs to say which item, and no other's may."""
    for field, given in (("item_type", item_type), ("by", by)):
        if owner == "item" and not given:
            wanted = (
                "the type of the items" if field == "item_type" else "the event property with the item's id"
            )
            refuse("missing_field", f"of: item needs {field}: {wanted}", field=field, given=given)
        if owner != "item" and given is not None:
            refuse("invalid_value", f"{field} goes with of: item only", field=field, given=given)


class Leaf(Strict):
    """`{"property": "channel", "of": "event", "op": "eq", "value": "app_store"}`."""

    property: str = Field(min_length=1, max_length=MAX_TEXT)
    of: Owner = "event"
    op: Operator
    value: Any = Field(
        default=None,
        description="eq, ne: text, number, boolean or a list of texts; in, not_in: a list of those; "
        "text operators: text; gt to lte: number, text or date; between: two of them; "
        "before, after: date or instant; within_last: {value, unit}; is_*: nothing",
    )
    item_type: str | None = Field(default=None, max_length=MAX_TEXT)
    by: str | None = Field(default=None, max_length=MAX_TEXT)

    @model_validator(mode="after")
    def _check_value(self) -> Leaf:
        refuse_unbuilt_owner(self.of)
        check_item(self.of, self.item_type, self.by)
        _CHECKS[self.op](self.value)
        return self


class AnyOf(Strict):
    """At least one of the conditions holds; of none, none does."""

    any: tuple[Condition, ...]


class AllOf(Strict):
    """All of the conditions hold."""

    all: tuple[Condition, ...]


def _list_means_all(given: Any) -> Any:
    return {"all": given} if isinstance(given, list) else given


class Not(Strict):
    """The condition does not hold; of a list: not all of them do."""

    not_: Annotated[Condition, BeforeValidator(_list_means_all)] = Field(alias="not")


def _form(given: Any) -> str:
    """Which of the four forms a condition has."""
    if isinstance(given, dict):
        return next((f"{group}:" for group in ("any", "all", "not") if group in given), "leaf:")
    match given:
        case AnyOf():
            return "any:"
        case AllOf():
            return "all:"
        case Not():
            return "not:"
        case _:
            return "leaf:"


FORMS = frozenset({"leaf:", "any:", "all:", "not:"})
"""The tags of the four forms: they appear in pydantic's error locations and never in a client's body."""

Condition = Annotated[
    Annotated[Leaf, Tag("leaf:")]
    | Annotated[AnyOf, Tag("any:")]
    | Annotated[AllOf, Tag("all:")]
    | Annotated[Not, Tag("not:")],
    Discriminator(_form),
]


def count_leaves(conditions: tuple[Condition, ...]) -> int:
    """How many leaves there are at any depth."""
    return sum(map(_leaves, conditions))


def _leaves(condition: Condition) -> int:
    match condition:
        case AnyOf():
            return count_leaves(condition.any)
        case AllOf():
            return count_leaves(condition.all)
        case Not():
            return _leaves(condition.not_)
        case _:
            return 1


def _refuse_value(message: str, given: Any) -> None:
    refuse("invalid_value", message, field="value", given=given)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_scalar(value: Any) -> bool:
    return _is_text(value) or isinstance(value, bool | int | Decimal)


def _is_orderable(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, int | Decimal) and not isinstance(value, bool))


def _check_nothing(value: Any) -> None:
    if value is not None:
        _refuse_value("this operator takes no value", value)


def _check_equal(value: Any) -> None:
    texts = isinstance(value, list) and len(value) <= MAX_VALUES and all(map(_is_text, value))
    if not _is_scalar(value) and not texts:
        _refuse_value(
            f"text of at most {MAX_TEXT} characters, a number, true, false or a list of texts", value
        )


def _check_several(value: Any) -> None:
    if not isinstance(value, list) or not all(map(_is_scalar, value)):
        _refuse_value("a list of texts, numbers or booleans", value)
    if len(value) > MAX_VALUES:
        _refuse_value(f"at most {MAX_VALUES} values", len(value))


def _check_text(value: Any) -> None:
    if not _is_text(value):
        _refuse_value(f"text of at most {MAX_TEXT} characters", value)


def _check_orderable(value: Any) -> None:
    if not _is_orderable(value):
        _refuse_value("a number, text or a date", value)


def _check_two(value: Any) -> None:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_orderable, value)):
        _refuse_value("a list of two numbers, texts or dates: both ends are included", value)
    if isinstance(value[0], str) != isinstance(value[1], str):
        _refuse_value("both ends of one kind", value)


def _check_moment(value: Any) -> None:
    try:
        read_moment(value)
    except ValueError as error:
        _refuse_value(str(error), value)


def _check_span(value: Any) -> None:
    try:
        Span.model_validate(value)
    except ValidationError:
        _refuse_value('a span like {"value": 7, "unit": "day"}', value)


_CHECKS: dict[Operator, Callable[[Any], None]] = {
    "eq": _check_equal,
    "ne": _check_equal,
    "in": _check_several,
    "not_in": _check_several,
    "contains": _check_text,
    "not_contains": _check_text,
    "starts_with": _check_text,
    "ends_with": _check_text,
    "matches": _check_text,
    "gt": _check_orderable,
    "gte": _check_orderable,
    "lt": _check_orderable,
    "lte": _check_orderable,
    "between": _check_two,
    "is_set": _check_nothing,
    "is_not_set": _check_nothing,
    "is_true": _check_nothing,
    "is_false": _check_nothing,
    "before": _check_moment,
    "after": _check_moment,
    "within_last": _check_span,
}
