"""The spec of `trends`: series of a measure over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from query_api.spec.breakdown import Breakdown
from query_api.spec.conditions import MAX_TEXT
from query_api.spec.formula import Formula, read_formula
from query_api.spec.query import Key, QuerySpec, UsersFields
from query_api.spec.selector import Selector
from query_api.spec.strict import Strict, refuse

Interval = Literal["minute", "hour", "day", "week", "month", "quarter", "year", "total"]
PlainMeasure = Literal["events", "users", "events_per_user"]
PropertyMeasure = Literal[
    "sum", "average", "min", "max", "median", "p75", "p90", "p95", "p99", "distinct", "sum_per_user"
]
_PLAIN, _OF_PROPERTY = get_args(PlainMeasure), get_args(PropertyMeasure)

MAX_SERIES = 26


class Measure(Strict):
    """`"users"`, or `{"sum": "amount"}`."""

    kind: PlainMeasure | PropertyMeasure
    property: str | None = None


def _read_measure(given: Any) -> Any:
    """From the two forms on the wire."""
    if isinstance(given, str):
        if given in _OF_PROPERTY:
            refuse("invalid_value", f'{given} is of a property: {{"{given}": "amount"}}', given=given)
        if given not in _PLAIN:
            allowed = [*_PLAIN, *_OF_PROPERTY]
            refuse("unknown_value", f"{given!r} is no measure", given=given, allowed=allowed)
        return {"kind": given}
    if not isinstance(given, Mapping) or len(given) != 1:
        refuse("invalid_value", f'one of {", ".join(_PLAIN)}, or like {{"sum": "amount"}}', given=given)
    (kind, name), *_ = given.items()
    if kind not in _OF_PROPERTY:
        refuse("unknown_field", f"{kind!r} is no measure", field=kind, given=kind, allowed=_OF_PROPERTY)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT:
        refuse("invalid_value", "the name of a property", field=kind, given=name)
    return {"kind": kind, "property": name}


_MeasureInput = PlainMeasure | dict[PropertyMeasure, str]


class Series(Selector):
    """A selector and what is measured of its events."""

    measure: Annotated[Measure, BeforeValidator(_read_measure, json_schema_input_type=_MeasureInput)] = (
        Measure(kind="events")
    )


class TrendsSpec(QuerySpec):
    """`{"series": [{"event": "purchase_fund", "measure": "users"}], "interval": "day"}`."""

    series: tuple[Series, ...] = Field(min_length=1, max_length=MAX_SERIES)
    interval: Interval = "day"
    formula: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    breakdown: Breakdown = ()
    trailing: StrictInt | None = Field(default=None, ge=1, le=366)

    @model_validator(mode="after")
    def _check(self) -> TrendsSpec:
        self.check_leaves(*(series.where for series in self.series))
        if self.formula is not None:
            read_formula(self.formula, len(self.series))
        return self

    @property
    def parsed_formula(self) -> Formula | None:
        return None if self.formula is None else read_formula(self.formula, len(self.series))


class TrendsCell(Strict):
    """A number of the answer: a series, a bucket (null: the total) and a group."""

    series: StrictInt = Field(default=0, ge=0)
    bucket: str | None = Field(default=None, max_length=100)
    key: Key = ()


class TrendsUsersSpec(TrendsSpec, UsersFields):
    """Who is behind a cell."""

    cell: TrendsCell

    @model_validator(mode="after")
    def _check_cell(self) -> TrendsUsersSpec:
        if self.cell.series >= len(self.series):
            refuse(
                "invalid_value",
                f"there are {len(self.series)} series",
                field="cell.series",
                given=self.cell.series,
            )
        check_key(self.cell.key, len(self.breakdown))
        return self


def check_key(key: Key, parts: int) -> None:
    """A cell's key has a value for each part of the breakdown, or is `["$other"]`; [] means all."""
    if key and len(key) != parts and key != ("$other",):
        refuse(
            "invalid_value", f"a key has {parts} values, as in the answer", field="cell.key", given=list(key)
        )
